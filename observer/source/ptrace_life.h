/* SPDX-License-Identifier: GPL-2.0-only */
/* ptrace_life: address spaces begin and end, and processes in them. */
#ifndef HEAPTRACE_PTRACE_LIFE_H
#define HEAPTRACE_PTRACE_LIFE_H

#include "source/ptrace_state.h"

/* @task, stopped, has been born to @parent and has not run yet: it joins its parent's mm, or a copy of it opens. */
void life_born(struct tracer *tracer, struct ptrace_task *task, const struct ptrace_task *parent);

/* @task, stopped, has just got a new mm by exec; its id was @old_tid before, which differs where a thread other than the
 * first did it. */
void life_exec(struct tracer *tracer, struct ptrace_task *task, pid_t old_tid);

/* @task is at its last stop, still with its memory. */
void life_last_stop(struct tracer *tracer, struct ptrace_task *task, bool killed);

/* @task is gone, with this status of wait(2). */
void life_gone(struct tracer *tracer, struct ptrace_task *task, int status);

/* Opens the mm that the threads of a process have which is attached to; @task is one of them, stopped. The others are to
 * join what it has got. */
void life_attach(struct tracer *tracer, struct ptrace_task *task);

/* Closes the books of @mm, which lives on. */
void life_let_go(struct tracer *tracer, struct ptrace_mm *mm);

#endif
