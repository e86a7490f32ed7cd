/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/unwind_space.h"

#include "base/procfs.h"
#include "base/search.h"
#include "source/unwind_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

/* Pieces of code in one address space. */
#define MAPS_MAX 65536

struct unwind_cache *unwind_cache_new(void)
{
	struct unwind_cache *cache = calloc(1, sizeof(*cache));

	/* So that a program cannot choose addresses to give two stacks one id. */
	if (cache && getrandom(&cache->seed, sizeof(cache->seed), 0) != (ssize_t)sizeof(cache->seed))
		cache->seed = (uint64_t)(uintptr_t)cache;
	return cache;
}

void unwind_cache_free(struct unwind_cache *cache)
{
	if (!cache)
		return;
	files_free(cache);
	free(cache);
}

struct unwind_space *unwind_space_new(struct unwind_cache *cache, pid_t pid)
{
	struct unwind_space *space = calloc(1, sizeof(*space));

	if (!space)
		return NULL;
	space->cache = cache;
	space->pid = pid;
	return space;
}

static void map_clear(struct unwind_map *map)
{
	if (map->file)
		map->file->maps--;
	free(map->path);
}

static void maps_clear(struct unwind_map *maps, size_t count)
{
	for (size_t i = 0; i < count; i++)
		map_clear(&maps[i]);
	free(maps);
}

/* A copy of @from with a path and a reference of its own. */
static int map_copy(const struct unwind_map *from, struct unwind_map *out)
{
	char *path = from->path ? strdup(from->path) : NULL;

	if (from->path && !path)
		return -ENOMEM;
	*out = *from;
	out->path = path;
	if (out->file)
		out->file->maps++;
	return 0;
}

struct unwind_space *unwind_space_fork(const struct unwind_space *parent, pid_t pid)
{
	struct unwind_space *space = unwind_space_new(parent->cache, pid);

	if (!space)
		return NULL;
	space->maps = calloc(parent->count ? parent->count : 1, sizeof(*space->maps));
	if (!space->maps) {
		unwind_space_free(space);
		return NULL;
	}
	space->cap = parent->count ? parent->count : 1;
	for (size_t i = 0; i < parent->count; i++) {
		if (map_copy(&parent->maps[i], &space->maps[i])) {
			unwind_space_free(space);
			return NULL;
		}
		space->count++;
	}
	return space;
}

void unwind_space_free(struct unwind_space *space)
{
	if (!space)
		return;
	maps_clear(space->maps, space->count);
	free(space);
}

void unwind_space_set_pid(struct unwind_space *space, pid_t pid)
{
	space->pid = pid;
}

/* The index of the first mapping that ends after @addr. */
static size_t index_of(const struct unwind_space *space, uint64_t addr)
{
	return SEARCH_ABOVE(space->maps, space->count, end, addr);
}

struct unwind_map *space_find(const struct unwind_space *space, uint64_t addr)
{
	size_t at = index_of(space, addr);

	return at < space->count && space->maps[at].start <= addr ? &space->maps[at] : NULL;
}

bool unwind_space_has(const struct unwind_space *space, uint64_t start, uint64_t end)
{
	size_t at = index_of(space, start);

	return at < space->count && space->maps[at].start < end;
}

static int insert(struct unwind_space *space, size_t at, const struct unwind_map *map)
{
	if (space->count >= MAPS_MAX)
		return -ENOMEM;
	if (space->count == space->cap) {
		size_t cap = space->cap ? space->cap * 2 : 16;
		struct unwind_map *maps = reallocarray(space->maps, cap, sizeof(*maps));

		if (!maps)
			return -ENOMEM;
		space->maps = maps;
		space->cap = cap;
	}
	memmove(&space->maps[at + 1], &space->maps[at], (space->count - at) * sizeof(space->maps[0]));
	space->maps[at] = *map;
	space->count++;
	return 0;
}

static void erase(struct unwind_space *space, size_t at)
{
	map_clear(&space->maps[at]);
	space->count--;
	memmove(&space->maps[at], &space->maps[at + 1], (space->count - at) * sizeof(space->maps[0]));
}

/* What is left of a mapping behind @end. */
static int split(struct unwind_space *space, size_t at, uint64_t end)
{
	struct unwind_map rest;
	int err = map_copy(&space->maps[at], &rest);

	if (err)
		return err;
	rest.offset += end - rest.start;
	rest.start = end;
	err = insert(space, at + 1, &rest);
	if (err)
		map_clear(&rest);
	return err;
}

