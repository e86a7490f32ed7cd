/* SPDX-License-Identifier: GPL-2.0-only */
/* operator: new and delete over mmap; the unsized delete looks the size up. */
#include "alloc.h"

#include "operator.h"

#include <errno.h>

static void *operator_alloc(size_t size)
{
	void *ptr = op_new_array_nothrow(size);

	if (!ptr)
		errno = ENOMEM;
	return ptr;
}

static void operator_free(void *ptr, size_t size)
{
	(void)size;
	op_delete_array(ptr);
}

const struct allocator alloc_operator = {
	.name = "operator",
	.help = "operator new[] and delete[] over mmap; delete looks the size up and unmaps at once",
	.init = op_init,
	.alloc = operator_alloc,
	.free = operator_free,
};
