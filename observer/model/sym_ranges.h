/* SPDX-License-Identifier: GPL-2.0-only */
/* sym_ranges: address ranges, each with a value, to be searched by address. */
#ifndef HEAPTRACE_SYM_RANGES_H
#define HEAPTRACE_SYM_RANGES_H

#include <stddef.h>
#include <stdint.h>

/* Of one collection. */
#define SYM_RANGES_MAX 8000000u

struct sym_range {
	uint64_t low, high;
	uint64_t value;
};

/* Zero-initialise before use. */
struct sym_ranges {
	struct sym_range *list;
	size_t count, size;
};

/* Adds [@low, @high); empty ones, and those that begin at 0 (code that the linker dropped), are left out. 0, -ENOMEM, or
 * -E2BIG where there are too many. */
int sym_ranges_add(struct sym_ranges *ranges, uint64_t low, uint64_t high, uint64_t value);

/* Sorts them: once, before the first look-up. */
void sym_ranges_finish(struct sym_ranges *ranges);

/* The range that holds @addr, of several the one that begins last; NULL where there is none. */
const struct sym_range *sym_ranges_find(const struct sym_ranges *ranges, uint64_t addr);

/* Frees them: as new. */
void sym_ranges_free(struct sym_ranges *ranges);

#endif