int unwind_space_unmap(struct unwind_space *space, uint64_t start, uint64_t end)
{
	size_t at = index_of(space, start);

	while (at < space->count && space->maps[at].start < end) {
		struct unwind_map *map = &space->maps[at];

		if (map->start < start && map->end > end) {
			int err = split(space, at, end);

			if (err)
				return err;
			space->maps[at++].end = start;
		} else if (map->start < start) {
			map->end = start;
			at++;
		} else if (map->end > end) {
			map->offset += end - map->start;
			map->start = end;
			at++;
		} else {
			erase(space, at);
		}
	}
	return 0;
}

static enum unwind_kind kind_of(const struct unwind_mapping *mapping)
{
	if (mapping->inode)
		return UNWIND_FILE;
	return mapping->path && !strcmp(mapping->path, "[vdso]") ? UNWIND_VDSO : UNWIND_MADE;
}

int unwind_space_map(struct unwind_space *space, const struct unwind_mapping *mapping)
{
	struct unwind_map map = { .start = mapping->start,
				  .end = mapping->end,
				  .offset = mapping->offset,
				  .dev = mapping->dev,
				  .inode = mapping->inode,
				  .kind = kind_of(mapping) };
	int err = unwind_space_unmap(space, mapping->start, mapping->end);

	if (err || !(mapping->prot & PROT_EXEC) || mapping->end <= mapping->start)
		return err;
	if (map.kind == UNWIND_FILE && mapping->path) {
		map.path = strdup(mapping->path);
		if (!map.path)
			return -ENOMEM;
	}
	err = insert(space, index_of(space, map.start), &map);
	if (err)
		map_clear(&map);
	return err;
}

static bool same_file(const struct unwind_map *a, const struct unwind_map *b)
{
	return a->dev == b->dev && a->inode == b->inode && (a->inode || a->kind == b->kind);
}

/* What was found behind a mapping that is still there needs not be found again. */
static void keep_files(struct unwind_space *space, const struct unwind_space *old)
{
	for (size_t i = 0; i < space->count; i++) {
		struct unwind_map *map = &space->maps[i];
		const struct unwind_map *was = space_find(old, map->start);

		if (!was || !was->tried || !same_file(was, map))
			continue;
		map->tried = true;
		map->kind = was->kind;
		map->file = was->file;
		if (map->file)
			map->file->maps++;
	}
}

static int map_add(void *ctx, const struct procfs_map *line)
{
	struct unwind_space *space = ctx;
	struct unwind_mapping mapping = { .start = line->start,
					  .end = line->end,
					  .offset = line->offset,
					  .prot = line->prot,
					  .dev = line->dev,
					  .inode = line->inode };
	char *path;
	int err;

	/* The vsyscall page belongs to no mm. */
	if (!(line->prot & PROT_EXEC) || (int64_t)line->start < 0)
		return 0;
	path = strndup(line->path, line->path_len);
	if (!path)
		return -ENOMEM;
	mapping.path = line->path_len ? path : NULL;
	err = unwind_space_map(space, &mapping);
	free(path);
	return err;
}

int unwind_space_read(struct unwind_space *space)
{
	struct unwind_space fresh = { .cache = space->cache, .pid = space->pid };
	int err = procfs_maps(space->pid, map_add, &fresh);

	if (err < 0) {
		maps_clear(fresh.maps, fresh.count);
		return err;
	}
	keep_files(&fresh, space);
	maps_clear(space->maps, space->count);
	*space = fresh;
	return 0;
}

struct unwind_file *space_file(struct unwind_space *space, struct unwind_map *map)
{
	if (!map->tried) {
		map->tried = true;
		if (map->kind == UNWIND_FILE)
			map->file = file_get(space->cache, space->pid, map);
		else if (map->kind == UNWIND_VDSO)
			map->file = file_vdso(space->cache);
		if (map->file)
			map->file->maps++;
		/* Some keep what they make in a file of their own. */
		if (map->file && !map->file->is_elf)
			map->kind = UNWIND_MADE;
	}
	return map->file && map->file->usable ? map->file : NULL;
}

void unwind_space_load(struct unwind_space *space)
{
	for (size_t i = 0; i < space->count; i++)
		(void)space_file(space, &space->maps[i]);
}
