/* SPDX-License-Identifier: GPL-2.0-only */
/* ptrace_memory: reads the memory of a target. */
#ifndef HEAPTRACE_PTRACE_MEMORY_H
#define HEAPTRACE_PTRACE_MEMORY_H

#include "source/ptrace_state.h"

/* Reads up to @len bytes at @addr without bringing a page into memory that is not there: such pages of files are read from the
 * file. How many bytes could be had, from the first on. */
size_t memory_peek(const struct ptrace_mm *mm, pid_t tid, uint64_t addr, char *out, size_t len);

/* A copy of the string at @addr, which the caller frees; NULL where it cannot be read. Pages may come into memory by it. */
char *memory_string(pid_t tid, uint64_t addr, uint64_t page_size);

#endif
