/* SPDX-License-Identifier: GPL-2.0-only */
/* What is known of calls whose exit nobody looks at, on this process's own memory. */
#include "source/ptrace_sure.h"

#include "base/procfs.h"
#include "source/ptrace_books.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#define PAGE  4096ul
#define PAGES 64u
#define RW    (PROT_READ | PROT_WRITE)
#define ANON  (MAP_PRIVATE | MAP_ANONYMOUS)

static struct tracer tracer;
static struct ptrace_task *task;
static struct ptrace_mm *mm;
static char *area;
static struct event last_row;
static unsigned int row_count;

static int setup(void **state)
{
	(void)state;
	signal(SIGIO, SIG_IGN);
	tracer = (struct tracer){ .page_size = PAGE, .max_maps = 65530, .listener = -1 };
	tracer.shared = ptrace_shared_new(0);
	tracer.writer = tracer.shared ? ptrace_writer_new(tracer.shared) : NULL;
	tracer.perf = perf_faults_new(false);
	task = task_add(&tracer, getpid());
	mm = task ? mm_add(&tracer, task) : NULL;
	if (!tracer.writer || !tracer.perf || !mm)
		return -1;
	task_join(task, mm);
	task->filtered = true;
	area = mmap(NULL, PAGES * PAGE, RW, ANON, -1, 0);
	if (area == MAP_FAILED || madvise(area, PAGES * PAGE, MADV_NOHUGEPAGE))
		return -1;
	return books_level(&tracer, mm, &mm->level);
}

static int teardown(void **state)
{
	(void)state;
	munmap(area, PAGES * PAGE);
	task_leave(task);
	tracer_clear(&tracer);
	ptrace_shared_free(tracer.shared);
	return 0;
}

/* Where AddressSanitizer maps memory of its own meanwhile, VIRT tells nothing of the calls: tests by it are not for there. */
#ifdef __SANITIZE_ADDRESS__
#define BY_VIRT(test)
#else
#define BY_VIRT(test) cmocka_unit_test_setup_teardown(test, setup, teardown),
#endif

static int row_take(void *ctx, const struct event *event)
{
	(void)ctx;
	last_row = *event;
	row_count++;
	return 0;
}

/* How many rows have been written since the last time. */
static unsigned int rows(void)
{
	row_count = 0;
	assert_true(ptrace_ring_read(tracer.shared, 100, row_take, NULL) >= 0);
	return row_count;
}

static char *page(size_t n)
{
	return area + n * PAGE;
}

/* The task stands at the entry of a call: whether that is sure. */
static bool enters(int nr, uint64_t a, uint64_t b)
{
	struct ptrace_call call = { .open = true, .native = true, .alone = true, .nr = nr, .args = { a, b } };

	call.memcall = memcall_by_nr(nr);
	if (nr == SYS_mmap) {
		call.args[2] = RW;
		call.args[3] = ANON;
		call.args[4] = UINT64_MAX;
	}
	call.effect = ptrace_effect(call.memcall, call.args, &mm->view);
	call.ts_ns = 1000;
	task->call = call;
	task->call.sure = sure_call(&tracer, task);
	return task->call.sure;
}

static void perf_tells(const char *start, size_t pages, pid_t tid, uint64_t ts_ns)
{
	const struct perf_fault mapping = { .addr = (uint64_t)start, .len = pages * PAGE, .tid = tid, .ts_ns = ts_ns };

	sure_seen(&tracer, mm, &mapping);
}

/* What was mapped before is told, too. */
static void test_mmap_is_told(void **state)
{
	(void)state;
	assert_int_equal(munmap(page(16), 4 * PAGE), 0);
	assert_int_equal(books_level(&tracer, mm, &mm->level), 0);
	assert_true(enters(SYS_mmap, 0, 4 * PAGE - 100));
	assert_ptr_equal(mmap(page(16), 4 * PAGE, RW, ANON | MAP_FIXED, -1, 0), page(16));
	perf_tells(area, PAGES, getpid(), 999); /* an older one */
	perf_tells(area, PAGES, getpid() + 1, 2000);
	sure_confirm(&tracer, mm, NULL);
	assert_int_equal(rows(), 0);
	perf_tells(area, PAGES, getpid(), 2000);
	assert_int_equal(rows(), 1);
	assert_string_equal(last_row.change.name, "mmap");
	assert_int_equal(last_row.change.ret, (int64_t)page(16));
	assert_int_equal(last_row.change.args[1], 4 * PAGE - 100);
	assert_int_equal(last_row.change.delta.virt, 4 * PAGE);
	assert_int_equal(last_row.ts_ns, 1000);
	assert_false(task->call.open);
	perf_tells(area, PAGES, getpid(), 3000);
	assert_int_equal(rows(), 0);
	assert_true(enters(SYS_munmap, (uint64_t)page(16), 4 * PAGE)); /* as it is known now */
}

