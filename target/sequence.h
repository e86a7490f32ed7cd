/* SPDX-License-Identifier: GPL-2.0-only */
/* sequence: the experiment. Each block is allocated, touched and freed; at each step the process's memory is read and a
 * mark is left, with nothing between the two.
 *
 * Several threads go in step: all take the same step, then all read and mark while nobody's memory changes, so each
 * reading is exact for its mark. All memory that the sequence itself needs is mapped and resident before it begins. */
#ifndef TARGET_SEQUENCE_H
#define TARGET_SEQUENCE_H

#include "mark.h"
#include "options.h"
#include "reading.h"

enum step { STEP_BEFORE, STEP_ALLOC, STEP_TOUCH, STEP_FREE, STEP_KEEP, STEP_TRIM };

/* "before" and so on: the first word of the mark's name. Static. */
const char *step_word(enum step step);

enum outcome {
	OUTCOME_FREED,
	OUTCOME_KEPT,	 /* left alive, as --keep says */
	OUTCOME_FAILED,	 /* the allocator returned NULL */
	OUTCOME_SKIPPED, /* the same, for a default size that is larger than this machine's memory */
};

/* "freed" and so on. Static. */
const char *outcome_word(enum outcome outcome);

struct block_mark {
	enum step step;
	struct reading reading;
};

#define BLOCK_MARKS 5

struct block {
	size_t size;
	unsigned int round, thread; /* counted from 1 */
	long tid;
	enum outcome outcome;
	int error;		  /* errno of the failure, else 0 */
	size_t touched_bytes;	  /* written to */
	uint64_t available_bytes; /* where it was not touched because this is all there was; else UINT64_MAX */
	uintptr_t addr;
	unsigned int nr_marks; /* 2 where there is no block, else 4, or 5 with --trim */
	struct block_mark marks[BLOCK_MARKS];
};

struct sequence {
	const struct options *options;
	struct block *blocks; /* [round][size][thread] */
	size_t nr_blocks;
	struct reading opening, closing;
	size_t nr_failed, nr_skipped, nr_untouched, nr_kept;
	struct sequence_shared *shared; /* the part that only sequence.c knows */
};

/* Called after each size with its blocks, one of each thread, while nothing else goes on. */
typedef void (*sequence_fn)(void *ctx, const struct sequence *sequence, const struct block *blocks);

/* Runs the experiment and fills @out, which is to be given to sequence_close in any case. @done may be NULL. 0 or
 * -errno: -E2BIG where there would be too many readings to hold. A failed allocation is no error of the sequence. */
int sequence_run(const struct options *options, sequence_fn done, void *ctx, struct sequence *out);

/* The name of mark @index of @block: what sequence_run sent. */
void sequence_mark(const struct options *options, const struct block *block, unsigned int index, struct mark *out);

/* Unmaps the readings; blocks that were kept stay. Legal on a zeroed sequence. */
void sequence_close(struct sequence *sequence);

#endif
