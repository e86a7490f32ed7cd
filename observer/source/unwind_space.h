/* SPDX-License-Identifier: GPL-2.0-only */
/* unwind_space: which object is mapped where, for unwind.c. The functions that callers of unwind use are in unwind.h. */
#ifndef HEAPTRACE_UNWIND_SPACE_H
#define HEAPTRACE_UNWIND_SPACE_H

#include "base/map.h"
#include "source/unwind.h"
#include "source/unwind_object.h"

/* An object that was read, or that could not be. */
struct unwind_file {
	struct unwind_object object;
	uint64_t dev, inode, size;
	int64_t mtime_ns;
	uint64_t serial;   /* no two have had the same */
	unsigned int maps; /* that point to it */
	bool usable;
	bool is_elf;		   /* of this machine's architecture */
	struct unwind_file *older; /* of the same dev and inode, still mapped somewhere */
};

enum unwind_kind { UNWIND_FILE, UNWIND_VDSO, UNWIND_MADE /* code that the program has made itself */ };

struct unwind_map {
	uint64_t start, end, offset, dev, inode;
	enum unwind_kind kind;
	bool tried; /* to find its file */
	char *path; /* NULL: none */
	struct unwind_file *file;
};

struct unwind_space {
	struct unwind_cache *cache;
	pid_t pid;
	struct unwind_map *maps; /* in ascending order */
	size_t count, cap;
};

/* A row of an object, as it was last computed. */
struct unwind_cached_row {
	uint64_t serial, addr; /* serial 0: free */
	struct cfi_row row;
	const struct cfi *code;
};

#define UNWIND_ROWS 4096 /* a power of two */

struct unwind_cache {
	struct map files; /* struct unwind_file by dev and inode */
	uint64_t serials;
	size_t file_count;
	size_t bytes; /* of all objects */
	uint64_t seed;
	struct unwind_file *vdso;
	bool vdso_tried;
	struct unwind_cached_row rows[UNWIND_ROWS];
};

/* The mapping with @addr, or NULL. */
struct unwind_map *space_find(const struct unwind_space *space, uint64_t addr);

/* The object behind @map, read now if it was not yet; NULL where there is none that can be used. */
struct unwind_file *space_file(struct unwind_space *space, struct unwind_map *map);

#endif
