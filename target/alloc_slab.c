/* SPDX-License-Identifier: GPL-2.0-only */
/* slab: size classes on pages that are given back when they are empty. */
#include "alloc.h"

#include "operator_block.h"
#include "parse.h"
#include "slab.h"

#include <errno.h>
#include <stdlib.h>

/* The map of large blocks is made resident, so that the experiment does not find it growing. The limit of kept pages is
 * set as for the preload library. */
static int slab_row_init(void)
{
	const char *text = getenv("HEAPTRACE_SLAB_KEEP");
	size_t keep = SLAB_KEEP_BYTES;
	int err = text ? parse_size(text, &keep) : 0;

	if (err == 0)
		err = opblock_init(true);
	if (err == 0)
		err = slab_init();
	if (err == 0)
		slab_set_keep(keep);
	return err;
}

static void *slab_row_alloc(size_t size)
{
	void *ptr = slab_alloc(size, 0);

	if (!ptr)
		errno = ENOMEM;
	return ptr;
}

static void slab_row_free(void *ptr, size_t size)
{
	(void)size;
	slab_free(ptr);
}

const struct allocator alloc_slab = {
	.name = "slab",
	.help = "size classes on pages that are given back when empty (all but HEAPTRACE_SLAB_KEEP, 4 KiB); large blocks as mappings",
	.init = slab_row_init,
	.alloc = slab_row_alloc,
	.free = slab_row_free,
};
