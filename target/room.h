/* SPDX-License-Identifier: GPL-2.0-only */
/* room: how much memory a process could touch now before the machine or its control group runs out. */
#ifndef TARGET_ROOM_H
#define TARGET_ROOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The number that follows @label at the start of a line of @text, as in meminfo and memory.stat; @label "" is for a
 * file that holds nothing but a number. 0; -ENOENT where there is no such line; -EINVAL where it has no number. */
int room_find(const char *text, const char *label, uint64_t *out);

/* The path of the process's memory control group from the text of /proc/self/cgroup: that of the line "0::PATH", or for
 * @v1 of the hierarchy that has the memory controller. 0; -ENOENT; -ENAMETOOLONG; @out untouched on failure. */
int room_cgroup_path(const char *text, bool v1, char *out, size_t out_bytes);

/* What is left to touch: the least of MemAvailable and, for the memory control group (v2 or v1) of this process and
 * each above it, its limit less its use (of which inactive page cache does not count). UINT64_MAX where nothing is
 * known. Not for two threads at once. */
uint64_t room_available_bytes(void);

/* All memory and swap of the machine, in bytes; UINT64_MAX where it is not known. Not for two threads at once. */
uint64_t room_machine_bytes(void);

#endif
