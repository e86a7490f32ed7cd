/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/perf_faults.h"

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
	assert_int_equal(perf_faults_parse(&sample, sizeof(sample) - 8, &fault), PERF_FAULTS_ONE);
	assert_int_equal(fault.pid, 10);
	assert_int_equal(fault.tid, 11);
	assert_int_equal(fault.ts_ns, 12);
	assert_int_equal(fault.addr, 0x7000);
	assert_false(fault.major);
	assert_int_equal(perf_faults_parse(&sample, sizeof(sample), &fault), PERF_FAULTS_ONE);
	assert_true(fault.major);
	assert_int_equal(perf_faults_parse(&sample, sizeof(sample) - 4, &fault), PERF_FAULTS_OTHER);
	assert_int_equal(perf_faults_parse(&lost, sizeof(lost), &fault), PERF_FAULTS_LOST);
	assert_int_equal(fault.addr, 99);
	assert_int_equal(perf_faults_parse(&lost, sizeof(lost) - 1, &fault), PERF_FAULTS_OTHER);
	sample.header.type = PERF_RECORD_EXIT;
	assert_int_equal(perf_faults_parse(&sample, sizeof(sample), &fault), PERF_FAULTS_OTHER);
}

struct seen {
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
	faults = perf_faults_new();
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
		cmocka_unit_test_setup_teardown(test_own_faults, setup, teardown),
		cmocka_unit_test_setup_teardown(test_childs_faults, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost_faults, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_such_thread, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