/* Without a record the call has failed, once its thread does something else. */
__attribute__((unused)) static void test_mmap_fails(void **state)
{
	(void)state;
	assert_true(enters(SYS_mmap, 0, 1024 * PAGE));
	sure_confirm(&tracer, mm, NULL);
	assert_int_equal(rows(), 0);
	sure_confirm(&tracer, mm, task);
	assert_int_equal(rows(), 1);
	assert_int_equal(last_row.change.ret, -ENOMEM);
	assert_true(last_row.change.has_ret);
	assert_true(usage_is_zero(&last_row.change.delta));
}

/* perf has lost the record: the mappings tell. */
__attribute__((unused)) static void test_record_is_lost(void **state)
{
	char *at;

	(void)state;
	assert_true(enters(SYS_mmap, 0, 4096 * PAGE));
	at = mmap(NULL, 4096 * PAGE, RW, ANON, -1, 0);
	assert_true(at != MAP_FAILED);
	sure_confirm(&tracer, mm, task);
	assert_int_equal(rows(), 1);
	assert_int_equal(last_row.change.ret, (int64_t)at);
	assert_int_equal(last_row.change.delta.virt, 4096 * PAGE);
	assert_int_equal(munmap(at, 4096 * PAGE), 0);
}

/* A record that does not fit is no reason to guess. */
static void test_record_is_strange(void **state)
{
	(void)state;
	assert_true(enters(SYS_mmap, 0, 4 * PAGE));
	perf_tells(area, PAGES, getpid(), 2000); /* all of it was mapped */
	assert_int_equal(rows(), 1);
	assert_false(last_row.change.has_ret);
	assert_int_equal(last_row.change.delta.virt, 4 * PAGE);
	assert_false(mm->sure.mapped.known);
}

__attribute__((unused)) static void test_munmap_is_looked_for(void **state)
{
	(void)state;
	*page(3) = 1;
	sure_mapped(mm, (uint64_t)area, PAGES * PAGE);
	assert_true(enters(SYS_munmap, (uint64_t)area, PAGES * PAGE));
	sure_confirm(&tracer, mm, NULL);
	assert_int_equal(rows(), 0); /* it is still to be made */
	assert_int_equal(munmap(area, PAGES * PAGE), 0);
	sure_confirm(&tracer, mm, NULL);
	assert_int_equal(rows(), 1);
	assert_int_equal(last_row.change.ret, 0);
	assert_int_equal(last_row.change.delta.virt, -(int64_t)(PAGES * PAGE));
	assert_int_equal(last_row.change.delta.anon, -(int64_t)PAGE);
}

/* A call that is to be made again has not been made. */
static void test_cut(void **state)
{
	struct ptrace_entry cut = { .nr = SYS_munmap, .args = { (uint64_t)area, PAGES * PAGE } };

	(void)state;
	sure_mapped(mm, (uint64_t)area, PAGES * PAGE);
	assert_true(enters(SYS_munmap, (uint64_t)area, PAGES * PAGE));
	sure_cut(&tracer, task, &cut);
	assert_int_equal(rows(), 0);
	assert_false(task->call.open);
	assert_true(enters(SYS_munmap, (uint64_t)area, PAGES * PAGE));
	cut.nr = SYS_mmap; /* another one has been cut, so this one has been made */
	sure_cut(&tracer, task, &cut);
	assert_int_equal(rows(), 1);
	assert_true(enters(SYS_mmap, 0, PAGE));
	sure_forget(task);
	sure_confirm(&tracer, mm, task);
	assert_int_equal(rows(), 0);
}

