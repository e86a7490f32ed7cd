/* SPDX-License-Identifier: GPL-2.0-only */
/* unwind_file: the cache of objects, for unwind_space.c. */
#ifndef HEAPTRACE_UNWIND_FILE_H
#define HEAPTRACE_UNWIND_FILE_H

#include "source/unwind_space.h"

/* The file behind @map of process @pid, opened and read if it is not in the cache. NULL where it cannot be opened. It is the
 * cache's; one that is not usable is there so that it is not tried again. */
struct unwind_file *file_get(struct unwind_cache *cache, pid_t pid, const struct unwind_map *map);

/* The object that the kernel maps into each process, which is the same for all of them: our own. NULL where there is none. */
struct unwind_file *file_vdso(struct unwind_cache *cache);

/* Frees all files. */
void files_free(struct unwind_cache *cache);

#endif
