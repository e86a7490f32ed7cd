/* SPDX-License-Identifier: GPL-2.0-only */
/* ptrace_claims: which part of a change of level the runs of faults have made, by the pages that they were taken on. */
#ifndef HEAPTRACE_PTRACE_CLAIMS_H
#define HEAPTRACE_PTRACE_CLAIMS_H

#include "source/ptrace_state.h"

/* What one run has done. */
struct claim {
	struct usage delta;
	struct page_counts pages;
	bool grew; /* the stack, or another mapping that grows downward */
};

/* What is known of a change of level beside the runs. */
enum claim_trust {
	CLAIM_ALONE, /* nobody runs, so that the runs have made all of it, or nearly */
	CLAIM_EXACT, /* it is of the same moment as the runs, but others may have a part in it */
	CLAIM_ROUGH, /* it may be older or newer */
	CLAIM_SURE,  /* as CLAIM_EXACT, and no pages are to be looked at: they may have changed since */
};

/* Fills one claim for each run of @mm, given that the level has changed by @delta since it was last booked. 0; -ENOMEM;
 * or, for CLAIM_SURE, -EAGAIN where the sums alone do not tell. */
int claims_make(struct ptrace_mm *mm, const struct usage *delta, enum claim_trust trust, struct claim *claims);

/* Brings what is known of the pages of a range up to date. 0 or -ENOMEM. */
int claims_look(struct ptrace_mm *mm, uint64_t start, uint64_t end, struct page_counts *change);

/* Counts the pages of a range as they are now. */
void claims_count(const struct ptrace_mm *mm, uint64_t start, uint64_t end, struct page_counts *sum);

/* Whether each page of a range, of 512 pages at most, is either not there at all or anonymous and this mm's alone; if so
 * *@ret_pages is how many are there. */
bool claims_all_own(const struct ptrace_mm *mm, uint64_t start, uint64_t end, int64_t *ret_pages);

/* The state of the page at @addr, as pagemap has it now. PAGE_NONE for one in swap. */
enum page_state claims_page(const struct ptrace_mm *mm, uint64_t addr);

/* Divides @pages, of files or shared memory, at @addr: those of shared memory, given how both parts of the level changed. */
int64_t claims_shmem_part(const struct ptrace_mm *mm, uint64_t addr, int64_t bytes, const struct usage *delta);

#endif
