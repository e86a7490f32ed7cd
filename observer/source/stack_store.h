/* SPDX-License-Identifier: GPL-2.0-only */
/* stack_store: the stacks that rows have named by their ids. Pure but for what it keeps. */
#ifndef HEAPTRACE_STACK_STORE_H
#define HEAPTRACE_STACK_STORE_H

#include "bpf/wire_stack.h"
#include "event/event.h"

#include <stddef.h>

/* What is kept of each generation: those of the last one stay while the next one fills. */
#define STACK_STORE_MAX	      65536u
#define STACK_STORE_BYTES_MAX ((size_t)64 << 20)

struct stack_store;

/* NULL on lack of memory. */
struct stack_store *stack_store_new(void);

/* Frees it; NULL is legal. */
void stack_store_free(struct stack_store *store);

/* Keeps the stack of a record of @size bytes. 0, -EBADMSG where it is none, -ENOMEM. */
int stack_store_put(struct stack_store *store, const struct wire_stack *record, size_t size);

/* Has rows that name @copy have the stack @id, which was put. */
int stack_store_alias(struct stack_store *store, uint64_t copy, uint64_t id);

/* Whether so many were put that the sender should be told to send each again, after which stack_store_turn is due. */
bool stack_store_full(const struct stack_store *store);

/* Begins a new generation, and forgets the one before the last. */
void stack_store_turn(struct stack_store *store);

/* Writes the stack that a row names by @id into @change. The frames are the store's until its next call. An id that is not
 * known, or no longer, is that of a lost one; 0 says that there is none. */
void stack_store_fill(struct stack_store *store, uint64_t id, struct event_change *change);

#endif
