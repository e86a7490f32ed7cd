/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/ptrace_wait.h"

#include "source/ptrace_state.h"

#include <errno.h>
#include <stdint.h>
#include <sys/wait.h>

/* About what it takes to be woken up in a virtual machine; a loop of memory calls stops again within that. */
#define LOOK_NS	    100000u
#define BACKOFF_MAX 1024u

bool stop_wait_looks(struct stop_wait *wait)
{
	if (!wait->skip)
		return true;
	wait->skip--;
	return false;
}

void stop_wait_learn(struct stop_wait *wait, bool found)
{
	if (found) {
		wait->backoff = 0;
		return;
	}
	wait->backoff = wait->backoff ? wait->backoff * 2 : 1;
	if (wait->backoff > BACKOFF_MAX)
		wait->backoff = BACKOFF_MAX;
	wait->skip = wait->backoff;
}

/* Looks for a stop: its pid, 0 where none came in time, or -1 with errno. */
static pid_t look(const volatile sig_atomic_t *signalled, int *ret_status)
{
	uint64_t end_ns = tracer_now_ns() + LOOK_NS;
	pid_t pid;

	do {
		pid = waitpid(-1, ret_status, __WALL | WNOHANG);
		if (!pid && *signalled) {
			errno = EINTR;
			return -1;
		}
	} while (!pid && tracer_now_ns() < end_ns);
	return pid;
}

pid_t stop_wait_next(struct stop_wait *wait, const volatile sig_atomic_t *signalled, int *ret_status)
{
	pid_t pid = 0;

	wait->found = false;
	if (stop_wait_looks(wait)) {
		pid = look(signalled, ret_status);
		wait->found = pid > 0;
		if (pid >= 0)
			stop_wait_learn(wait, wait->found);
	}
	return pid ? pid : waitpid(-1, ret_status, __WALL);
}
