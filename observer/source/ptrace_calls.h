/* SPDX-License-Identifier: GPL-2.0-only */
/* ptrace_calls: from the stops at the entry and the exit of a syscall to its row.
 *
 * Where several threads share an mm, only one at a time may be in a call that changes its mappings: the others wait at
 * their entry. So what VIRT does in between is that call's, and the order of rows is the order of changes. */
#ifndef HEAPTRACE_PTRACE_CALLS_H
#define HEAPTRACE_PTRACE_CALLS_H

#include "source/ptrace_state.h"

/* The task is stopped at the entry of a call, which may be translated on the way. True if it may go on; false if it waits for another thread of its mm. */
bool call_enter(struct tracer *tracer, struct ptrace_task *task, struct ptrace_entry *entry);

/* The task is stopped at the exit of the call that it is in, which returned @ret. */
void call_exit(struct tracer *tracer, struct ptrace_task *task, int64_t ret);

/* The task ends in the middle of the call that it is in, if any: books what that has done so far. */
void call_cut_short(struct tracer *tracer, struct ptrace_task *task);

/* The call of @task is no matter any more. */
void call_forget(struct ptrace_task *task);

/* The task at the head of the queue of @mm if it may go on now: begins its call, and is to be resumed by the caller.
 * NULL where none may. */
struct ptrace_task *call_next(struct tracer *tracer, struct ptrace_mm *mm);

/* Takes the token from a call that keeps others waiting for too long: it may be waiting for one of them. */
void call_lose_patience(struct ptrace_mm *mm, uint64_t now_ns);

/* Whether the exit of the task's call has to be seen. */
bool call_wants_exit(const struct ptrace_task *task);

#endif
