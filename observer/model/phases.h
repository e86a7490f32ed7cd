/* SPDX-License-Identifier: GPL-2.0-only */
/* phases: the books once more, cut at the marks that the target leaves. */
#ifndef HEAPTRACE_PHASES_H
#define HEAPTRACE_PHASES_H

#include "model/record.h"

/* Zero-initialise, then phases_begin(). */
struct phases {
	struct ledger_phase *phases; /* their lines are set by phases_view() */
	unsigned int *first;	     /* index into lines of each phase's first */
	unsigned int count, size;
	struct ledger_line *lines; /* of all phases, one phase after the other; their sums are made by phases_view() */
	unsigned int *wholes;	   /* for each, the index of the ledger's line that it is a part of */
	unsigned int line_count, line_size;
	unsigned int *line_of; /* by index into the ledger's lines: 1 + index into lines, of some phase or 0 */
	unsigned int line_of_size;
	uint64_t merged; /* marks after the last phase that was begun */
};

/* Begins the first phase. 0 or -ENOMEM. */
int phases_begin(struct phases *phases, uint64_t start_ns);

/* Enters @change, whose line in the ledger is the @index-th, called @name there. 0 or -ENOMEM. */
int phases_add(struct phases *phases, unsigned int index, const char *name, const struct event_change *change);

/* Ends the present phase at @level and begins one called @name, if there is room. 0 or -ENOMEM. */
int phases_cut(struct phases *phases, uint64_t now_ns, const char *name, const struct usage *level);

/* Ends the last phase and returns all of them, phases->count; they are valid until the next change. */
const struct ledger_phase *phases_view(struct phases *phases, uint64_t now_ns, const struct usage *level);

/* Enters what all phases have entered in the ledger's lines, which have nothing entered yet. */
void phases_merge(const struct phases *phases, struct ledger_line *lines);

/* Frees what they hold: as new. */
void phases_free(struct phases *phases);

#endif
