/* SPDX-License-Identifier: GPL-2.0-only */
/* For the tests of what ends the program. */
#ifndef HEAPTRACE_ABORTS_H
#define HEAPTRACE_ABORTS_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* @act in a child: it ends by abort, after one line that begins with @begin and ends with @end. */
static inline void assert_aborts(void (*act)(void), const char *begin, const char *end)
{
	char line[256];
	size_t len = 0;
	int ends[2], status;
	pid_t child;

	assert_int_equal(pipe(ends), 0);
	child = fork();
	if (child == 0) {
		struct rlimit no_core = { 0, 0 };

		setrlimit(RLIMIT_CORE, &no_core);
		signal(SIGABRT, SIG_DFL);
		dup2(ends[1], STDERR_FILENO);
		act();
		_exit(0);
	}
	close(ends[1]);
	for (ssize_t got; len < sizeof(line) - 1 && (got = read(ends[0], line + len, sizeof(line) - 1 - len)) > 0;)
		len += (size_t)got;
	close(ends[0]);
	line[len] = '\0';
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	assert_memory_equal(line, begin, strlen(begin));
	assert_ptr_equal(strchr(line, '\n'), line + len - 1);
	line[len - 1] = '\0';
	assert_true(len > strlen(end));
	assert_string_equal(line + len - 1 - strlen(end), end);
}

#endif
