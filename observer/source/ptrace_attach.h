/* SPDX-License-Identifier: GPL-2.0-only */
/* ptrace_attach: takes hold of the processes that are to be watched. */
#ifndef HEAPTRACE_PTRACE_ATTACH_H
#define HEAPTRACE_PTRACE_ATTACH_H

#include "base/diag.h"
#include "source/ptrace_state.h"

/* Traces the command @pid, which has not been executed yet. 0; -EAGAIN where Yama does not allow it before the command itself
 * does: to be tried again; or another -errno with @diag. */
int attach_child(struct tracer *tracer, pid_t pid, struct diag *diag);

/* Traces all threads of the process that @pid is a thread of, and tells them to stop: their stops are to be waited for until
 * attach_ready(), then attach_finish() is to be called. Returns the process, or -errno with @diag. */
pid_t attach_process(struct tracer *tracer, pid_t pid, struct diag *diag);

/* Whether all threads of process @pid are stopped. */
bool attach_ready(const struct tracer *tracer, pid_t pid);

/* Opens the books of process @pid and lets it go on. */
void attach_finish(struct tracer *tracer, pid_t pid);

#endif
