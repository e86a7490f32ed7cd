/* SPDX-License-Identifier: GPL-2.0-only */
/* perf_stacks: registers and a piece of the stack of threads at page faults in user mode. The kernel copies them as long as
 * there is room: those of the first faults after each drain. The others are missing here, and nowhere else. */
#ifndef HEAPTRACE_PERF_STACKS_H
#define HEAPTRACE_PERF_STACKS_H

#include "source/unwind.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Of the stack, from the stack pointer on. */
#define PERF_STACK_BYTES 8192u

struct perf_stacks;

struct perf_stack {
	uint64_t ts_ns; /* CLOCK_MONOTONIC */
	uint64_t addr;	/* that was touched */
	pid_t tid;
	struct unwind_regs regs;
	const void *data; /* from regs' stack pointer on */
	size_t len;
};

/* Takes one; it is valid during the call. */
typedef void (*perf_stack_fn)(void *ctx, const struct perf_stack *stack);

/* Nothing watched yet. NULL on lack of memory, and where the registers of this architecture are not known. */
struct perf_stacks *perf_stacks_new(void);

/* Closes everything; NULL is legal. */
void perf_stacks_free(struct perf_stacks *stacks);

/* Watches thread @tid and all that it makes from now on, as perf_faults_watch() does. 0 or -errno. */
int perf_stacks_watch(struct perf_stacks *stacks, pid_t tid, bool on_exec);

/* Hands over all that has been copied, CPU by CPU. */
void perf_stacks_drain(struct perf_stacks *stacks, perf_stack_fn fn, void *ctx);

/* Decodes one record of @size bytes: true with @out filled, whose data points into it. */
bool perf_stacks_parse(const void *record, size_t size, struct perf_stack *out);

#endif
