/* SPDX-License-Identifier: GPL-2.0-only */
/* replay_stacks: the call chains that a recording has lines for. */
#ifndef HEAPTRACE_REPLAY_STACKS_H
#define HEAPTRACE_REPLAY_STACKS_H

#include "event/event.h"

/* One of them: the frames and their strings in one block. */
struct replay_stack {
	uint64_t serial; /* no other of this recording has the same */
	unsigned int count;
	size_t bytes;
	struct frame frames[];
};

/* Zero-initialise before use. */
struct replay_stacks {
	struct replay_stack **list; /* by number - 1 */
	unsigned int count, size;
	size_t bytes;
	uint64_t serial;
};

/* Keeps a copy of @frames as number @number, and forgets those from that number on. 0; -EBADMSG where the number is not the
 * next one or smaller; -ERANGE where all together take too much; -ENOMEM. */
int replay_stacks_put(struct replay_stacks *stacks, uint64_t number, const struct frame *frames, unsigned int count);

/* The call chain @number, or NULL. Valid until it is forgotten. */
const struct replay_stack *replay_stacks_get(const struct replay_stacks *stacks, uint64_t number);

/* Frees all of them: as new. */
void replay_stacks_free(struct replay_stacks *stacks);

#endif
