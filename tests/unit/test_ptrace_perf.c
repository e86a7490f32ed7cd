/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/perf_faults.h"

#include "source/perf_stacks.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define PAGE 4096

static void test_records(void **state)
{
	/* As perf_event.h has them for PERF_SAMPLE_TID, TIME and ADDR; a major fault has one field more. */
	struct {
		struct perf_event_header header;
		uint32_t pid, tid;
		uint64_t time, addr, period;
	} sample = { { PERF_RECORD_SAMPLE, 0, 0 }, 10, 11, 12, 0x7000, 1 };
	struct {
		struct perf_event_header header;
		uint64_t id, lost;
	} lost = { { PERF_RECORD_LOST, 0, sizeof(lost) }, 5, 99 };
	struct perf_fault fault;

	(void)state;
	assert_int_equal(perf_faults_parse(&sample, sizeof(sample) - 8, false, &fault), PERF_FAULTS_ONE);
	assert_int_equal(fault.pid, 10);
	assert_int_equal(fault.tid, 11);
	assert_int_equal(fault.ts_ns, 12);
	assert_int_equal(fault.addr, 0x7000);
	assert_false(fault.major);
	assert_int_equal(perf_faults_parse(&sample, sizeof(sample), false, &fault), PERF_FAULTS_ONE);
	assert_true(fault.major);
	assert_int_equal(perf_faults_parse(&sample, sizeof(sample) - 4, false, &fault), PERF_FAULTS_OTHER);
	assert_int_equal(perf_faults_parse(&lost, sizeof(lost), false, &fault), PERF_FAULTS_LOST);
	assert_int_equal(fault.addr, 99);
	assert_int_equal(perf_faults_parse(&lost, sizeof(lost) - 1, false, &fault), PERF_FAULTS_OTHER);
	sample.header.type = PERF_RECORD_EXIT;
	assert_int_equal(perf_faults_parse(&sample, sizeof(sample), false, &fault), PERF_FAULTS_OTHER);
}

/* With PERF_SAMPLE_IP, which comes first. */
static void test_records_with_ip(void **state)
{
	struct {
		struct perf_event_header header;
		uint64_t ip;
		uint32_t pid, tid;
		uint64_t time, addr, period;
	} sample = { { PERF_RECORD_SAMPLE, 0, 0 }, 0x400123, 10, 11, 12, 0x7000, 1 };
	struct perf_fault fault;

	(void)state;
	assert_int_equal(perf_faults_parse(&sample, sizeof(sample) - 8, true, &fault), PERF_FAULTS_ONE);
	assert_int_equal(fault.ip, 0x400123);
	assert_int_equal(fault.tid, 11);
	assert_int_equal(fault.addr, 0x7000);
	assert_false(fault.major);
	assert_int_equal(perf_faults_parse(&sample, sizeof(sample), true, &fault), PERF_FAULTS_ONE);
	assert_true(fault.major);
	assert_int_equal(perf_faults_parse(&sample, sizeof(sample) - 16, true, &fault), PERF_FAULTS_OTHER);
}

/* A mapping, as Linux 6.18 tells of an anonymous one, and that of a file. */
static void test_records_of_mappings(void **state)
{
	struct {
		struct perf_event_header header;
		uint32_t pid, tid;
		uint64_t start, len, offset;
		uint32_t major, minor;
		uint64_t inode, generation;
		uint32_t prot, flags;
		char name[8];
		uint32_t trailer_pid, trailer_tid;
		uint64_t time;
	} record = { .header = { PERF_RECORD_MMAP2, PERF_RECORD_MISC_MMAP_DATA, sizeof(record) },
		     .pid = 10,
		     .tid = 11,
		     .start = 0x7000,
		     .len = 0x3000,
		     .prot = PROT_READ,
		     .flags = MAP_PRIVATE,
		     .name = "//anon",
		     .trailer_pid = 10,
		     .trailer_tid = 11,
		     .time = 12 };
	struct perf_fault mapping;

	(void)state;
	assert_int_equal(perf_faults_parse(&record, sizeof(record), true, &mapping), PERF_FAULTS_MAPPING);
	assert_int_equal(mapping.addr, 0x7000);
	assert_int_equal(mapping.len, 0x3000);
	assert_int_equal(mapping.tid, 11);
	assert_int_equal(mapping.ts_ns, 12);
	assert_int_equal(perf_faults_parse(&record, 80, true, &mapping), PERF_FAULTS_OTHER);
	record.inode = 77;
	assert_int_equal(perf_faults_parse(&record, sizeof(record), true, &mapping), PERF_FAULTS_OTHER);
}

