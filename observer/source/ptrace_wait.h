/* SPDX-License-Identifier: GPL-2.0-only */
/* ptrace_wait: waits for the next stop. Where the tracee runs on another CPU, and soon stops again, most of the time of a stop
 * goes into waking the tracer up: it then looks for the stop a moment longer before it sleeps. Whether that pays is learnt from
 * whether it did: on one CPU, or where all are busy, the tracee cannot even run meanwhile. */
#ifndef HEAPTRACE_PTRACE_WAIT_H
#define HEAPTRACE_PTRACE_WAIT_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

struct stop_wait {
	bool listens;	 /* notifications are waited for, too (ptrace_notify) */
	int listener;	 /* where they come from; -1: none will come any more */
	bool after_stop; /* what the last wait found was a stop */
	unsigned int waits;
	unsigned int skip;    /* waits that are not tried before the next one that is */
	unsigned int backoff; /* how many there were after the last failure */
	bool found;	      /* the last wait has found a stop by looking */
};

/* Whether the next wait is to look before it sleeps; counts the waits. */
bool stop_wait_looks(struct stop_wait *wait);

/* Tells whether a wait that looked has found a stop by that. */
void stop_wait_learn(struct stop_wait *wait, bool found);

/* Waits for notifications, too. From now on SIGCHLD, SIGALRM and SIGIO are blocked but for while a wait sleeps. */
void stop_wait_listen(struct stop_wait *wait, int listener);

/* As waitpid(-1, @ret_status, __WALL); ends with EINTR also where a signal's handler has set *@signalled while it looked. 0
 * where a notification has come. */
pid_t stop_wait_next(struct stop_wait *wait, const volatile sig_atomic_t *signalled, int *ret_status);

#endif
