/* SPDX-License-Identifier: GPL-2.0-only */
/* operator_block: blocks of memory that are mappings of their own, found again by their address (ptrmap). The ground that
 * operator new stands on, and the slab allocator's large blocks. All functions may be called by several threads at once. */
#ifndef TARGET_OPERATOR_BLOCK_H
#define TARGET_OPERATOR_BLOCK_H

#include <stdbool.h>
#include <stddef.h>

struct opblock {
	size_t size; /* as asked for */
	size_t tag;  /* the owner's; not interpreted */
};

/* Makes the map of blocks ready; further calls do nothing. With @resident its first 32 pages are, too, so that they do not
 * become so in mid-experiment. 0 or -errno. */
int opblock_init(bool resident);

/* A zeroed block of @size bytes (0 is legal: a unique address) at a multiple of @align, a power of two, and at least of
 * the page size; @align 0 means no more than that. NULL where it cannot be had. */
void *opblock_new(size_t size, size_t align, size_t tag);

/* What the block at @ptr was made with, in @out. 0, or -ENOENT where @ptr is no living block. */
int opblock_find(const void *ptr, struct opblock *out);

/* Unmaps the block at @ptr and says in @out what it was. Of several threads that try, one succeeds. 0, or -ENOENT. */
int opblock_delete(void *ptr, struct opblock *out);

/* Changes the size, moving pages and not bytes. The new address; NULL, with the block as it was, where there is no memory
 * or no such block. */
void *opblock_resize(void *ptr, size_t size);

/* The bytes that a block of @size has: whole pages, at least one. 0 where no block can be as large. */
size_t opblock_length(size_t size);

/* Number of living blocks. */
size_t opblock_count(void);

/* Takes, and releases, all locks: for fork handlers. */
void opblock_lock_all(void);
void opblock_unlock_all(void);

/* Writes one line to stderr and aborts. Takes no memory. */
_Noreturn void opblock_die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
