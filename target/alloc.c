/* SPDX-License-Identifier: GPL-2.0-only */
#include "alloc.h"

#include <string.h>

#define ALLOCATOR_ROW(NAME) &alloc_##NAME,
static const struct allocator *const allocators[] = { ALLOCATOR_LIST(ALLOCATOR_ROW) };
#undef ALLOCATOR_ROW

#define NR_ALLOCATORS (sizeof(allocators) / sizeof(allocators[0]))

const struct allocator *alloc_by_index(size_t index)
{
	return index < NR_ALLOCATORS ? allocators[index] : NULL;
}

const struct allocator *alloc_by_name(const char *name)
{
	for (size_t i = 0; i < NR_ALLOCATORS; i++)
		if (strcmp(allocators[i]->name, name) == 0)
			return allocators[i];
	return NULL;
}
