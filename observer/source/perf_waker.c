/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/perf_waker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

struct perf_waker {
	pthread_t reader, thread;
	int signal, epoll_fd;
};

static void *wait_for_ever(void *arg)
{
	struct perf_waker *waker = arg;
	struct epoll_event event;

	for (;;) {
		if (epoll_wait(waker->epoll_fd, &event, 1, -1) > 0)
			pthread_kill(waker->reader, waker->signal);
	}
	return NULL;
}

/* No signal is meant for it. */
static int thread_begin(struct perf_waker *waker)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&waker->thread, NULL, wait_for_ever, waker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -err;
}

struct perf_waker *perf_waker_new(int signal)
{
	struct perf_waker *waker = calloc(1, sizeof(*waker));

	if (!waker)
		return NULL;
	waker->reader = pthread_self();
	waker->signal = signal;
	waker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (waker->epoll_fd >= 0 && !thread_begin(waker))
		return waker;
	if (waker->epoll_fd >= 0)
		close(waker->epoll_fd);
	free(waker);
	return NULL;
}

int perf_waker_add(struct perf_waker *waker, int fd)
{
	/* By edges: the event of a thread that has ended would be ready for ever. */
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };

	return epoll_ctl(waker->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

void perf_waker_free(struct perf_waker *waker)
{
	if (!waker)
		return;
	pthread_cancel(waker->thread);
	pthread_join(waker->thread, NULL);
	close(waker->epoll_fd);
	free(waker);
}
