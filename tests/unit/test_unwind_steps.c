/* SPDX-License-Identifier: GPL-2.0-only */
/* unwind, at each single instruction of a child: through prologues and epilogues, the procedure linkage table, and the C library's
 * assembler. Wherever it stands, its stack leads to the same outermost frames. */
#include "source/unwind.h"

#include <elf.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define NOINLINE __attribute__((noinline, noclone))

#define STEPS_MAX 20000
#define STEPS_MIN 500 /* what is stepped through takes at least so many */
#define TAIL	  4   /* outermost frames that stay the same */

static volatile long sink;

NOINLINE static long called_last(const char *text, size_t len)
{
	char copy[64];

	/* Several functions of the library, by way of the table where they are bound. */
	memset(copy, 'x', sizeof(copy));
	memcpy(copy, text, len);
	copy[len] = '\0';
	return strtol(copy, NULL, 10) + (strchr(copy, '7') != NULL) + abs(atoi(copy));
}

NOINLINE static void called_first(long n)
{
	char numbers[] = "1273";
	char *room = __builtin_alloca((size_t)n);

	memset(room, 1, (size_t)n);
	sink += called_last(numbers, strlen(numbers)) + room[n / 2];
}

static _Noreturn void child_run(void)
{
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	called_first(40); /* what is bound at the first call */
	raise(SIGSTOP);
	called_first(40);
	raise(SIGSTOP);
	_exit(0);
}

static bool child_read(void *ctx, uint64_t addr, void *out, size_t len)
{
	struct iovec local = { out, len }, remote = { (void *)(uintptr_t)addr, len };

	return process_vm_readv(*(const pid_t *)ctx, &local, 1, &remote, 1, 0) == (ssize_t)len;
}

static void walk(struct unwind_space *space, pid_t child, struct unwind_stack *out)
{
	uint64_t words[64];
	struct iovec all = { words, sizeof(words) };
	struct unwind_regs regs;

	assert_int_equal(ptrace(PTRACE_GETREGSET, child, (void *)NT_PRSTATUS, &all), 0);
	assert_int_equal(unwind_regs_take(words, all.iov_len, &regs), 0);
	unwind_walk(space, &regs, child_read, &child, out);
}

static void expect_tail(const struct unwind_stack *stack, const struct unwind_stack *first, unsigned int step)
{
	bool same = stack->complete && stack->count >= TAIL;

	for (unsigned int i = 1; same && i <= TAIL; i++)
		same = stack->frames[stack->count - i].addr == first->frames[first->count - i].addr;
	if (same)
		return;
	print_message("step %u: %u frames, complete %d:", step, stack->count, stack->complete);
	for (unsigned int i = 0; i < stack->count; i++)
		print_message(" %#lx", (unsigned long)stack->frames[i].addr);
	print_message("\n");
	fail();
}

static void test_steps(void **state)
{
	struct unwind_cache *cache = unwind_cache_new();
	struct unwind_stack first, stack;
	struct unwind_space *space;
	unsigned int steps = 0;
	pid_t child = fork();
	int status;

	(void)state;
	assert_true(child >= 0);
	if (!child)
		child_run();
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	space = unwind_space_new(cache, child);
	assert_non_null(space);
	assert_int_equal(unwind_space_read(space), 0);
	walk(space, child, &first);
	assert_true(first.complete && first.count > TAIL);
	while (steps < STEPS_MAX) {
		assert_int_equal(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSTOPPED(status));
		if (WSTOPSIG(status) == SIGSTOP)
			break;
		walk(space, child, &stack);
		expect_tail(&stack, &first, steps++);
	}
	assert_true(steps >= STEPS_MIN && steps < STEPS_MAX);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, &status, 0), child);
	unwind_space_free(space);
	unwind_cache_free(cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
