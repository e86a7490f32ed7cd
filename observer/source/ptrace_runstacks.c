/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/ptrace_runstacks.h"

#include "source/perf_stacks.h"
#include "source/ptrace_stacks.h"
#include "source/ptrace_state.h"

#include <stdlib.h>
#include <string.h>

#define KEPT	     64
/* From a fault's beginning, when its stack is copied, to its end, when it is recorded. */
#define FAULT_NS_MAX 1000000000u

/* A copy, until its fault comes or others need the room. */
struct kept {
	uint64_t ts_ns, addr;
	pid_t tid; /* 0: free */
	struct unwind_regs regs;
	struct unwind_copy copy;
	char data[PERF_STACK_BYTES];
};

struct ptrace_runstacks {
	struct perf_stacks *perf; /* NULL: no copies are made */
	unsigned int next;
	struct unwind_stack scratch;
	struct kept kept[KEPT];
};

struct ptrace_runstacks *runstacks_new(void)
{
	struct ptrace_runstacks *runstacks = calloc(1, sizeof(*runstacks));

	if (runstacks)
		runstacks->perf = perf_stacks_new();
	return runstacks;
}

void runstacks_free(struct ptrace_runstacks *runstacks)
{
	if (!runstacks)
		return;
	perf_stacks_free(runstacks->perf);
	free(runstacks);
}

void runstacks_watch(struct tracer *tracer, pid_t tid, bool on_exec)
{
	struct ptrace_runstacks *runstacks = tracer->runstacks;

	if (!runstacks || !runstacks->perf || !perf_stacks_watch(runstacks->perf, tid, on_exec))
		return;
	perf_stacks_free(runstacks->perf);
	runstacks->perf = NULL;
}

static void copy_keep(void *ctx, const struct perf_stack *stack)
{
	struct ptrace_runstacks *runstacks = ctx;
	struct kept *kept = &runstacks->kept[runstacks->next++ % KEPT];

	kept->ts_ns = stack->ts_ns;
	kept->addr = stack->addr;
	kept->tid = stack->tid;
	kept->regs = stack->regs;
	kept->copy = (struct unwind_copy){ .addr = unwind_regs_sp(&stack->regs),
					   .data = kept->data,
					   .len = stack->len < sizeof(kept->data) ? stack->len : sizeof(kept->data) };
	memcpy(kept->data, stack->data, kept->copy.len);
}

void runstacks_collect(struct tracer *tracer)
{
	if (tracer->runstacks && tracer->runstacks->perf)
		perf_stacks_drain(tracer->runstacks->perf, copy_keep, tracer->runstacks);
}

/* The copy that was made at @fault, or NULL. */
static struct kept *copy_find(struct ptrace_runstacks *runstacks, const struct perf_fault *fault)
{
	struct kept *found = NULL;

	for (unsigned int i = 0; i < KEPT; i++) {
		struct kept *kept = &runstacks->kept[i];

		if (kept->tid == fault->tid && kept->addr == fault->addr && kept->regs.pc == fault->ip &&
		    fault->ts_ns - kept->ts_ns < FAULT_NS_MAX && (!found || kept->ts_ns > found->ts_ns))
			found = kept;
	}
	return found;
}

bool runstacks_same(struct tracer *tracer, struct ptrace_mm *mm, const struct ptrace_run *run,
		    const struct perf_fault *fault)
{
	return !tracer->runstacks || stacks_same_function(tracer, mm, run->ip, fault->ip);
}

void runstacks_begin(struct tracer *tracer, struct ptrace_mm *mm, const struct perf_fault *fault,
		     struct ptrace_run *run)
{
	struct ptrace_runstacks *runstacks = tracer->runstacks;
	struct kept *kept = runstacks ? copy_find(runstacks, fault) : NULL;
	struct unwind_stack *found;
	size_t bytes;

	run->ip = fault->ip;
	if (!kept)
		return;
	found = &runstacks->scratch;
	kept->tid = 0;
	if (!stacks_walk_copy(tracer, mm, &kept->regs, &kept->copy, found))
		return;
	bytes = found->count * sizeof(found->frames[0]);
	run->stack = malloc(sizeof(*run->stack) + bytes);
	if (!run->stack)
		return;
	*run->stack = (struct ptrace_run_stack){ .id = found->id, .complete = found->complete, .count = found->count };
	memcpy(run->stack->frames, found->frames, bytes);
}

void runstacks_put(struct tracer *tracer, const struct ptrace_run *run, struct event_change *change)
{
	const struct unwind_frame alone = { .addr = run->ip, .exact = true };

	if (run->stack) {
		stacks_put_frames(tracer, run->stack->frames, run->stack->count, change);
		change->stack_complete = run->stack->complete;
		change->stack_id = run->stack->id;
	} else if (run->ip) {
		stacks_put_frames(tracer, &alone, 1, change);
	}
}

void runstacks_drop(struct ptrace_run *runs, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(runs[i].stack);
		runs[i].stack = NULL;
	}
}