/* Of several threads the one with the token has the mm for itself, unless one has lost it in the middle of a call. */
static void test_token(void **state)
{
	(void)state;
	sure_mapped(mm, (uint64_t)area, PAGES * PAGE);
	assert_true(enters(SYS_munmap, (uint64_t)area, PAGES * PAGE));
	sure_forget(task);
	task->call.alone = false;
	assert_false(sure_call(&tracer, task));
	task->call.token = true;
	mm->measuring = 1;
	assert_false(sure_call(&tracer, task));
	mm->measuring = 0;
	assert_true(sure_call(&tracer, task));
}

static void test_unsure_mmap(void **state)
{
	(void)state;
	assert_false(enters(SYS_mmap, 4096, PAGE));
	assert_false(enters(SYS_mmap, 0, 0));
	assert_false(enters(SYS_mmap, 0, UINT64_MAX - 100));
	mm->view.locked = true;
	assert_false(enters(SYS_mmap, 0, PAGE));
	mm->view.locked = false;
	assert_true(enters(SYS_mmap, 0, PAGE));
	task->filtered = false;
	assert_false(enters(SYS_mmap, 0, PAGE));
}

static void heap_find(void)
{
	uint64_t start = 0;
	struct buf stat = { 0 };

	assert_int_equal(procfs_read(getpid(), "stat", &stat), 0);
	assert_int_equal(ptrace_parse_stat(stat.data, stat.len, STAT_START_BRK, &start), 0);
	buf_free(&stat);
	mm->view.start_brk = start;
	mm->view.brk = (uint64_t)sbrk(0);
	assert_int_equal(books_level(&tracer, mm, &mm->level), 0);
}

__attribute__((unused)) static void test_brk(void **state)
{
	uint64_t was, end;

	(void)state;
	assert_true(sbrk((long)(-(uintptr_t)sbrk(0) % PAGE)) != (void *)-1); /* to the end of a page */
	heap_find();
	was = mm->view.brk;
	assert_true(enters(SYS_brk, 0, 0));
	sure_confirm(&tracer, mm, task);
	assert_int_equal(rows(), 1);
	assert_int_equal(last_row.change.ret, was);
	assert_false(enters(SYS_brk, was - 10, 0));	     /* on the same page */
	assert_false(enters(SYS_brk, UINT64_MAX - PAGE, 0)); /* no address */
	end = was + 3 * PAGE;
	assert_true(enters(SYS_brk, end, 0)); /* fails */
	sure_confirm(&tracer, mm, task);
	assert_int_equal(rows(), 1);
	assert_int_equal(last_row.change.ret, was);
	assert_int_equal(mm->view.brk, was);
	assert_true(enters(SYS_brk, end, 0));
	assert_int_equal(syscall(SYS_brk, end), end);
	perf_tells((char *)mm->view.start_brk, (end - mm->view.start_brk) / PAGE, getpid(), 2000);
	assert_int_equal(rows(), 1);
	assert_int_equal(last_row.change.ret, end);
	assert_int_equal(last_row.change.delta.virt, 3 * PAGE);
	*(volatile char *)was = 1;
	assert_true(enters(SYS_brk, was, 0)); /* fails */
	sure_confirm(&tracer, mm, task);
	assert_int_equal(rows(), 1);
	assert_int_equal(last_row.change.ret, end);
	assert_true(usage_is_zero(&last_row.change.delta));
	assert_true(enters(SYS_brk, was, 0));
	assert_int_equal(syscall(SYS_brk, was), was);
	sure_confirm(&tracer, mm, task);
	assert_int_equal(rows(), 1);
	assert_int_equal(last_row.change.ret, was);
	assert_int_equal(last_row.change.delta.virt, -(int64_t)(3 * PAGE));
	assert_int_equal(last_row.change.delta.anon, -(int64_t)PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_mmap_is_told, setup, teardown),
		BY_VIRT(test_mmap_fails) BY_VIRT(test_record_is_lost)
			cmocka_unit_test_setup_teardown(test_record_is_strange, setup, teardown),
		BY_VIRT(test_munmap_is_looked_for) cmocka_unit_test_setup_teardown(test_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(test_token, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unsure_mmap, setup, teardown),
		BY_VIRT(test_brk)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
