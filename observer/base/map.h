/* SPDX-License-Identifier: GPL-2.0-only */
/* map: a hash map from a 64-bit key to a pointer. Zero-initialise before use; the values belong to the caller. */
#ifndef HEAPTRACE_MAP_H
#define HEAPTRACE_MAP_H

#include <stddef.h>
#include <stdint.h>

struct map_slot {
	uint64_t key;
	void *value; /* NULL: the slot is free */
};

struct map {
	struct map_slot *slots;
	size_t mask;  /* slots - 1, 0 while there are none */
	size_t count; /* entries */
};

/* The value of @key, or NULL where there is none. */
void *map_get(const struct map *map, uint64_t key);

/* Sets the value of @key, which replaces one that it had. @value must not be NULL. 0, or -ENOMEM with nothing changed. */
int map_put(struct map *map, uint64_t key, void *value);

/* Takes @key out and returns its value, or NULL where there was none. Never fails, and gives memory back as it shrinks. */
void *map_del(struct map *map, uint64_t key);

/* Walks the entries in no particular order: *@pos is 0 at first; returns the next value and sets *@ret_key (which may be
 * NULL), or returns NULL at the end. The map must not change during the walk, except for map_put() to a key it has. */
void *map_next(const struct map *map, size_t *pos, uint64_t *ret_key);

/* Frees the map's own memory, not the values: as new. NULL is legal. */
void map_free(struct map *map);

#endif
