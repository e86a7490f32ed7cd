/* SPDX-License-Identifier: GPL-2.0-only */
/* notify: `notify CMD [ARG...]` runs CMD under an empty supervisor; its exit status is that of CMD. The memory calls notify it
 * (SECCOMP_RET_USER_NOTIF), each is let go on, and nothing is looked at. This is the price of a notification. */
#include "filter.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Linux 5.19 and 6.6; headers may be older. */
#define WAIT_KILLABLE (1UL << 5)
#define SET_FLAGS     SECCOMP_IOW(4, uint64_t)
#define SYNC_WAKE_UP  1UL

/* Starts the command, held until a byte of *@ret_hold; the listener, or -1. The child says by a pipe which descriptor it is. */
static int command_begin(char **command, pid_t *ret_child, int *ret_hold)
{
	int say[2], hold[2], fd = -1, pidfd;
	char byte;

	if (pipe(say) || pipe(hold))
		return -1;
	*ret_child = fork();
	if (!*ret_child) {
		close(hold[1]);
		fd = filter_set(SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER | WAIT_KILLABLE);
		(void)!write(say[1], &fd, sizeof(fd));
		if (fd >= 0 && read(hold[0], &byte, 1) == 1)
			execvp(command[0], command);
		_exit(127);
	}
	*ret_hold = hold[1];
	if (*ret_child < 0 || read(say[0], &fd, sizeof(fd)) != (ssize_t)sizeof(fd) || fd < 0)
		return -1;
	pidfd = (int)syscall(SYS_pidfd_open, *ret_child, 0);
	return pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
}

/* Lets everything go on until nobody is left that could notify. */
static void answer_all(int listener)
{
	struct pollfd fd = { .fd = listener, .events = POLLIN };

	while (!(fd.revents & POLLHUP)) {
		struct seccomp_notif notification;
		struct seccomp_notif_resp answer = { .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };

		if (poll(&fd, 1, -1) <= 0 || !(fd.revents & POLLIN))
			continue;
		memset(&notification, 0, sizeof(notification));
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &notification))
			continue;
		answer.id = notification.id;
		(void)ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
	}
}

int main(int argc, char **argv)
{
	int hold = -1, status = 0;
	pid_t command = -1;
	int listener = argc > 1 ? command_begin(argv + 1, &command, &hold) : -1;

	if (listener < 0) {
		fprintf(stderr, argc > 1 ? "notify: %s\n" : "usage: notify CMD [ARG...]\n", strerror(errno));
		return 2;
	}
	(void)ioctl(listener, SET_FLAGS, SYNC_WAKE_UP);
	(void)!write(hold, "", 1);
	answer_all(listener);
	if (waitpid(command, &status, 0) != command)
		return 2;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
