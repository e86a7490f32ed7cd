/* SPDX-License-Identifier: GPL-2.0-only */
/* unwind, on this very process: its chains are what the C library's own backtrace(3) says they are. */
#include "source/unwind.h"

#include "source/unwind_arch.h"

#include <execinfo.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <cmocka.h>

#define NOINLINE __attribute__((noinline, noclone))

/* What a function found when it was called through a chain. */
struct finding {
	struct unwind_space *space;
	struct unwind_stack stack;
	void *expected[UNWIND_FRAMES_MAX + 8];
	void **first; /* of them, in look() */
	int expected_count;
	size_t copied; /* of the stack; 0: it is read where it is */
};

static struct finding *handler_finding;
static volatile int sink;

static bool self_read(void *ctx, uint64_t addr, void *out, size_t len)
{
	(void)ctx;
	memcpy(out, (const void *)(uintptr_t)addr, len);
	return true;
}

static void regs_here(const ucontext_t *context, struct unwind_regs *out)
{
#if defined(__x86_64__)
	static const int order[] = { REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI, REG_RBP, REG_RSP,
				     REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15 };

	memset(out, 0, sizeof(*out));
	for (unsigned int i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		out->regs[i] = (uint64_t)context->uc_mcontext.gregs[order[i]];
	out->known = 0xffff;
	out->pc = (uint64_t)context->uc_mcontext.gregs[REG_RIP];
#else
	memset(out, 0, sizeof(*out));
	memcpy(out->regs, context->uc_mcontext.regs, 31 * sizeof(uint64_t));
	out->regs[31] = context->uc_mcontext.sp;
	out->known = (1ull << 32) - 1;
	out->pc = context->uc_mcontext.pc;
#endif
}

static void look(struct finding *finding);

static bool is_in_look(const void *addr)
{
	return (uintptr_t)addr - (uintptr_t)look < 4096;
}

/* The frames from the caller of this function on must be those of backtrace(3). */
static NOINLINE void look(struct finding *finding)
{
	struct unwind_regs regs;
	ucontext_t context;

	finding->expected_count = backtrace(finding->expected, UNWIND_FRAMES_MAX + 8);
	/* A sanitizer's own backtrace(3) is a frame too. */
	finding->first = finding->expected;
	while (!is_in_look(finding->first[0]))
		finding->first++;
	finding->expected_count -= (int)(finding->first - finding->expected);
	assert_int_equal(getcontext(&context), 0);
	regs_here(&context, &regs);
	if (finding->copied) {
		struct unwind_copy copy = { .addr = regs.regs[unwind_arch_host()->sp],
					    .data = (const void *)(uintptr_t)regs.regs[unwind_arch_host()->sp],
					    .len = finding->copied };

		unwind_walk(finding->space, &regs, unwind_copy_read, &copy, &finding->stack);
	} else {
		unwind_walk(finding->space, &regs, self_read, NULL, &finding->stack);
	}
	sink++;
}

static NOINLINE void inner(struct finding *finding)
{
	look(finding);
	sink++;
}

static NOINLINE void middle(struct finding *finding, int depth)
{
	char room[300];

	memset(room, depth, sizeof(room));
	__asm__ volatile("" : : "r"(room) : "memory");
	if (depth)
		middle(finding, depth - 1);
	else
		inner(finding);
	sink++;
}

static NOINLINE void outer(struct finding *finding, int depth)
{
	/* A frame whose size is known only when it runs is found by the frame pointer. */
	size_t size = 16 + ((size_t)sink & 15);
	char *room = __builtin_alloca(size);

	memset(room, 0, size);
	__asm__ volatile("" : : "r"(room) : "memory");
	middle(finding, depth);
	sink++;
}

/* The innermost frame is look() itself, at two different addresses. */
static void expect_same(const struct finding *finding, unsigned int count)
{
	assert_true(count > 1 && count <= (unsigned int)finding->expected_count);
	assert_true(finding->stack.frames[0].exact);
	for (unsigned int i = 1; i < count; i++)
		assert_int_equal(finding->stack.frames[i].addr, (uint64_t)(uintptr_t)finding->first[i]);
}

static int setup(void **state)
{
	struct unwind_cache *cache = unwind_cache_new();
	struct finding *finding = calloc(1, sizeof(*finding));

	assert_non_null(cache);
	assert_non_null(finding);
	finding->space = unwind_space_new(cache, getpid());
	assert_non_null(finding->space);
	assert_int_equal(unwind_space_read(finding->space), 0);
	finding->expected_count = backtrace(finding->expected, 4); /* loads what it needs to */
	*state = finding;
	handler_finding = finding;
	return 0;
}

static int teardown(void **state)
{
	struct finding *finding = *state;
	struct unwind_cache *cache;

	/* The cache is the first thing in a space. */
	memcpy(&cache, finding->space, sizeof(cache));
	unwind_space_free(finding->space);
	unwind_cache_free(cache);
	free(finding);
	return 0;
}

static void test_own_chain(void **state)
{
	struct finding *finding = *state;
	uint64_t id;

	outer(finding, 3);
	assert_true(finding->stack.complete);
	assert_int_equal(finding->stack.count, finding->expected_count);
	expect_same(finding, finding->stack.count);
	id = finding->stack.id;
	for (int i = 0; i < 3; i++) {
		outer(finding, 3 + (i == 1));
		/* Called from another place, at another depth: another stack. */
		assert_true((finding->stack.id != id));
		id = finding->stack.id;
	}
}

static void test_same_id(void **state)
{
	struct finding *finding = *state;
	uint64_t id = 0;

	for (volatile int i = 0; i < 3; i++) {
		outer(finding, 2);
		assert_true(!i || finding->stack.id == id);
		id = finding->stack.id;
	}
	assert_true(id != 0);
}

static void test_too_deep(void **state)
{
	struct finding *finding = *state;

	outer(finding, UNWIND_FRAMES_MAX + 50);
	assert_false(finding->stack.complete);
	assert_int_equal(finding->stack.count, UNWIND_FRAMES_MAX);
	expect_same(finding, UNWIND_FRAMES_MAX);
}

static void test_truncated_copy(void **state)
{
	struct finding *finding = *state;
	unsigned int whole, before = 0;

	outer(finding, 10);
	whole = finding->stack.count;
	for (size_t copied = 8; copied <= 4096; copied *= 2) {
		finding->copied = copied;
		outer(finding, 10);
		assert_true(finding->stack.count >= before && finding->stack.count < whole);
		assert_false(finding->stack.complete);
		for (unsigned int i = 1; i < finding->stack.count; i++)
			assert_int_equal(finding->stack.frames[i].addr, (uint64_t)(uintptr_t)finding->first[i]);
		before = finding->stack.count;
	}
	assert_true(before > 3);
}

static void *thread_main(void *arg)
{
	outer(arg, 1);
	return NULL;
}

static void test_thread(void **state)
{
	struct finding *finding = *state;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, thread_main, finding), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(finding->stack.complete);
	assert_int_equal(finding->stack.count, finding->expected_count);
	expect_same(finding, finding->stack.count);
}

static void on_signal(int signal)
{
	(void)signal;
	inner(handler_finding);
	sink++;
}

/* The frame that was interrupted is said to be at the very instruction. */
static void test_signal(void **state)
{
	struct finding *finding = *state;
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };
	stack_t other = { .ss_size = 1 << 16 };
	unsigned int exact = 0;

	other.ss_sp = malloc(other.ss_size);
	assert_non_null(other.ss_sp);
	assert_int_equal(sigaltstack(&other, NULL), 0);
	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
	raise(SIGUSR1);
	assert_true(finding->stack.complete);
	assert_int_equal(finding->stack.count, finding->expected_count);
	expect_same(finding, finding->stack.count);
	for (unsigned int i = 1; i < finding->stack.count; i++)
		exact += finding->stack.frames[i].exact;
	assert_int_equal(exact, 1);
	other.ss_flags = SS_DISABLE;
	assert_int_equal(sigaltstack(&other, NULL), 0);
	free(other.ss_sp);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_own_chain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_same_id, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_deep, setup, teardown),
		cmocka_unit_test_setup_teardown(test_truncated_copy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_thread, setup, teardown),
		cmocka_unit_test_setup_teardown(test_signal, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
