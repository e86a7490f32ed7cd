/* SPDX-License-Identifier: GPL-2.0-only */
/* Open addressing with linear probing, at most three quarters full. A deletion moves later entries of its run back, so
 * there are no tombstones and look-ups stay short however many keys have come and gone. */
#include "base/map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAP_FIRST_SLOTS 16

/* The finaliser of splitmix64: keys are often small and consecutive, or addresses with many low zeros. */
static uint64_t hash_key(uint64_t key)
{
	key = (key ^ (key >> 30)) * 0xbf58476d1ce4e5b9ULL;
	key = (key ^ (key >> 27)) * 0x94d049bb133111ebULL;
	return key ^ (key >> 31);
}

/* The slot that holds @key, or the free one where it would go. There is always a free slot. */
static size_t find_slot(const struct map *map, uint64_t key)
{
	size_t at = hash_key(key) & map->mask;

	while (map->slots[at].value && map->slots[at].key != key)
		at = (at + 1) & map->mask;
	return at;
}

static int resize(struct map *map, size_t slot_count)
{
	struct map bigger = { .mask = slot_count - 1, .count = map->count };

	bigger.slots = calloc(slot_count, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	for (size_t i = 0; map->slots && i <= map->mask; i++) {
		if (map->slots[i].value)
			bigger.slots[find_slot(&bigger, map->slots[i].key)] = map->slots[i];
	}
	free(map->slots);
	*map = bigger;
	return 0;
}

void *map_get(const struct map *map, uint64_t key)
{
	if (!map->slots)
		return NULL;
	return map->slots[find_slot(map, key)].value;
}

int map_put(struct map *map, uint64_t key, void *value)
{
	size_t at, slots = map->slots ? map->mask + 1 : 0;
	int err;

	if (!slots || (map->count + 1) * 4 > slots * 3) {
		err = resize(map, slots ? slots * 2 : MAP_FIRST_SLOTS);
		if (err)
			return err;
	}
	at = find_slot(map, key);
	if (!map->slots[at].value)
		map->count++;
	map->slots[at] = (struct map_slot){ .key = key, .value = value };
	return 0;
}

/* Closes the gap at @gap: an entry further on in the run may move there if its home is not between the two. */
static void close_gap(struct map *map, size_t gap)
{
	for (size_t at = (gap + 1) & map->mask; map->slots[at].value; at = (at + 1) & map->mask) {
		size_t home = hash_key(map->slots[at].key) & map->mask;

		if (((at - home) & map->mask) < ((at - gap) & map->mask))
			continue;
		map->slots[gap] = map->slots[at];
		gap = at;
	}
	map->slots[gap].value = NULL;
}

void *map_del(struct map *map, uint64_t key)
{
	size_t at, slots;
	void *value;

	if (!map->slots)
		return NULL;
	at = find_slot(map, key);
	value = map->slots[at].value;
	if (!value)
		return NULL;
	close_gap(map, at);
	map->count--;
	slots = map->mask + 1;
	/* Without memory for a smaller table the present one goes on serving. */
	if (slots > MAP_FIRST_SLOTS && map->count * 8 < slots)
		(void)resize(map, slots / 2);
	return value;
}

void *map_next(const struct map *map, size_t *pos, uint64_t *ret_key)
{
	while (map->slots && *pos <= map->mask) {
		const struct map_slot *slot = &map->slots[(*pos)++];

		if (!slot->value)
			continue;
		if (ret_key)
			*ret_key = slot->key;
		return slot->value;
	}
	return NULL;
}

void map_free(struct map *map)
{
	if (!map)
		return;
	free(map->slots);
	memset(map, 0, sizeof(*map));
}
