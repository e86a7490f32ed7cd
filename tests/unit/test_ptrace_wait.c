/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/ptrace_wait.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* How many waits pass without a look before the next one with it. */
static unsigned int skipped(struct stop_wait *wait)
{
	unsigned int count = 0;

	while (!stop_wait_looks(wait))
		count++;
	return count;
}

static void test_learns(void **state)
{
	static const unsigned int want[] = { 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1024, 1024 };
	struct stop_wait wait = { 0 };

	(void)state;
	assert_int_equal(skipped(&wait), 0);
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		stop_wait_learn(&wait, false);
		assert_int_equal(skipped(&wait), want[i]);
	}
	stop_wait_learn(&wait, true);
	assert_int_equal(skipped(&wait), 0);
	assert_int_equal(skipped(&wait), 0);
	stop_wait_learn(&wait, false);
	assert_int_equal(skipped(&wait), 1);
}

/* A child that ends when *@ret_gate is closed. */
static pid_t child_new(int *ret_gate)
{
	int gate[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(gate), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		close(gate[1]);
		_exit(read(gate[0], &byte, 1) ? 1 : 0);
	}
	close(gate[0]);
	*ret_gate = gate[1];
	return pid;
}

static void test_finds(void **state)
{
	volatile sig_atomic_t signalled = 0;
	struct stop_wait wait = { .backoff = 4 };
	siginfo_t info;
	int gate, status;
	pid_t pid = child_new(&gate);

	(void)state;
	close(gate);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	assert_int_equal(stop_wait_next(&wait, &signalled, &status), pid);
	assert_true(wait.found);
	assert_int_equal(wait.backoff, 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(stop_wait_next(&wait, &signalled, &status), -1);
	assert_int_equal(errno, ECHILD);
}

static void test_sleeps(void **state)
{
	volatile sig_atomic_t signalled = 1; /* of no interest to a wait that does not look */
	struct stop_wait wait = { .skip = 1, .backoff = 1, .found = true };
	int gate, status;
	pid_t pid = child_new(&gate);

	(void)state;
	close(gate);
	assert_int_equal(stop_wait_next(&wait, &signalled, &status), pid);
	assert_false(wait.found);
	assert_int_equal(wait.backoff, 1);
	assert_int_equal(wait.skip, 0);
}

static void test_signalled(void **state)
{
	volatile sig_atomic_t signalled = 1;
	struct stop_wait wait = { 0 };
	int gate, status;
	pid_t pid = child_new(&gate);

	(void)state;
	assert_int_equal(stop_wait_next(&wait, &signalled, &status), -1);
	assert_int_equal(errno, EINTR);
	assert_false(wait.found);
	assert_int_equal(wait.backoff, 0); /* it tells nothing */
	close(gate);
	signalled = 0;
	assert_int_equal(stop_wait_next(&wait, &signalled, &status), pid);
}

static volatile sig_atomic_t alarms;

static void on_alarm(int signal)
{
	(void)signal;
	alarms++;
}

/* A wait that listens to a pipe. Its signals are blocked from now on. */
static struct stop_wait listening(int *ret_notify)
{
	struct stop_wait wait = { 0 };
	int notify[2];

	signal(SIGALRM, on_alarm);
	alarms = 0;
	assert_int_equal(pipe(notify), 0);
	stop_wait_listen(&wait, notify[0]);
	*ret_notify = notify[1];
	return wait;
}

/* The next thing that is no signal. A stop may be told of by its signal first. */
static pid_t next(struct stop_wait *wait)
{
	volatile sig_atomic_t signalled = 0;
	int status;
	pid_t pid;

	do
		pid = stop_wait_next(wait, &signalled, &status);
	while (pid < 0 && errno == EINTR);
	return pid;
}

static void expect_notification(struct stop_wait *wait)
{
	char byte;

	assert_int_equal(next(wait), 0);
	assert_false(wait->after_stop);
	assert_int_equal(read(wait->listener, &byte, 1), 1);
}

static void test_notifications(void **state)
{
	siginfo_t info;
	int notify, gate;
	struct stop_wait wait = listening(&notify);
	pid_t pid = child_new(&gate);

	(void)state;
	assert_int_equal(write(notify, "", 1), 1);
	expect_notification(&wait);
	close(gate);
	assert_int_equal(next(&wait), pid);
	assert_true(wait.after_stop);
	/* Now there are both: it is the other's turn. */
	pid = child_new(&gate);
	close(gate);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	assert_int_equal(write(notify, "", 1), 1);
	expect_notification(&wait);
	assert_int_equal(next(&wait), pid);
	assert_int_equal(next(&wait), -1);
	assert_int_equal(errno, ECHILD);
	close(notify);
}

/* Signals end a wait that sleeps, and are taken now and then by waits that do not. */
static void test_signals_while_listening(void **state)
{
	volatile sig_atomic_t signalled = 0;
	int notify, gate, status;
	struct stop_wait wait = listening(&notify);
	pid_t pid = child_new(&gate);

	(void)state;
	kill(getpid(), SIGALRM);
	assert_int_equal(alarms, 0);
	assert_int_equal(stop_wait_next(&wait, &signalled, &status), -1);
	assert_int_equal(errno, EINTR);
	assert_int_equal(alarms, 1);
	assert_int_equal(write(notify, "", 1), 1);
	kill(getpid(), SIGALRM);
	for (int i = 0; i < 40; i++)
		assert_int_equal(stop_wait_next(&wait, &signalled, &status), 0);
	assert_int_equal(alarms, 2);
	expect_notification(&wait);
	close(gate);
	assert_int_equal(next(&wait), pid);
	close(notify);
}

/* Nobody is left that could notify: stops are waited for as before. */
static void test_end_of_notifications(void **state)
{
	volatile sig_atomic_t signalled = 0;
	int notify, gate, status;
	pid_t pid = child_new(&gate); /* first: it is not to have the pipe */
	struct stop_wait wait = listening(&notify);

	(void)state;
	close(notify);
	assert_int_equal(stop_wait_next(&wait, &signalled, &status), -1);
	assert_int_equal(wait.listener, -1);
	kill(getpid(), SIGALRM);
	assert_int_equal(stop_wait_next(&wait, &signalled, &status), -1);
	assert_int_equal(alarms, 1);
	close(gate);
	assert_int_equal(next(&wait), pid);
}

/* A listener says POLLERR where it could not be asked. So does a pipe that nobody reads. */
static void test_listener_is_busy(void **state)
{
	volatile sig_atomic_t signalled = 0;
	int notify, gate, status;
	pid_t pid = child_new(&gate); /* first: it is not to have the pipe */
	struct stop_wait wait = listening(&notify);

	(void)state;
	close(wait.listener);
	wait.listener = notify;
	assert_int_equal(stop_wait_next(&wait, &signalled, &status), -1);
	assert_int_equal(errno, EINTR);
	assert_int_equal(wait.listener, notify);
	close(notify);
	wait.listener = -1;
	close(gate);
	assert_int_equal(next(&wait), pid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_learns),
		cmocka_unit_test(test_finds),
		cmocka_unit_test(test_sleeps),
		cmocka_unit_test(test_signalled),
		cmocka_unit_test(test_notifications),
		cmocka_unit_test(test_signals_while_listening),
		cmocka_unit_test(test_end_of_notifications),
		cmocka_unit_test(test_listener_is_busy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
