/* SPDX-License-Identifier: GPL-2.0-only */
/* ptrace_seccomp: the filter by which a command stops at few syscalls and runs at full speed through all others. */
#ifndef HEAPTRACE_PTRACE_SECCOMP_H
#define HEAPTRACE_PTRACE_SECCOMP_H

#include "source/ptrace_decode.h"

#include <linux/filter.h>
#include <stdbool.h>

/* The low bits of SECCOMP_RET_TRACE in our filter: what stops by them was stopped by us, not by a filter of the target. */
#define PTRACE_SECCOMP_MARK 0x4854

/* The filter has at most so many instructions. */
#define PTRACE_SECCOMP_MAX 96

/* Writes the filter: the memory calls, the calls that begin processes, those that change memory beside their purpose
 * (ftruncate and the like), marks, changes of a thread's name and filters with a listener stop; all else passes; every call of another architecture
 * than the native one stops. Async-signal-safe. Returns the number of instructions. */
unsigned int ptrace_seccomp_filter(struct sock_filter out[static PTRACE_SECCOMP_MAX]);

/* Whether @nr is one of those calls that change memory beside their purpose, whatever their arguments. */
bool ptrace_seccomp_is_stray(int nr);

/* Whether the call asks for a listener for a filter, which a process that has one of ours cannot have. */
bool ptrace_seccomp_wants_listener(const struct ptrace_entry *entry);

/* Run in the child before its exec: wait until it is traced, then put the filter on; or besides, where that can be had, the one
 * whose calls notify (ptrace_notify); or none. Async-signal-safe. Without a filter the tracer stops the child at every call, which
 * is slower and nothing else. 0; the second one also as notify_in_child(). */
int ptrace_seccomp_in_child(void);
int ptrace_seccomp_in_child_notifying(void);
int ptrace_seccomp_in_child_without(void);

#endif
