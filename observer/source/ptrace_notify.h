/* SPDX-License-Identifier: GPL-2.0-only */
/* ptrace_notify: calls that wait for the tracer's answer without a stop: seccomp's user notifications. To and fro, tracer and
 * tracee wake each other up on one CPU; the wake-ups of a stop go to another CPU, which takes several times as long.
 *
 * A notification tells of a call's entry, and not of its result. For x86-64 only: elsewhere a signal that comes while a call
 * waits could end it with EINTR (see restart_notified()). */
#ifndef HEAPTRACE_PTRACE_NOTIFY_H
#define HEAPTRACE_PTRACE_NOTIFY_H

#include "source/ptrace_decode.h"

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The filter has at most so many instructions. */
#define NOTIFY_FILTER_MAX 24

/* A call that waits for its answer. */
struct notification {
	uint64_t id;
	pid_t tid;
	struct ptrace_entry entry;
};

/* Writes the filter: munmap, brk, and mmap of private anonymous memory, not to be executed, at an address of the kernel's choice,
 * notify. All else passes this filter; the other one (ptrace_seccomp_filter()) says what comes of it. Async-signal-safe. Returns
 * the number of instructions. */
unsigned int notify_filter(struct sock_filter out[static NOTIFY_FILTER_MAX]);

/* Runs in the child before its exec, when it is traced and has the other filter: asks the tracer whether it could take a
 * descriptor of this process, puts the filter on, and hands its listener over. Async-signal-safe. 0, also where there will be
 * no notifications; -EIO where the filter is on and nobody has taken its listener. */
int notify_in_child(void);

/* Whether the call of a child before its exec is one of those by which notify_in_child() speaks to the tracer. */
bool notify_is_handshake(const struct ptrace_entry *entry);

/* Answers that of thread @tid, which is stopped at its entry. The listener, where it was handed over; else -1. */
int notify_shake_hands(pid_t tid, const struct ptrace_entry *entry);

/* Takes the next notification. 0; -EAGAIN where there is none, as its call was given up or is to be made again; -errno. */
int notify_receive(int listener, struct notification *out);

/* Lets the call of notification @id be made. 0; -ENOENT where its thread is being killed and will not make it; -errno. */
int notify_answer(int listener, uint64_t id);

/* Lets all calls be made that wait now. */
void notify_pass_all(int listener);

#endif
