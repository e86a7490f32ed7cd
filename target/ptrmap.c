/* SPDX-License-Identifier: GPL-2.0-only */
#include "ptrmap.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FIRST_CAPACITY 4 /* of a map that is not resident: the tables of all shards fit into a page */

/* Fibonacci hashing: the multiplier is 2^64 divided by the golden ratio. The top bits choose the shard, the bits under
 * them the slot. Blocks are at least 16 bytes apart, so the low four bits say nothing. */
static uint64_t ptrmap_hash(uintptr_t key)
{
	return ((uint64_t)key >> 4) * UINT64_C(0x9e3779b97f4a7c15);
}

static struct ptrmap_shard *shard_of(struct ptrmap *map, uint64_t hash)
{
	return &map->shards[hash >> 59];
}

_Static_assert(PTRMAP_SHARDS == 1 << (64 - 59), "the shard is the top five bits of the hash");

static size_t slot_of(const struct ptrmap_shard *shard, uint64_t hash)
{
	return (size_t)(hash >> 24) & (shard->capacity - 1);
}

/* The table's own mapping: whole pages. */
static size_t table_bytes(size_t capacity)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (capacity * sizeof(struct ptrmap_entry) + page - 1) & ~(page - 1);
}

/* As many entries as fit into a page, rounded down to a power of two. */
static size_t page_capacity(void)
{
	size_t fit = (size_t)sysconf(_SC_PAGESIZE) / sizeof(struct ptrmap_entry);
	size_t capacity = 1;

	while (capacity * 2 <= fit)
		capacity *= 2;
	return capacity;
}

static struct ptrmap_entry *table_map(size_t capacity, int flags)
{
	void *table;

	if (capacity > SIZE_MAX / sizeof(struct ptrmap_entry) / 2)
		return NULL;
	table = mmap(NULL, table_bytes(capacity), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
	return table == MAP_FAILED ? NULL : table;
}

/* The slot that holds @key, or the empty one where it would stand. The table always has an empty slot. */
static struct ptrmap_entry *shard_probe(const struct ptrmap_shard *shard, uintptr_t key, uint64_t hash)
{
	size_t slot = slot_of(shard, hash);

	while (shard->table[slot].key != 0 && shard->table[slot].key != key)
		slot = (slot + 1) & (shard->capacity - 1);
	return &shard->table[slot];
}

/* Moves all entries to @table. */
static void shard_move(struct ptrmap_shard *shard, struct ptrmap_entry *table, size_t capacity)
{
	struct ptrmap_shard next = { .table = table, .capacity = capacity };

	for (size_t i = 0; i < shard->capacity; i++) {
		const struct ptrmap_entry *entry = &shard->table[i];

		if (entry->key != 0)
			*shard_probe(&next, entry->key, ptrmap_hash(entry->key)) = *entry;
	}
	if (shard->table != shard->first)
		munmap(shard->table, table_bytes(shard->capacity));
	shard->table = table;
	shard->capacity = capacity;
}

/* Where no larger table can be mapped the old one stays in use. */
static bool shard_grow(struct ptrmap_shard *shard)
{
	size_t capacity = shard->capacity < page_capacity() ? page_capacity() : shard->capacity * 2;
	struct ptrmap_entry *table = table_map(capacity, 0);

	if (table)
		shard_move(shard, table, capacity);
	return table != NULL;
}

/* One page holds so much more than the first table that it is left at another load than the larger ones. */
static void shard_shrink(struct ptrmap_shard *shard, size_t first_capacity)
{
	if (shard->capacity > page_capacity() && shard->used * 8 < shard->capacity) {
		struct ptrmap_entry *table = table_map(shard->capacity / 2, 0);

		if (table)
			shard_move(shard, table, shard->capacity / 2);
	} else if (shard->capacity == page_capacity() && shard->used * 4 <= first_capacity &&
		   shard->table != shard->first) {
		memset(shard->first, 0, first_capacity * sizeof(struct ptrmap_entry));
		shard_move(shard, shard->first, first_capacity);
	}
}

/* Empties @entry and moves later entries of its run up, so that no probe ends early (Knuth, 6.4, algorithm R). */
static void shard_erase(struct ptrmap_shard *shard, const struct ptrmap_entry *entry)
{
	size_t mask = shard->capacity - 1;
	size_t hole = (size_t)(entry - shard->table);

	for (size_t slot = (hole + 1) & mask; shard->table[slot].key != 0; slot = (slot + 1) & mask) {
		size_t home = slot_of(shard, ptrmap_hash(shard->table[slot].key));

		if (((slot - home) & mask) >= ((slot - hole) & mask)) {
			shard->table[hole] = shard->table[slot];
			hole = slot;
		}
	}
	shard->table[hole].key = 0;
	shard->used--;
}

int ptrmap_init(struct ptrmap *map, bool resident)
{
	size_t capacity = resident ? page_capacity() : FIRST_CAPACITY;
	struct ptrmap_entry *tables = table_map(PTRMAP_SHARDS * capacity, resident ? MAP_POPULATE : 0);

	if (!tables)
		return -ENOMEM;
	memset(map, 0, sizeof(*map));
	map->first_capacity = capacity;
	for (size_t i = 0; i < PTRMAP_SHARDS; i++) {
		struct ptrmap_shard *shard = &map->shards[i];

		pthread_mutex_init(&shard->lock, NULL);
		shard->table = shard->first = tables + i * capacity;
		shard->capacity = capacity;
	}
	return 0;
}

void ptrmap_close(struct ptrmap *map)
{
	struct ptrmap_entry *tables = map->shards[0].first;

	if (!tables)
		return;
	for (size_t i = 0; i < PTRMAP_SHARDS; i++) {
		struct ptrmap_shard *shard = &map->shards[i];

		if (shard->table != shard->first)
			munmap(shard->table, table_bytes(shard->capacity));
		pthread_mutex_destroy(&shard->lock);
	}
	munmap(tables, table_bytes(PTRMAP_SHARDS * map->first_capacity));
	memset(map, 0, sizeof(*map));
}

int ptrmap_insert(struct ptrmap *map, const void *ptr, struct ptrmap_value value)
{
	uint64_t hash = ptrmap_hash((uintptr_t)ptr);
	struct ptrmap_shard *shard = shard_of(map, hash);
	struct ptrmap_entry *entry;
	int err = 0;

	pthread_mutex_lock(&shard->lock);
	/* A table that cannot double is still good until one slot is left, which ends every probe. */
	if ((shard->used + 1) * 4 > shard->capacity * 3 && !shard_grow(shard) && shard->used + 1 == shard->capacity) {
		err = -ENOMEM;
		goto out;
	}
	entry = shard_probe(shard, (uintptr_t)ptr, hash);
	if (entry->key != 0) {
		err = -EEXIST;
		goto out;
	}
	*entry = (struct ptrmap_entry){ .key = (uintptr_t)ptr, .value = value };
	shard->used++;
out:
	pthread_mutex_unlock(&shard->lock);
	return err;
}

/* Locks the shard of @ptr. Its entry, or NULL where it is not in the map. */
static struct ptrmap_entry *lock_entry(struct ptrmap *map, const void *ptr, struct ptrmap_shard **out_shard)
{
	uint64_t hash = ptrmap_hash((uintptr_t)ptr);
	struct ptrmap_shard *shard = shard_of(map, hash);
	struct ptrmap_entry *entry;

