/* SPDX-License-Identifier: GPL-2.0-only */
/* Prints where main is, then goes through its chains, each of which maps a number of pages that no other one does. */
#include "chains.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))

static ucontext_t main_context, other_context;
static volatile int sink;

NOINLINE void chain_handler(int signal)
{
	sink += chain_gamma(signal == SIGUSR1 ? 205 : 206);
}

NOINLINE void chain_raise(int signal, int flags)
{
	struct sigaction action = { .sa_handler = chain_handler, .sa_flags = flags };

	sigaction(signal, &action, NULL);
	raise(signal);
	sink++;
}

NOINLINE int chain_compare(const void *a, const void *b)
{
	sink += chain_gamma(*(const int *)a == 1 || *(const int *)b == 1 ? 207 : 1);
	return *(const int *)a - *(const int *)b;
}

NOINLINE void chain_sort(void)
{
	int numbers[] = { 2, 1 };

	qsort(numbers, 2, sizeof(numbers[0]), chain_compare);
	sink++;
}

NOINLINE void *chain_thread(void *arg)
{
	sink += chain_alpha((size_t)(uintptr_t)arg);
	return NULL;
}

NOINLINE void chain_context(void)
{
	sink += chain_beta(209);
	sink++;
}

/* A stack of one's own, as coroutines have. */
NOINLINE void chain_switch(void)
{
	static char stack[65536];

	getcontext(&other_context);
	other_context.uc_stack.ss_sp = stack;
	other_context.uc_stack.ss_size = sizeof(stack);
	other_context.uc_link = &main_context;
	makecontext(&other_context, chain_context, 0);
	swapcontext(&main_context, &other_context);
	sink++;
}

NOINLINE void chain_fork(void)
{
	pid_t child = fork();

	if (!child) {
		sink += chain_alpha(210);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	sink++;
}

#ifndef STATIC
NOINLINE void chain_plugin(const char *path, size_t pages)
{
	void *library = dlopen(path, RTLD_NOW);
	int (*call)(int (*)(size_t), size_t) =
		library ? (int (*)(int (*)(size_t), size_t))dlsym(library, "plugin_call") : NULL;

	if (!call) {
		fprintf(stderr, "%s\n", dlerror());
		exit(1);
	}
	sink += call(chain_beta, pages);
	dlclose(library);
	sink++;
}
#endif

int main(int argc, char **argv)
{
	static char other[65536];
	const stack_t stack = { .ss_sp = other, .ss_size = sizeof(other) };
	pthread_t thread;
	char line;

	printf("main %p\n", (void *)(uintptr_t)main);
	fflush(stdout);
	/* Goes on once it is told to. */
	if (getenv("CHAINS_WAIT") && read(0, &line, 1) < 0)
		return 1;
	sink += chain_alpha(201);
	sink += chain_room(202);
	sink += chain_aligned(203);
	sink += chain_deep(204, 60);
	chain_raise(SIGUSR1, 0);
	sigaltstack(&stack, NULL);
	chain_raise(SIGUSR2, SA_ONSTACK);
	chain_sort();
	pthread_create(&thread, NULL, chain_thread, (void *)208);
	pthread_join(thread, NULL);
	chain_switch();
	chain_fork();
#ifndef STATIC
	for (int i = 1; i < argc; i++)
		chain_plugin(argv[i], 230 + (size_t)i);
#endif
	sink += chain_deep(212, 600);
	sink += chain_fill(213);
	(void)argc;
	(void)argv;
	return 0;
}
