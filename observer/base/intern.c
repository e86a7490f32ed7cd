/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/intern.h"

#include <stdlib.h>
#include <string.h>

#define INTERN_MAX     1024
#define INTERN_MAX_LEN 255

static const char *store[INTERN_MAX];
static unsigned int store_count;

const char *intern(const char *str, const char *fallback)
{
	char *copy;

	for (unsigned int i = 0; i < store_count; i++) {
		if (!strcmp(store[i], str))
			return store[i];
	}
	if (store_count == INTERN_MAX || strlen(str) > INTERN_MAX_LEN)
		return fallback;
	copy = strdup(str);
	if (!copy)
		return fallback;
	store[store_count++] = copy;
	return copy;
}
