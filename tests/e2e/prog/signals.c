/* SPDX-License-Identifier: GPL-2.0-only */
/* signals: `signals MODE [N]` ends or is interrupted in a known way. */
#include "prog.h"

#include <signal.h>
#include <sys/mman.h>

static volatile sig_atomic_t caught;

static void on_signal(int number)
{
	caught = number;
}

static void catch_signal(int number, int flags)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = flags };

	must(sigaction(number, &action, NULL) == 0);
}

/* The kernel writes the signal's frame to a stack that nobody has touched. */
static void run_handler(void)
{
	stack_t stack = { .ss_size = 64 * KB };

	stack.ss_sp = mmap(NULL, stack.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(stack.ss_sp != MAP_FAILED);
	must(sigaltstack(&stack, NULL) == 0);
	catch_signal(SIGUSR1, SA_ONSTACK);
	STEP("handler", must(raise(SIGUSR1) == 0));
	must(caught == SIGUSR1);
	points_print();
}

/* Says "ready", then waits to be interrupted; ends with status 7. */
static void run_wait(void)
{
	sigset_t blocked, old;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGINT);
	must(sigprocmask(SIG_BLOCK, &blocked, &old) == 0);
	catch_signal(SIGINT, 0);
	must(write(STDOUT_FILENO, "ready\n", 6) == 6);
	while (!caught)
		sigsuspend(&old);
	point("interrupted");
	points_print();
	exit(7);
}

/* Says "ready" and waits without a handler. */
static void run_default(void)
{
	must(write(STDOUT_FILENO, "ready\n", 6) == 6);
	for (;;)
		pause();
}

/* Touches five pages, and says so by no call but the one that it sleeps in. */
static void run_asleep(void)
{
	char *at = mmap(NULL, 5 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(at != MAP_FAILED);
	touch(at, 5 * PAGE);
	for (;;)
		pause();
}

static void run_segv(void)
{
	volatile char *at = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*at = 1;
}

int main(int argc, char **argv)
{
	must(argc >= 2);
	point("start");
	if (!strcmp(argv[1], "handler"))
		run_handler();
	else if (!strcmp(argv[1], "wait"))
		run_wait();
	else if (!strcmp(argv[1], "default"))
		run_default();
	else if (!strcmp(argv[1], "asleep"))
		run_asleep();
	else if (!strcmp(argv[1], "segv"))
		run_segv();
	else if (!strcmp(argv[1], "exit"))
		return atoi(argv[2]);
	else if (!strcmp(argv[1], "raise"))
		raise(atoi(argv[2]));
	return 0;
}
