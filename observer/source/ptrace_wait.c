/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/ptrace_wait.h"

#include "source/ptrace_state.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <time.h>

/* About what it takes to be woken up in a virtual machine; a loop of memory calls stops again within that. */
#define LOOK_NS	    100000u
#define BACKOFF_MAX 1024u

#define SIGNALS_EVERY 32u

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

/* There may be stops that wait(2) has not told of, beside those of which SIGCHLD is still blocked. */
static volatile sig_atomic_t stops_come;

static void on_stop(int signal)
{
	(void)signal;
	stops_come = 1;
}

static void signals_block(bool block)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGALRM);
	sigaddset(&set, SIGIO);
	sigprocmask(block ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

void stop_wait_listen(struct stop_wait *wait, int listener)
{
	struct sigaction action = { .sa_handler = on_stop };

	sigaction(SIGCHLD, &action, NULL);
	signals_block(true);
	stops_come = 1;
	wait->listens = true;
	wait->listener = listener;
}

/* Whether a notification waits; with @mask, signals that it does not block end the wait for one. */
static bool is_notified(struct stop_wait *wait, const struct timespec *timeout, const sigset_t *mask)
{
	struct pollfd fd = { .fd = wait->listener, .events = POLLIN };

	if (ppoll(&fd, 1, timeout, mask) <= 0)
		return false;
	/* POLLERR only says that a signal has come while somebody else had the filter's lock. */
	if (fd.revents & POLLHUP)
		wait->listener = -1; /* nobody is left that could notify */
	return fd.revents & POLLIN;
}

/* Looks for a stop: its pid, 0 where none came in time or a notification has, or -1 with errno. */
static pid_t look(struct stop_wait *wait, const volatile sig_atomic_t *signalled, int *ret_status)
{
	const struct timespec now = { 0 };
	uint64_t end_ns = tracer_now_ns() + LOOK_NS;
	pid_t pid;

	do {
		pid = waitpid(-1, ret_status, __WALL | WNOHANG);
		if (!pid && *signalled) {
			errno = EINTR;
			return -1;
		}
		if (!pid && wait->listens && is_notified(wait, &now, NULL)) {
			wait->found = true;
			return 0;
		}
	} while (!pid && tracer_now_ns() < end_ns);
	return pid;
}

static pid_t look_if_due(struct stop_wait *wait, const volatile sig_atomic_t *signalled, int *ret_status)
{
	pid_t pid;

	wait->found = false;
	if (!stop_wait_looks(wait))
		return 0;
	pid = look(wait, signalled, ret_status);
	wait->found |= pid > 0;
	if (pid >= 0)
		stop_wait_learn(wait, wait->found);
	return pid;
}

/* With a listener. Threads that stop again and again do not keep others waiting that notify. */
static pid_t either_next(struct stop_wait *wait, const volatile sig_atomic_t *signalled, int *ret_status)
{
	const struct timespec now = { 0 };
	pid_t pid = 0;
	sigset_t none;

	/* A wait that does not sleep takes no signals. */
	if (++wait->waits % SIGNALS_EVERY == 0) {
		signals_block(false);
		signals_block(true);
		stops_come = 1;
	}
	if (wait->after_stop && is_notified(wait, &now, NULL))
		return 0;
	if (wait->after_stop)
		pid = look_if_due(wait, signalled, ret_status);
	if (!pid && !wait->found && stops_come) {
		stops_come = 0;
		pid = waitpid(-1, ret_status, __WALL | WNOHANG);
		stops_come |= pid > 0;
	}
	if (pid || wait->found)
		return pid;
	sigemptyset(&none);
	if (is_notified(wait, NULL, &none))
		return 0;
	/* Not every end of a task has a signal: it is the task's own choice (clone(2)). So timers make for a look, too. */
	stops_come = 1;
	errno = EINTR;
	return -1;
}

pid_t stop_wait_next(struct stop_wait *wait, const volatile sig_atomic_t *signalled, int *ret_status)
{
	pid_t pid;

	wait->found = false;
	if (wait->listens) {
		pid = either_next(wait, signalled, ret_status);
		wait->after_stop = pid > 0;
		return pid;
	}
	pid = look_if_due(wait, signalled, ret_status);
	return pid ? pid : waitpid(-1, ret_status, __WALL);
}
