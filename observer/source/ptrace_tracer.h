/* SPDX-License-Identifier: GPL-2.0-only */
/* ptrace_tracer: the process that traces. It is apart from heaptrace so that the target survives it when heaptrace is killed:
 * a syscall that our seccomp filter stops fails with ENOSYS once there is no tracer, and a filter can never be taken off. So
 * the tracer stays, and lets everything pass, until the last process with the filter has ended. */
#ifndef HEAPTRACE_PTRACE_TRACER_H
#define HEAPTRACE_PTRACE_TRACER_H

#include "source/ptrace_ring.h"
#include "source/source.h"

/* Traces what @config says and writes events to @shared, for as long as process @heaptrace lives. Writes one int to @ready_fd
 * once that is under way: 0, or -errno with the reason in shared->diag; keeps it open until it has finished. To be called in a
 * child of @heaptrace forked for it; never returns. */
_Noreturn void tracer_run(const struct source_config *config, struct ptrace_shared *shared, pid_t heaptrace,
			  int ready_fd);

#endif
