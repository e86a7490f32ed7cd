/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/source.h"

#include <string.h>

/* The one list, in the order of preference: a new source is its own file and a word here. */
#define SOURCES &source_bpf, &source_ptrace, &source_replay

static const struct source_ops *const sources[] = { SOURCES };

#define SOURCE_COUNT (sizeof(sources) / sizeof(sources[0]))

const struct source_ops *source_by_name(const char *name)
{
	for (size_t i = 0; i < SOURCE_COUNT; i++) {
		if (!strcmp(sources[i]->name, name))
			return sources[i];
	}
	return NULL;
}

const struct source_ops *source_at(unsigned int index)
{
	return index < SOURCE_COUNT ? sources[index] : NULL;
}
