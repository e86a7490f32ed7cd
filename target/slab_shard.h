/* SPDX-License-Identifier: GPL-2.0-only */
/* slab_shard: the parts that the slab allocator is divided into, each with its own lock, and which of them a thread uses.
 *
 * A thread has one of 16, and goes there only when it has something to keep in it: it begins at one of two common ones,
 * and comes back to these when all that was in its own is freed. So what stays of empty pages, which a pair of malloc and
 * free needs to be fast, is that of two shards, however many threads there are. */
#ifndef TARGET_SLAB_SHARD_H
#define TARGET_SLAB_SHARD_H

#include "slab_lock.h"
#include "slab_region.h"

#include <stdbool.h>
#include <stdint.h>

#define SLAB_SHARDS  16U
#define SLAB_CLASSES 22

struct slab_class {
	struct slab_page *current; /* where blocks are taken from; may be full, and may be empty (then it is kept) */
	struct slab_page *partial; /* other pages with both free blocks and such in use */
};

struct slab_shard {
	_Alignas(64) struct slab_lock lock;
	uint32_t empty; /* one bit for each class whose current page is empty; regions.reserved counts them */
	struct region_list regions;
	struct slab_class classes[SLAB_CLASSES];
};

_Static_assert(SLAB_CLASSES <= 32, "slab_shard.empty has a bit for each class");

/* Has the common shards keep pages with nothing in use. Before any other call. */
void shards_init(void);

/* The shard @index, below SLAB_SHARDS. */
struct slab_shard *shard_at(unsigned int index);

/* Where this thread allocates; NULL before it has. For shard_lock_mine alone. */
extern __thread struct slab_shard *shard_mine __attribute__((tls_model("initial-exec")));

/* The slow path of shard_lock_mine: the thread has no shard yet, or it is locked. */
struct slab_shard *shard_lock_other(bool threads);

/* Locks the shard where this thread allocates, if there are other @threads; that is what slab_lock_end has to be told. */
static inline struct slab_shard *shard_lock_mine(bool threads)
{
	struct slab_shard *shard = shard_mine;

	if (!shard || (threads && !slab_lock_try(&shard->lock)))
		return shard_lock_other(threads);
	return shard;
}

/* A page is wanted, and @shard, where this thread allocates, has none at hand. The shard to take it from, locked in the
 * place of @shard. */
struct slab_shard *shard_for_page(struct slab_shard *shard, bool threads);

#endif
