/* SPDX-License-Identifier: GPL-2.0-only */
/* ptrace_restart: to be stopped by a tracer, as by a signal, ends some calls with EINTR that would wait on (signal(7),
 * "Interruption of system calls and library functions by stop signals"). A program that is attached to, or let go, is not to
 * see that: the call is made again. */
#ifndef HEAPTRACE_PTRACE_RESTART_H
#define HEAPTRACE_PTRACE_RESTART_H

#include "source/ptrace_decode.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Whether call @nr, which returned @ret, has done nothing yet and may be made again. */
bool restart_is_due(int64_t nr, int64_t ret);

/* Thread @tid is stopped because we asked it to: makes it repeat a call that was cut short by that and by no signal. True if it
 * will, as the first thing that it does. Time that such a call has waited already is not taken off its limit. Does nothing on
 * architectures other than x86-64, where the first argument of the call is not to be had back. */
bool restart_cut_call(pid_t tid);

/* Thread @tid was to repeat a call and has got @signal first: if it has a handler for it, the call ends with EINTR after all, as
 * it would have. True if so. */
bool restart_undo(pid_t tid, int signal);

/* Thread @tid is stopped, other than at a syscall. Whether a call that was to notify (ptrace_notify) has ended because of that,
 * without having been made: then it will be made again, though a signal's handler without SA_RESTART follows, and is @out. */
bool restart_notified(pid_t tid, struct ptrace_entry *out);

/* What the call has returned behind whose end thread @tid is stopped. False where that cannot be read. */
bool restart_result(pid_t tid, int64_t *ret);

#endif
