/* SPDX-License-Identifier: GPL-2.0-only */
/* ptrmap: a concurrent map from a block's address to two words about it.
 *
 * The address picks one of 32 shards; each is a table with its own lock, open addressing and linear probing:
 *
 *	shard 0    lock  [ key | size | align, kind ][ ... ]	a mapping of its own
 *	  ...
 *	shard 31   lock  [ ... ]
 *
 * No memory comes from a heap. The first tables of all shards, of 4 entries each, share a page; a table that outgrows its
 * own moves to pages of its own, from one on, doubles at 3/4 load, halves below 1/8, and comes back to its first one: an
 * empty map is one page. A resident map begins with, and keeps, a page for each shard. */
#ifndef TARGET_PTRMAP_H
#define TARGET_PTRMAP_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PTRMAP_SHARDS 32

struct ptrmap_value {
	size_t size;
	size_t info; /* the owner's; not interpreted */
};

struct ptrmap_entry {
	uintptr_t key; /* 0 = empty */
	struct ptrmap_value value;
};

struct ptrmap_shard {
	_Alignas(64) pthread_mutex_t lock;
	struct ptrmap_entry *table, *first; /* the one in use, the one to begin with; NULL before ptrmap_init */
	size_t capacity;		    /* entries; a power of two */
	size_t used;
};

struct ptrmap {
	struct ptrmap_shard shards[PTRMAP_SHARDS];
	size_t first_capacity; /* of each shard's first table */
};

/* Makes @map empty; with @resident its first tables have room for 96 entries each and are resident at once, for those who
 * measure themselves. 0 or -errno. The caller orders it before all other calls. */
int ptrmap_init(struct ptrmap *map, bool resident);

/* Unmaps all tables; the map must be in no other thread's use. Legal on a zeroed map. */
void ptrmap_close(struct ptrmap *map);

/* Adds @ptr. 0; -EEXIST where it is in the map already; -ENOMEM where the table cannot grow. @ptr is not NULL. */
int ptrmap_insert(struct ptrmap *map, const void *ptr, struct ptrmap_value value);

/* The value of @ptr in @out. 0, or -ENOENT with @out untouched. */
int ptrmap_find(struct ptrmap *map, const void *ptr, struct ptrmap_value *out);

/* Takes @ptr out of the map; of several threads that try, one succeeds. 0, or -ENOENT with @out untouched. */
int ptrmap_remove(struct ptrmap *map, const void *ptr, struct ptrmap_value *out);

/* Sets the value of @ptr, which must be in the map. 0 or -ENOENT. */
int ptrmap_update(struct ptrmap *map, const void *ptr, struct ptrmap_value value);

/* Entries in the map; a snapshot of each shard in turn. */
size_t ptrmap_count(struct ptrmap *map);

/* Takes, and releases, every lock in order: for fork handlers. */
void ptrmap_lock_all(struct ptrmap *map);
void ptrmap_unlock_all(struct ptrmap *map);

#endif
