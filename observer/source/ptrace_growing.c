/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/ptrace_growing.h"

#include "base/procfs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int growing_add(struct growing *growing, uint64_t start)
{
	if (growing->count == GROWING_MAX)
		return 0;
	if (growing->count == growing->cap) {
		unsigned int cap = growing->cap ? growing->cap * 2 : 4;
		struct growing_map *maps = reallocarray(growing->maps, cap, sizeof(*maps));

		if (!maps)
			return -ENOMEM;
		growing->maps = maps;
		growing->cap = cap;
	}
	growing->maps[growing->count++] = (struct growing_map){ start, start };
	return 0;
}

void growing_drop(struct growing *growing, uint64_t start, uint64_t len)
{
	for (unsigned int i = 1; i < growing->count; i++) {
		if (growing->maps[i].booked - start < len)
			growing->maps[i--] = growing->maps[--growing->count];
	}
}

int growing_copy(struct growing *to, const struct growing *from)
{
	int err = 0;

	for (unsigned int i = 0; i < from->count && !err; i++)
		err = growing_add(to, from->maps[i].booked);
	return err;
}

void growing_free(struct growing *growing)
{
	free(growing->maps);
	*growing = (struct growing){ 0 };
}

static int map_look(void *ctx, const struct procfs_map *map)
{
	struct growing *growing = ctx;

	for (unsigned int i = 0; i < growing->count; i++) {
		if (map->start < growing->maps[i].booked && growing->maps[i].booked < map->end)
			growing->maps[i].now = map->start;
	}
	return 0;
}

void growing_look(struct growing *growing, int maps_fd, pid_t tid)
{
	uint64_t start;

	for (unsigned int i = 0; i < growing->count; i++) {
		growing->maps[i].now = growing->maps[i].booked;
		if (maps_fd >= 0 && !procfs_map_start(maps_fd, growing->maps[i].booked, &start))
			growing->maps[i].now = start;
	}
	if (maps_fd < 0)
		procfs_maps(tid, map_look, growing);
}

int64_t growing_bytes(const struct growing *growing)
{
	int64_t bytes = 0;

	for (unsigned int i = 0; i < growing->count; i++)
		bytes += (int64_t)(growing->maps[i].booked - growing->maps[i].now);
	return bytes;
}

bool growing_is_near(const struct growing *growing, uint64_t page, uint64_t limit)
{
	for (unsigned int i = 0; i < growing->count; i++) {
		if (page < growing->maps[i].booked && growing->maps[i].booked - page <= limit)
			return true;
	}
	return false;
}

bool growing_begins_in(const struct growing *growing, uint64_t start, uint64_t end)
{
	for (unsigned int i = 0; i < growing->count; i++) {
		if (growing->maps[i].booked >= start && growing->maps[i].booked < end)
			return true;
	}
	return false;
}

int64_t growing_claim(struct growing *growing, uint64_t page)
{
	for (unsigned int i = 0; i < growing->count; i++) {
		struct growing_map *map = &growing->maps[i];
		uint64_t booked = map->booked;

		if (page < booked && page >= map->now) {
			map->booked = page;
			return (int64_t)(booked - page);
		}
	}
	return 0;
}

void growing_book(struct growing *growing, int64_t bytes)
{
	for (unsigned int i = 0; i < growing->count && bytes > 0; i++) {
		int64_t grown = (int64_t)(growing->maps[i].booked - growing->maps[i].now);

		if (grown > bytes)
			grown = bytes;
		growing->maps[i].booked -= (uint64_t)grown;
		bytes -= grown;
	}
}
