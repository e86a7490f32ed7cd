/* SPDX-License-Identifier: GPL-2.0-only */
/* answers: waits for ever in a call that lets SIGUSR1 through, which is blocked else, and prints a dot whenever that has ended
 * with EINTR; one at the start too. So each signal has its dot, unless a call went on that should have ended. */
#include "prog.h"

#include <signal.h>
#include <sys/epoll.h>

static void nothing(int signal)
{
	(void)signal;
}

int main(void)
{
	const struct sigaction action = { .sa_handler = nothing };
	struct epoll_event event;
	sigset_t none, one;
	int fd = epoll_create1(EPOLL_CLOEXEC);

	sigemptyset(&none);
	sigemptyset(&one);
	sigaddset(&one, SIGUSR1);
	must(fd >= 0 && sigaction(SIGUSR1, &action, NULL) == 0 && sigprocmask(SIG_BLOCK, &one, NULL) == 0);
	do
		must(write(STDOUT_FILENO, ".", 1) == 1);
	while (epoll_pwait(fd, &event, 1, -1, &none) < 0 && errno == EINTR);
	return 1;
}
