/* SPDX-License-Identifier: GPL-2.0-only */
/* ptrace_shadow: what /proc/PID/pagemap last said of each page of an mm, so that the next look tells what has changed.
 * Pages never looked at count as not resident. */
#ifndef HEAPTRACE_PTRACE_SHADOW_H
#define HEAPTRACE_PTRACE_SHADOW_H

#include "base/map.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A page that is resident, belongs to no file and is not this mm's alone is the zero page, which is no part of RSS, or one
 * shared with a child, which is. Only the totals tell: such a page is doubtful until shadow_decide(). */
enum page_state { PAGE_NONE, PAGE_ANON, PAGE_FILE, PAGE_DOUBTFUL };

struct shadow {
	struct map blocks; /* by address, of 512 pages each */
};

/* Numbers of pages; in a change, of those that are new in this state minus those that are no longer. */
struct page_counts {
	int64_t anon, file, doubtful;
};

/* The state that an entry of pagemap tells. */
enum page_state shadow_entry(uint64_t entry);

/* Whether an entry of pagemap is that of a page in swap, or on its way elsewhere. */
bool shadow_entry_swapped(uint64_t entry);

/* Compares @count entries of pagemap, beginning with page number @first, with what is known, keeps them, and adds the
 * difference to @change. 0 or -ENOMEM. */
int shadow_look(struct shadow *shadow, uint64_t first, const uint64_t *entries, size_t count,
		struct page_counts *change);

/* Adds to @sum what @count entries say, resolving doubtful ones by what is known of them. */
void shadow_count(const struct shadow *shadow, uint64_t first, const uint64_t *entries, size_t count,
		  struct page_counts *sum);

/* Makes all doubtful pages of a range anonymous or not resident. */
void shadow_decide(struct shadow *shadow, uint64_t first, uint64_t count, enum page_state state);

/* Sets the state of a range of pages. 0 or -ENOMEM; PAGE_NONE never fails. */
int shadow_set(struct shadow *shadow, uint64_t first, uint64_t count, enum page_state state);

/* What is known of one page. */
enum page_state shadow_get(const struct shadow *shadow, uint64_t page);

/* Makes @to, which is empty, what a fork copies: anonymous pages. 0 or -ENOMEM. */
int shadow_fork(const struct shadow *from, struct shadow *to);

/* Forgets everything and frees the memory. */
void shadow_free(struct shadow *shadow);

#endif
