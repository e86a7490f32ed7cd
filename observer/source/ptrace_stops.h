/* SPDX-License-Identifier: GPL-2.0-only */
/* ptrace_stops: what each stop of a traced thread means, and how it goes on. */
#ifndef HEAPTRACE_PTRACE_STOPS_H
#define HEAPTRACE_PTRACE_STOPS_H

#include "source/ptrace_notify.h"
#include "source/ptrace_state.h"

/* The options that every task is seized with. */
unsigned long stop_options(void);

/* Handles what wait(2) has told of @pid. */
void stop_handle(struct tracer *tracer, pid_t pid, int status);

/* A call of a thread waits for its answer. */
void stop_notified(struct tracer *tracer, const struct notification *notification);

/* Lets the task go on from its stop, delivering what that was for, or from its notification. */
void stop_resume(struct tracer *tracer, struct ptrace_task *task);

/* Makes @task stop. */
void stop_interrupt(struct ptrace_task *task);

/* Lets threads go on that wait for others of their mm, as far as they may. */
void stop_release(struct tracer *tracer, struct ptrace_mm *mm);

#endif
