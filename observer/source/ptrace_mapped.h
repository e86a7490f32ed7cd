/* SPDX-License-Identifier: GPL-2.0-only */
/* ptrace_mapped: which addresses of an mm are mapped, whatever by. */
#ifndef HEAPTRACE_PTRACE_MAPPED_H
#define HEAPTRACE_PTRACE_MAPPED_H

#include "source/ptrace_decode.h"

#include <stdbool.h>
#include <stddef.h>

/* Zeroed, it is not known. */
struct mapped {
	struct ptrace_range *ranges; /* ascending, none touches another */
	size_t count, cap;
	bool known;
};

/* Nothing is mapped, and that is known. */
void mapped_clear(struct mapped *mapped);

/* It is not known any more. */
void mapped_forget(struct mapped *mapped);

/* Forgets it and frees the memory. */
void mapped_free(struct mapped *mapped);

/* The range is mapped now, or is not. Where there is no memory for that it is forgotten. Nothing if it is not known. */
void mapped_add(struct mapped *mapped, uint64_t start, uint64_t end);
void mapped_cut(struct mapped *mapped, uint64_t start, uint64_t end);

/* Whether all of the range is mapped. */
bool mapped_whole(const struct mapped *mapped, uint64_t start, uint64_t end);

/* Whether of the range exactly one piece is not mapped, which is @out then. */
bool mapped_gap(const struct mapped *mapped, uint64_t start, uint64_t end, struct ptrace_range *out);

#endif
