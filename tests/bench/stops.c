/* SPDX-License-Identifier: GPL-2.0-only */
/* stops: `stops CMD [ARG...]` runs CMD under an empty tracer; its exit status is that of CMD. A seccomp filter stops the memory
 * calls alone; each is resumed at its entry and at its exit, and nothing is looked at. This is the price of being stopped. */
#include "filter.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#define OPTIONS	 (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACESECCOMP | FOLLOWED)
#define FOLLOWED (PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE)

static pid_t command_begin(char **command)
{
	int hold[2];
	char byte;
	pid_t child = pipe(hold) ? -1 : fork();

	if (!child) {
		close(hold[1]);
		(void)!read(hold[0], &byte, 1); /* until it is traced */
		if (!filter_set(SECCOMP_RET_TRACE, 0))
			execvp(command[0], command);
		_exit(127);
	}
	if (child > 0 && ptrace(PTRACE_SEIZE, child, 0, OPTIONS))
		return -1;
	close(hold[0]);
	close(hold[1]);
	return child;
}

int main(int argc, char **argv)
{
	pid_t command = argc > 1 ? command_begin(argv + 1) : -1, pid;
	int status, event, signal;

	if (command < 0) {
		fprintf(stderr, "usage: stops CMD [ARG...] (%s)\n", strerror(errno));
		return 125;
	}
	while ((pid = waitpid(-1, &status, __WALL)) > 0) {
		if (!WIFSTOPPED(status)) {
			if (pid == command)
				break;
			continue;
		}
		event = status >> 16;
		signal = WSTOPSIG(status);
		if (event == PTRACE_EVENT_SECCOMP)
			ptrace(PTRACE_SYSCALL, pid, 0, 0);
		else if (event || signal == (SIGTRAP | 0x80))
			ptrace(PTRACE_CONT, pid, 0, 0);
		else
			ptrace(PTRACE_CONT, pid, 0, (void *)(long)signal);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