	pthread_mutex_lock(&shard->lock);
	entry = shard_probe(shard, (uintptr_t)ptr, hash);
	*out_shard = shard;
	return entry->key ? entry : NULL;
}

int ptrmap_find(struct ptrmap *map, const void *ptr, struct ptrmap_value *out)
{
	struct ptrmap_shard *shard;
	const struct ptrmap_entry *entry = lock_entry(map, ptr, &shard);

	if (entry)
		*out = entry->value;
	pthread_mutex_unlock(&shard->lock);
	return entry ? 0 : -ENOENT;
}

int ptrmap_remove(struct ptrmap *map, const void *ptr, struct ptrmap_value *out)
{
	struct ptrmap_shard *shard;
	const struct ptrmap_entry *entry = lock_entry(map, ptr, &shard);
	bool found = entry != NULL;

	if (found) {
		*out = entry->value;
		shard_erase(shard, entry);
		shard_shrink(shard, map->first_capacity);
	}
	pthread_mutex_unlock(&shard->lock);
	return found ? 0 : -ENOENT;
}

int ptrmap_update(struct ptrmap *map, const void *ptr, struct ptrmap_value value)
{
	struct ptrmap_shard *shard;
	struct ptrmap_entry *entry = lock_entry(map, ptr, &shard);

	if (entry)
		entry->value = value;
	pthread_mutex_unlock(&shard->lock);
	return entry ? 0 : -ENOENT;
}

size_t ptrmap_count(struct ptrmap *map)
{
	size_t count = 0;

	for (size_t i = 0; i < PTRMAP_SHARDS; i++) {
		pthread_mutex_lock(&map->shards[i].lock);
		count += map->shards[i].used;
		pthread_mutex_unlock(&map->shards[i].lock);
	}
	return count;
}

void ptrmap_lock_all(struct ptrmap *map)
{
	for (size_t i = 0; i < PTRMAP_SHARDS; i++)
		pthread_mutex_lock(&map->shards[i].lock);
}

void ptrmap_unlock_all(struct ptrmap *map)
{
	for (size_t i = PTRMAP_SHARDS; i-- > 0;)
		pthread_mutex_unlock(&map->shards[i].lock);
}