struct seen {
	uint64_t mapped_start, mapped_end; /* of the last mapping that was told of */
	uint64_t first, last, last_ns;
	size_t in_range, all;
	uint64_t start, end;
	pid_t tid;
	bool ordered, in_time;
};

static void take(void *ctx, const struct perf_fault *fault)
{
	struct seen *seen = ctx;

	seen->all++;
	seen->in_time &= fault->ts_ns >= seen->last_ns;
	seen->last_ns = fault->ts_ns;
	if (fault->len) {
		seen->mapped_start = fault->addr;
		seen->mapped_end = fault->addr + fault->len;
		return;
	}
	if (fault->addr < seen->start || fault->addr >= seen->end)
		return;
	seen->tid = fault->tid;
	seen->ordered &= !seen->in_range || fault->addr == seen->last + PAGE;
	seen->last = fault->addr;
	seen->in_range++;
}

static struct perf_faults *faults;

static int setup(void **state)
{
	(void)state;
	signal(SIGIO, SIG_IGN);
	faults = perf_faults_new(true);
	return faults ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	perf_faults_free(faults);
	return 0;
}

/* Watches this process; false where the kernel does not allow it. */
static bool watch_self(void)
{
	int err = perf_faults_watch(faults, getpid(), false);

	if (err)
		print_message("perf events: %s\n", strerror(-err));
	return !err;
}

static void touch(struct seen *seen, size_t pages)
{
	char *at = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(at != MAP_FAILED);
	assert_int_equal(madvise(at, pages * PAGE, MADV_NOHUGEPAGE), 0);
	*seen = (struct seen){
		.start = (uint64_t)at, .end = (uint64_t)at + pages * PAGE, .ordered = true, .in_time = true
	};
	for (size_t i = 0; i < pages; i++)
		((volatile char *)at)[i * PAGE] = 1;
}

static void test_own_faults(void **state)
{
	struct seen seen;

	(void)state;
	if (!watch_self())
		skip();
	touch(&seen, 1000);
	assert_true(perf_faults_drain(faults, take, &seen) >= 1000);
	assert_int_equal(seen.in_range, 1000);
	assert_true(seen.ordered);
	assert_true(seen.in_time);
	assert_int_equal(seen.tid, getpid());
	assert_true(seen.mapped_start <= seen.start && seen.mapped_end >= seen.end);
	assert_int_equal(perf_faults_lost(faults), 0);
}

/* A child is watched from its beginning. */
static void test_childs_faults(void **state)
{
	struct seen seen;
	pid_t pid;

	(void)state;
	if (!watch_self())
		skip();
	touch(&seen, 50);
	perf_faults_drain(faults, take, &seen);
	seen.in_range = 0;
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		for (size_t i = 0; i < 50; i++)
			((volatile char *)seen.start)[i * PAGE] = 2;
		_exit(0);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	perf_faults_drain(faults, take, &seen);
	assert_int_equal(seen.in_range, 50);
	assert_int_equal(seen.tid, pid);
}

/* What does not fit is counted. */
static void test_lost_faults(void **state)
{
	enum { PAGES = 100000 };
	struct seen seen;
	cpu_set_t before, one;
	uint64_t lost;

	(void)state;
	if (!watch_self())
		skip();
	/* On one CPU: its buffer overflows, and it is there that the next record fits. */
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	touch(&seen, PAGES);
	perf_faults_drain(faults, take, &seen);
	munmap((void *)seen.start, seen.end - seen.start);
	/* The kernel tells of the loss with the next record that fits. */
	touch(&(struct seen){ 0 }, 1);
	perf_faults_drain(faults, take, &seen);
	lost = perf_faults_lost(faults);
	assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
	assert_true(seen.in_range < PAGES);
	assert_true(seen.all + lost >= PAGES);
	assert_int_equal(perf_faults_lost(faults), 0);
}

static volatile sig_atomic_t signals;

static void on_signal(int number)
{
	(void)number;
	signals++;
}

/* The reader is interrupted when a buffer has filled by a quarter, and not by each fault. */
static void test_signals(void **state)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct seen seen;

	(void)state;
	if (!watch_self())
		skip();
	assert_int_equal(sigaction(SIGIO, &action, NULL), 0);
	signals = 0;
	touch(&seen, 100);
	assert_int_equal(signals, 0);
	touch(&seen, 20000);
	while (!signals)
		usleep(1000);
	assert_in_range(signals, 1, 200);
	signal(SIGIO, SIG_IGN);
}

