/* SPDX-License-Identifier: GPL-2.0-only */
/* malloc: the C library's allocator, or the one that was preloaded over it. */
#include "alloc.h"

#include <stdlib.h>

/* Through volatile pointers: the compiler, which knows malloc and free by name, deletes pairs of them at -O1 and above. */
static void *(*volatile do_malloc)(size_t) = malloc;
static void (*volatile do_free)(void *) = free;

/* Nothing: the first use of the heap has to be the experiment's own. */
static int malloc_init(void)
{
	return 0;
}

static void *malloc_alloc(size_t size)
{
	return do_malloc(size);
}

static void malloc_free(void *ptr, size_t size)
{
	(void)size;
	do_free(ptr);
}

const struct allocator alloc_malloc = {
	.name = "malloc",
	.help = "malloc and free of the C library, or of a preloaded library",
	.init = malloc_init,
	.alloc = malloc_alloc,
	.free = malloc_free,
};
