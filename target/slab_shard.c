/* SPDX-License-Identifier: GPL-2.0-only */
#include "slab_shard.h"

#include <stdatomic.h>
#include <stddef.h>

#define COMMON 2 /* the first shards are; they are the own ones of some threads as well */

/* A thread leaves the common shards for its own after 8 pages that it has taken there, or 256 times that both were locked:
 * by then it has paid as much as mapping a region costs, and what needs less is not worth one. */
#define VISIT_MAX  256
#define VISIT_PAGE 32

#define THREAD_LOCAL __thread __attribute__((tls_model("initial-exec")))

static struct slab_shard shards[SLAB_SHARDS];
static atomic_uint next_shard;

THREAD_LOCAL struct slab_shard *shard_mine;
static THREAD_LOCAL struct slab_shard *shard_own; /* NULL before the thread's first allocation */
static THREAD_LOCAL unsigned int visit_cost;

void shards_init(void)
{
	for (unsigned int i = 0; i < COMMON; i++)
		shards[i].regions.keeps_idle = true;
}

struct slab_shard *shard_at(unsigned int index)
{
	return &shards[index];
}

static bool is_common(const struct slab_shard *shard)
{
	return shard < shards + COMMON;
}

/* The common shard of the threads that own @shard, or the @next one after it. */
static struct slab_shard *common_shard(const struct slab_shard *shard, unsigned int next)
{
	return &shards[((unsigned int)(shard - shards) + next) % COMMON];
}

/* Whether the thread has been at the common shards for long enough, where this costs it @cost more. */
static bool visit_ends(unsigned int cost)
{
	visit_cost += cost;
	if (visit_cost <= VISIT_MAX)
		return false;
	visit_cost = 0;
	return true;
}

/* A common shard that is locked: tries the other one, which is this thread's place from now on if it is free. */
static bool lock_other_common(void)
{
	struct slab_shard *other = common_shard(shard_mine, 1);

	if (slab_lock_try(&other->lock)) {
		shard_mine = other;
		return true;
	}
	if (visit_ends(1))
		shard_mine = shard_own;
	return false;
}

struct slab_shard *shard_lock_other(bool threads)
{
	if (!shard_mine) {
		shard_own = &shards[atomic_fetch_add(&next_shard, 1) % SLAB_SHARDS];
		shard_mine = common_shard(shard_own, 0);
		if (threads)
			slab_lock_take(&shard_mine->lock);
	} else if (!is_common(shard_mine) || !lock_other_common()) {
		slab_lock_take(&shard_mine->lock);
	}
	return shard_mine;
}

struct slab_shard *shard_for_page(struct slab_shard *shard, bool threads)
{
	struct slab_shard *next = shard;

	if (is_common(shard)) {
		if (shard != shard_own && visit_ends(VISIT_PAGE))
			next = shard_own;
	} else if (shard->regions.used == 0) {
		next = common_shard(shard, 0);
	}
	if (next != shard) {
		shard_mine = next;
		slab_lock_end(&shard->lock, threads);
		if (threads)
			slab_lock_take(&next->lock);
	}
	return next;
}