/* One page is touched by a function that is called through a known chain. */
struct stack_seen {
	struct unwind_space *space;
	uint64_t addr;
	unsigned int samples, found;
	size_t bytes;
	struct unwind_stack stack;
};

static void stack_take(void *ctx, const struct perf_stack *stack)
{
	struct stack_seen *to = ctx;
	struct unwind_copy copy = { .addr = unwind_regs_sp(&stack->regs), .data = stack->data, .len = stack->len };

	to->samples++;
	if (stack->addr != to->addr || stack->tid != getpid())
		return;
	to->found++;
	to->bytes = stack->len;
	unwind_walk(to->space, &stack->regs, unwind_copy_read, &copy, &to->stack);
}

static __attribute__((noinline, noclone)) uint64_t touch_here(volatile char *at)
{
	uint64_t returns = (uint64_t)(uintptr_t)__builtin_return_address(0);

	at[0] = 1;
	return returns;
}

static void test_stacks(void **state)
{
	struct unwind_cache *cache = unwind_cache_new();
	struct perf_stacks *stacks = perf_stacks_new();
	struct stack_seen seen = { .space = unwind_space_new(cache, getpid()) };
	uint64_t returns;
	char *at;

	(void)state;
	assert_non_null(seen.space);
	assert_non_null(stacks);
	assert_int_equal(unwind_space_read(seen.space), 0);
	if (perf_stacks_watch(stacks, getpid(), false))
		skip();
	at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	seen.addr = (uint64_t)at;
	perf_stacks_drain(stacks, stack_take, &seen);
	returns = touch_here(at);
	perf_stacks_drain(stacks, stack_take, &seen);
	assert_int_equal(seen.found, 1);
	/* All of it, or as far as the stack goes. */
	assert_true(seen.bytes > 512 && seen.bytes <= PERF_STACK_BYTES);
	assert_true(seen.stack.count >= 2);
	assert_true(seen.stack.frames[0].exact);
	assert_true(seen.stack.frames[0].addr - (uint64_t)(uintptr_t)touch_here < 256);
	assert_int_equal(seen.stack.frames[1].addr, returns);
	/* However many there are: what does not fit is left out, and the next one after a drain fits again. */
	touch(&(struct seen){ 0 }, 2000);
	seen.samples = 0;
	perf_stacks_drain(stacks, stack_take, &seen);
	assert_true(seen.samples > 2 && seen.samples < 2000);
	perf_stacks_free(stacks);
	unwind_space_free(seen.space);
	unwind_cache_free(cache);
}

static void test_stack_records(void **state)
{
	static char record[PERF_STACK_BYTES + 1024] __attribute__((aligned(8)));
	struct perf_event_header header = { PERF_RECORD_SAMPLE, 0, 0 };
	uint64_t *words = (uint64_t *)(void *)record;
	struct perf_stack stack;
	size_t size;

	(void)state;
	memcpy(record, &header, sizeof(header));
	words[4] = 2; /* PERF_SAMPLE_REGS_ABI_64 */
	for (size_t i = 5; i < 40; i++)
		words[i] = 64; /* registers, then how much stack there is */
	size = 8192;
	assert_true(perf_stacks_parse(record, size, &stack));
	assert_true(stack.len <= 64);
	assert_true((const char *)stack.data + stack.len <= record + size);
	for (size = 0; size < 300; size++) {
		if (perf_stacks_parse(record, size, &stack))
			assert_true((const char *)stack.data + stack.len <= record + size);
	}
	words[4] = 1; /* of a 32-bit program */
	assert_false(perf_stacks_parse(record, 8192, &stack));
}

static void test_no_such_thread(void **state)
{
	int err;

	(void)state;
	if (!watch_self())
		skip();
	err = perf_faults_watch(faults, 0x3fffffff, false);
	assert_int_equal(err, -ESRCH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_records_with_ip),
		cmocka_unit_test(test_records_of_mappings),
		cmocka_unit_test(test_stack_records),
		cmocka_unit_test(test_stacks),
		cmocka_unit_test_setup_teardown(test_own_faults, setup, teardown),
		cmocka_unit_test_setup_teardown(test_childs_faults, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost_faults, setup, teardown),
		cmocka_unit_test_setup_teardown(test_signals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_such_thread, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
