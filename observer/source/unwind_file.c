/* SPDX-License-Identifier: GPL-2.0-only */
/* The objects that are mapped: opened by way of the process, so that it is what it has mapped that is read and not what has its
 * name now, and kept once for all processes. */
#include "source/unwind_file.h"
#include "base/map.h"
#include "base/mapfile.h"

#include <errno.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of memory for all objects together. Those that are mapped nowhere go first; then no more are read. */
#define BYTES_MAX (256u << 20)
#define FILES_MAX 16384

static uint64_t file_key(uint64_t dev, uint64_t inode)
{
	return inode ^ dev << 40;
}

static void file_free(struct unwind_cache *cache, struct unwind_file *file)
{
	cache->bytes -= file->object.bytes;
	cache->file_count--;
	object_clear(&file->object);
	free(file);
}

void files_free(struct unwind_cache *cache)
{
	struct unwind_file *file;
	size_t pos = 0;

	while ((file = map_next(&cache->files, &pos, NULL))) {
		while (file) {
			struct unwind_file *older = file->older;

			file_free(cache, file);
			file = older;
		}
	}
	map_free(&cache->files);
	if (cache->vdso)
		file_free(cache, cache->vdso);
}

/* Files that are mapped nowhere any more are kept for the next process, until there are too many. */
static void files_trim(struct unwind_cache *cache)
{
	struct unwind_file *file;
	uint64_t key;
	size_t pos = 0;

	while ((cache->bytes > BYTES_MAX / 2 || cache->file_count >= FILES_MAX) &&
	       (file = map_next(&cache->files, &pos, &key))) {
		if (file->maps || file->older)
			continue;
		map_del(&cache->files, key);
		file_free(cache, file);
		pos = 0;
	}
}

static int64_t mtime_ns(const struct stat *status)
{
	return status->st_mtim.tv_sec * 1000000000ll + status->st_mtim.tv_nsec;
}

/* Reads a file. NULL on lack of memory. */
static struct unwind_file *file_new(struct unwind_cache *cache, const struct object_bytes *bytes)
{
	struct unwind_file *file = calloc(1, sizeof(*file));
	int err;

	if (!file)
		return NULL;
	file->serial = ++cache->serials;
	err = cache->bytes < BYTES_MAX ? object_read(bytes, &file->object) : -EFBIG;
	file->usable = !err;
	file->is_elf = err != -ENOEXEC;
	cache->bytes += file->object.bytes;
	cache->file_count++;
	return file;
}

/* The file as it was when it had this size and time; one that was replaced and is mapped nowhere goes. */
static struct unwind_file *version_find(struct unwind_cache *cache, const struct unwind_map *map,
					const struct stat *status)
{
	uint64_t key = file_key(map->dev, map->inode);
	struct unwind_file *file = map_get(&cache->files, key);

	for (; file; file = file->older) {
		if (file->dev == map->dev && file->inode == map->inode && file->size == (uint64_t)status->st_size &&
		    file->mtime_ns == mtime_ns(status))
			return file;
	}
	file = map_get(&cache->files, key);
	if (file && !file->maps && !file->older) {
		map_del(&cache->files, key);
		file_free(cache, file);
	}
	return NULL;
}

static struct unwind_file *file_enter(struct unwind_cache *cache, const struct unwind_map *map, int fd,
				      const struct stat *status)
{
	const struct object_bytes bytes = { .fd = fd, .size = (uint64_t)status->st_size };
	uint64_t key = file_key(map->dev, map->inode);
	struct unwind_file *file;

	files_trim(cache);
	if (cache->file_count >= FILES_MAX)
		return NULL;
	file = file_new(cache, &bytes);
	if (!file)
		return NULL;
	file->dev = map->dev;
	file->inode = map->inode;
	file->size = bytes.size;
	file->mtime_ns = mtime_ns(status);
	file->older = map_get(&cache->files, key);
	if (map_put(&cache->files, key, file)) {
		file_free(cache, file);
		return NULL;
	}
	return file;
}

struct unwind_file *file_get(struct unwind_cache *cache, pid_t pid, const struct unwind_map *map)
{
	const struct mapfile mapping = { .pid = pid,
					 .start = map->start,
					 .end = map->end,
					 .path = map->path,
					 .dev = map->dev,
					 .inode = map->inode };
	struct unwind_file *file;
	struct stat status;
	int fd = mapfile_open(&mapping, &status);

	if (fd < 0) {
		/* The process is gone, most likely: what was read for another one will do. */
		file = map_get(&cache->files, file_key(map->dev, map->inode));
		return file && file->dev == map->dev && file->inode == map->inode ? file : NULL;
	}
	file = version_find(cache, map, &status);
	if (!file)
		file = file_enter(cache, map, fd, &status);
	close(fd);
	return file;
}

/* How many bytes from its beginning an image in memory has with its section headers. */
static uint64_t image_size(const ElfW(Ehdr) * header)
{
	uint64_t size = header->e_shoff + (uint64_t)header->e_shnum * header->e_shentsize, limit = 64u << 10;

	return size < limit ? size : limit;
}

struct unwind_file *file_vdso(struct unwind_cache *cache)
{
	const ElfW(Ehdr) *header = (const void *)(uintptr_t)getauxval(AT_SYSINFO_EHDR);

	if (cache->vdso_tried || !header)
		return cache->vdso;
	cache->vdso_tried = true;
	cache->vdso = file_new(cache, &(struct object_bytes){ .fd = -1, .data = header, .size = image_size(header) });
	return cache->vdso;
}
