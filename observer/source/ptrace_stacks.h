/* SPDX-License-Identifier: GPL-2.0-only */
/* ptrace_stacks: the call chains of threads at their stops. They are walked there and then: a walk is a fraction of what the
 * stop itself costs, and needs neither copies nor limits on how deep a stack is. */
#ifndef HEAPTRACE_PTRACE_STACKS_H
#define HEAPTRACE_PTRACE_STACKS_H

#include "event/event.h"
#include "source/source.h"

#include <stdbool.h>
#include <stdint.h>

struct tracer;
struct ptrace_call;
struct ptrace_mm;
struct ptrace_stacks;
struct ptrace_task;
struct unwind_copy;
struct unwind_frame;
struct unwind_regs;
struct unwind_space;
struct unwind_stack;

/* The code of one mm, as it was last read. */
struct ptrace_code {
	struct unwind_space *space; /* NULL: not yet */
	bool stale;		    /* it has changed since */
	uint64_t retry_order;	    /* mm->order from which on it is read again for an address that is not in it */
	uint64_t retry_step;
};

/* NULL where @how is SOURCE_STACKS_NONE, and on lack of memory: then none are taken. */
struct ptrace_stacks *stacks_new(enum source_stacks how);

/* Frees it; NULL is legal. Each mm's part must have been freed. */
void stacks_free(struct ptrace_stacks *stacks);

/* Walks the stack of @task, which is stopped in @task->mm, and keeps it with the task. Does nothing where none are taken. */
void stacks_take(struct tracer *tracer, struct ptrace_task *task);

/* Puts the stack that is kept with @task (NULL: none) in @change. It is valid until the next call with the same tracer. */
void stacks_put(struct tracer *tracer, const struct ptrace_task *task, struct event_change *change);

/* Puts other frames in @change; valid as above. */
void stacks_put_frames(struct tracer *tracer, const struct unwind_frame *frames, unsigned int count,
		       struct event_change *change);

/* Walks a stack of @mm from a copy. False where none are taken, or the code of @mm cannot be had. */
bool stacks_walk_copy(struct tracer *tracer, struct ptrace_mm *mm, const struct unwind_regs *regs,
		      struct unwind_copy *copy, struct unwind_stack *out);

/* Whether instructions at @a and @b are of one function of @mm, as far as that is known. */
bool stacks_same_function(struct tracer *tracer, struct ptrace_mm *mm, uint64_t a, uint64_t b);

/* A call of @mm has returned @ret: what it may have done to mapped code is looked at before the next walk. */
void stacks_call_done(struct ptrace_mm *mm, const struct ptrace_call *call, int64_t ret);

/* A child's mm begins with the code of its parent's. */
void stacks_fork(const struct ptrace_mm *parent, struct ptrace_mm *mm);

/* Frees what is known of the code of @mm. */
void stacks_mm_free(struct ptrace_mm *mm);

#endif
