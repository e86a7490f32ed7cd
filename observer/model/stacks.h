/* SPDX-License-Identifier: GPL-2.0-only */
/* stacks: the call chains of one mm that have their names already. */
#ifndef HEAPTRACE_STACKS_H
#define HEAPTRACE_STACKS_H

#include "base/map.h"
#include "event/event.h"

/* Frames of one call chain; sources take fewer, and what a recording has beyond is left out. */
#define STACK_DEPTH_MAX 1024u

struct stack {
	struct stack *next; /* of the same hash */
	uint64_t serial;    /* equal ones have equal frames, whatever the mm */
	unsigned int raw_count;
	unsigned int count, size;
	struct frame *raw;     /* as the source gave them: addr and exact */
	struct frame frames[]; /* with names, inlined ones added */
};

/* Zero-initialise before use. */
struct stacks {
	struct map by_hash; /* of the addresses: a list of struct stack */
	struct map by_id;   /* of the source: struct stack */
};

/* A new one for the first @raw_count frames of @raw, with room for @size named ones. NULL on lack of memory. */
struct stack *stack_new(const struct frame *raw, unsigned int raw_count, unsigned int size);

/* Bytes that it takes. */
size_t stack_bytes(const struct stack *stack);

/* The named call chain of @change, or NULL where it has to be named first. */
struct stack *stacks_find(struct stacks *stacks, const struct event_change *change);

/* Adds @stack, the one of @change, which is @stacks' from then on. 0, or -ENOMEM with it freed. */
int stacks_add(struct stacks *stacks, const struct event_change *change, struct stack *stack);

/* Forgets all of them. Returns the bytes that they took. */
size_t stacks_forget(struct stacks *stacks);

#endif
