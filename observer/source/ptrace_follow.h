/* SPDX-License-Identifier: GPL-2.0-only */
/* ptrace_follow: keeps the tracer on the CPU of the thread that it traces, as waking one another up across CPUs is what takes
 * most of the time of a stop. Only the tracer's own affinity is changed, never the target's. */
#ifndef HEAPTRACE_PTRACE_FOLLOW_H
#define HEAPTRACE_PTRACE_FOLLOW_H

#include <sched.h>
#include <stdbool.h>
#include <sys/types.h>

struct follow {
	cpu_set_t allowed; /* as it was at first */
	bool usable;
	bool pinned;
	pid_t tid;	     /* of the last stops */
	unsigned int streak; /* how many stops in a row were its own */
	bool stopped;	     /* since the last tick */
};

/* To be called first. */
void follow_init(struct follow *follow);

/* Thread @tid has stopped. */
void follow_stop(struct follow *follow, pid_t tid);

/* Goes wherever the scheduler likes, until follow_stop() says otherwise. */
void follow_release(struct follow *follow);

/* Some time has passed: a tracer that nothing stops for need not share the CPU of its target. */
void follow_tick(struct follow *follow);

#endif
