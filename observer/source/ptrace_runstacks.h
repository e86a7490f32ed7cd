/* SPDX-License-Identifier: GPL-2.0-only */
/* ptrace_runstacks: the code that has touched memory, for runs of page faults. Each fault comes with the address of its
 * instruction. The first ones after each stop come with a copy of the stack too, which is walked where a run begins by it. */
#ifndef HEAPTRACE_PTRACE_RUNSTACKS_H
#define HEAPTRACE_PTRACE_RUNSTACKS_H

#include "event/event.h"
#include "source/perf_faults.h"
#include "source/ptrace_decode.h"
#include "source/unwind.h"

struct ptrace_mm;
struct ptrace_runstacks;
struct tracer;

/* The stack of a run, in one piece of memory. */
struct ptrace_run_stack {
	uint64_t id;
	bool complete;
	unsigned int count;
	struct unwind_frame frames[];
};

/* NULL on lack of memory. */
struct ptrace_runstacks *runstacks_new(void);

/* Frees it; NULL is legal. */
void runstacks_free(struct ptrace_runstacks *runstacks);

/* Watches as perf_faults_watch() does, or gives up: then there are instructions only. */
void runstacks_watch(struct tracer *tracer, pid_t tid, bool on_exec);

/* Takes the copies that have been made, before the faults themselves are taken. */
void runstacks_collect(struct tracer *tracer);

/* Whether @fault, which continues @run in memory, is of the same function. */
bool runstacks_same(struct tracer *tracer, struct ptrace_mm *mm, const struct ptrace_run *run,
		    const struct perf_fault *fault);

/* @run of @mm begins with @fault: gives it what is known of the stack. */
void runstacks_begin(struct tracer *tracer, struct ptrace_mm *mm, const struct perf_fault *fault,
		     struct ptrace_run *run);

/* Puts it in the row of @run. Valid until the next call with the same tracer. */
void runstacks_put(struct tracer *tracer, const struct ptrace_run *run, struct event_change *change);

/* Frees the stacks of @count runs. */
void runstacks_drop(struct ptrace_run *runs, size_t count);

#endif
