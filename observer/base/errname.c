/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/errname.h"

#include "base/intern.h"

#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* include/linux/errno.h: never returned to a program, but seen at the syscall's exit by whoever traces it. */
static const struct {
	int err;
	const char *name;
	const char *meaning;
} kernel_errors[] = {
	{ 512, "ERESTARTSYS", "To be restarted if SA_RESTART is set" },
	{ 513, "ERESTARTNOINTR", "To be restarted" },
	{ 514, "ERESTARTNOHAND", "To be restarted if there is no handler" },
	{ 515, "ENOIOCTLCMD", "No ioctl command" },
	{ 516, "ERESTART_RESTARTBLOCK", "Interrupted by signal" },
	{ 524, "ENOTSUPP", "Operation is not supported" },
};

#define KERNEL_ERRORS (sizeof(kernel_errors) / sizeof(kernel_errors[0]))

#define SIGNAL(name) [name] = #name

static const char *const signals[] = {
	SIGNAL(SIGHUP),	 SIGNAL(SIGINT),    SIGNAL(SIGQUIT), SIGNAL(SIGILL),	SIGNAL(SIGTRAP), SIGNAL(SIGABRT),
	SIGNAL(SIGBUS),	 SIGNAL(SIGFPE),    SIGNAL(SIGKILL), SIGNAL(SIGUSR1),	SIGNAL(SIGSEGV), SIGNAL(SIGUSR2),
	SIGNAL(SIGPIPE), SIGNAL(SIGALRM),   SIGNAL(SIGTERM), SIGNAL(SIGSTKFLT), SIGNAL(SIGCHLD), SIGNAL(SIGCONT),
	SIGNAL(SIGSTOP), SIGNAL(SIGTSTP),   SIGNAL(SIGTTIN), SIGNAL(SIGTTOU),	SIGNAL(SIGURG),	 SIGNAL(SIGXCPU),
	SIGNAL(SIGXFSZ), SIGNAL(SIGVTALRM), SIGNAL(SIGPROF), SIGNAL(SIGWINCH),	SIGNAL(SIGIO),	 SIGNAL(SIGPWR),
	SIGNAL(SIGSYS),
};

const char *errname(int err)
{
	char number[16];

	for (size_t i = 0; i < KERNEL_ERRORS; i++) {
		if (kernel_errors[i].err == err)
			return kernel_errors[i].name;
	}
	if (err > 0 && strerrorname_np(err))
		return strerrorname_np(err);
	snprintf(number, sizeof(number), "E%d", err);
	return intern(number, "E?");
}

const char *errname_meaning(int err)
{
	for (size_t i = 0; i < KERNEL_ERRORS; i++) {
		if (kernel_errors[i].err == err)
			return kernel_errors[i].meaning;
	}
	return err > 0 ? strerrordesc_np(err) : NULL;
}

const char *signame(int signal)
{
	if (signal <= 0 || (size_t)signal >= sizeof(signals) / sizeof(signals[0]))
		return NULL;
	return signals[signal];
}
