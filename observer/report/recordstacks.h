/* SPDX-License-Identifier: GPL-2.0-only */
/* recordstacks: which call chains a recording has lines for already, and by which numbers. */
#ifndef HEAPTRACE_RECORDSTACKS_H
#define HEAPTRACE_RECORDSTACKS_H

#include "event/event.h"

struct recordstacks;

struct recordstack {
	uint64_t number; /* of its line */
	bool cut;	 /* the line does not hold all of it: for the owner */
};

/* An empty table. NULL on lack of memory. */
struct recordstacks *recordstacks_new(void);

/* Frees it; NULL is legal. */
void recordstacks_free(struct recordstacks *stacks);

/* The line of the call chain of @change, which has an id: 0 where there is one, 1 where it is to be written now, -ENOMEM. Valid
 * until the next call. */
int recordstacks_get(struct recordstacks *stacks, const struct event_change *change, struct recordstack **ret_stack);

#endif
