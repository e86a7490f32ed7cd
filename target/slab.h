/* SPDX-License-Identifier: GPL-2.0-only */
/* slab: a general allocator that gives memory back. Nothing is stored beside or inside a block.
 *
 * Up to 2 KiB: blocks of one size class share a page; what is in use is in a bitmap apart from it. Up to 64 KiB: a run of
 * whole pages. Above: a mapping of its own (operator_block).
 *
 * Pages come in regions of 1 MiB. A page that becomes empty is given back at once (MADV_DONTNEED), but for a few that are
 * kept for the next allocation: by each shard as many as slab_set_keep says, and one for each 64 in use. The latter make a
 * busy program fast, and go as it frees. A region without a page in use is unmapped; one may stay for the pages kept in it.
 * Threads are spread over 16 shards, each with its own lock, regions and kept pages; a block goes back to the shard that
 * it came from. Where nothing is in use, only two shards keep anything, and threads that have next to nothing in use share
 * these (slab_shard). There are no caches per thread, so nothing is left behind in them; while the process has one thread,
 * no lock is taken. */
#ifndef TARGET_SLAB_H
#define TARGET_SLAB_H

#include <stddef.h>

/* Kept by each shard unless set otherwise: one page. What stays when all is freed is two of them, or one where there was one
 * thread, with at most two each that describe it: less than 1 % of the smallest process. */
#define SLAB_KEEP_BYTES ((size_t)4096)

/* The largest block that shares a page, and the largest that is no mapping of its own. */
#define SLAB_SMALL_BYTES ((size_t)2048)
#define SLAB_RUN_BYTES	 ((size_t)64 * 1024)

/* Makes the allocator ready; further calls do nothing. 0; -ENOTSUP where pages are not 4 KiB; -ENOMEM. */
int slab_init(void);

/* How much of empty pages each shard may keep while it has something in use, and two shards whatever is in use, in bytes,
 * rounded down to pages. 0: nothing is kept at any time. Has effect from the next free on. */
void slab_set_keep(size_t bytes);

/* @size bytes (0 is legal: a unique address) at a multiple of 16, and of @align where that is more: a power of two, or 0.
 * NULL where there is no memory. Contents are not defined. */
void *slab_alloc(size_t size, size_t align);

/* The same, filled with zeroes. */
void *slab_zalloc(size_t size, size_t align);

/* Gives @ptr back; NULL is legal; errno stays. A pointer that is no living block ends the process with one line on stderr. */
void slab_free(void *ptr);

/* @size bytes with the contents of @ptr, as far as both go; @ptr is gone unless NULL is returned. @ptr is not NULL. */
void *slab_realloc(void *ptr, size_t size);

/* The bytes that may be used at @ptr, at least as many as were asked for. Ends the process where @ptr is no block. */
size_t slab_size(const void *ptr);

/* Gives back all that is kept. 1 where that was something, else 0. */
int slab_trim(void);

/* Takes, and releases, all locks: for fork handlers. */
void slab_lock_all(void);
void slab_unlock_all(void);

#endif
