/* SPDX-License-Identifier: GPL-2.0-only */
/* jitmap: the names that a just-in-time compiler gives its functions in /tmp/perf-PID.map, as seen by the process: its root,
 * its number in its own namespace. The file is the target's: regular, its own, without links, and of bounded size. */
#ifndef HEAPTRACE_JITMAP_H
#define HEAPTRACE_JITMAP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Of one file, what lies beyond is not read; nor are more functions. */
#define JITMAP_BYTES_MAX     ((size_t)64 << 20)
#define JITMAP_FUNCTIONS_MAX 1000000u

struct jitmap;

/* Prepares to read the file of @pid, while it lives; nothing is opened but its root. NULL where that cannot be. */
struct jitmap *jitmap_new(pid_t pid);

/* Frees it and all names; NULL is legal. */
void jitmap_free(struct jitmap *jitmap);

/* The name of the function that holds @addr, the latest where there are several, and how far behind its start that is. Reads
 * what the file has got since, at most until the memory of all names reaches @bytes_max. NULL where there is none. The name
 * stays as long as the jitmap. */
const char *jitmap_find(struct jitmap *jitmap, uint64_t addr, size_t bytes_max, uint64_t *ret_offset);

/* Bytes that the names take. */
size_t jitmap_bytes(const struct jitmap *jitmap);

/* Adds the lines "START SIZE NAME" of the @len bytes at @text, which stays the caller's; the last one is taken only with its
 * newline. Returns how many bytes were taken, or -ENOMEM. For jitmap_find(), and for tests. */
ssize_t jitmap_parse(struct jitmap *jitmap, const char *text, size_t len);

/* One without a process, for tests. NULL on lack of memory. */
struct jitmap *jitmap_new_empty(void);

#endif
