/* SPDX-License-Identifier: GPL-2.0-only */
/* alloc: the allocators under test behind one interface. A new one is one file and one word in ALLOCATOR_LIST. */
#ifndef TARGET_ALLOC_H
#define TARGET_ALLOC_H

#include <stddef.h>

struct allocator {
	const char *name;
	const char *help; /* one line for --list */
	/* Makes ready what must not fall into the experiment; called once, before the first reading. 0 or -errno. */
	int (*init)(void);
	/* @size bytes, or NULL with errno set. A @size of 0 is legal. Callable from several threads at once. */
	void *(*alloc)(size_t size);
	/* Gives back what alloc returned; @size is the size that was asked for. */
	void (*free)(void *ptr, size_t size);
};

/* The name of each struct allocator is alloc_NAME. */
#define ALLOCATOR_LIST(X) X(malloc) X(mmap) X(operator) X(slab)

#define ALLOCATOR_DECLARE(NAME) extern const struct allocator alloc_##NAME;
ALLOCATOR_LIST(ALLOCATOR_DECLARE)
#undef ALLOCATOR_DECLARE

/* The allocator of that name, or NULL. Static. */
const struct allocator *alloc_by_name(const char *name);

/* The @index-th allocator, counted from 0, or NULL past the last. Static. */
const struct allocator *alloc_by_index(size_t index);

#endif
