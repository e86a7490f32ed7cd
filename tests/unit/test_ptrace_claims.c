/* SPDX-License-Identifier: GPL-2.0-only */
/* The claims of runs of faults, and what is sure of a munmap, on this process's own memory. */
#include "source/ptrace_claims.h"

#include "source/ptrace_books.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define PAGE	   4096
#define PAGES	   64u
#define RW	   (PROT_READ | PROT_WRITE)
#define HUGE_BYTES (2u << 20) /* as far as claims look around a run */

static struct tracer tracer;
static struct ptrace_task *task;
static struct ptrace_mm *mm;
static char *area, *reserved;

/* Nothing else lies so near that it could be looked at with the area. */
static char *area_map(void)
{
	char *at;

	reserved = mmap(NULL, 2 * HUGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (reserved == MAP_FAILED)
		return MAP_FAILED;
	at = reserved + HUGE_BYTES - (uintptr_t)reserved % HUGE_BYTES;
	if (mprotect(at, PAGES * PAGE, RW) || madvise(at, PAGES * PAGE, MADV_NOHUGEPAGE))
		return MAP_FAILED;
	return at;
}

static int setup(void **state)
{
	(void)state;
	tracer = (struct tracer){ .page_size = PAGE, .max_maps = 65530 };
	tracer.shared = ptrace_shared_new(0);
	tracer.writer = tracer.shared ? ptrace_writer_new(tracer.shared) : NULL;
	task = task_add(&tracer, getpid());
	mm = task ? mm_add(&tracer, task) : NULL;
	if (!tracer.writer || !mm)
		return -1;
	task_join(task, mm);
	area = area_map();
	return area == MAP_FAILED ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	munmap(reserved, 2 * HUGE_BYTES);
	task_leave(task);
	tracer_clear(&tracer);
	ptrace_shared_free(tracer.shared);
	return 0;
}

static void touch(size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		((volatile char *)area)[i * PAGE] = 1;
}

static void peek(size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		(void)((volatile char *)area)[i * PAGE];
}

/* Adds a run of faults on the pages from @from up to @to. */
static void run_add(size_t from, size_t to)
{
	mm->runs = realloc(mm->runs, (mm->run_count + 1) * sizeof(*mm->runs));
	assert_non_null(mm->runs);
	mm->runs[mm->run_count++] = (struct ptrace_run){ .start = (uint64_t)area + from * PAGE,
							 .end = (uint64_t)area + to * PAGE,
							 .count = to - from };
}

static struct claim claims[8];

static int claim(int64_t virt, int64_t anon, int64_t file, enum claim_trust trust)
{
	const struct usage delta = { .virt = virt * PAGE, .anon = anon * PAGE, .file = file * PAGE };

	return claims_make(mm, &delta, trust, claims);
}

static void test_plain_pages(void **state)
{
	(void)state;
	touch(0, 10);
	touch(20, 25);
	run_add(0, 10);
	run_add(20, 25);
	assert_int_equal(claim(0, 15, 0, CLAIM_SURE), 0);
	assert_int_equal(claims[0].delta.anon, 10 * PAGE);
	assert_int_equal(claims[1].delta.anon, 5 * PAGE);
	assert_int_equal(shadow_get(&mm->shadow, (uint64_t)area / PAGE + 24), PAGE_ANON);
}

/* The sums do not tell, as some pages were there before: so what is known of them does. */
static void test_pages_that_were_there(void **state)
{
	struct page_counts change = { 0 };

	(void)state;
	touch(0, 4);
	assert_int_equal(claims_look(mm, (uint64_t)area, (uint64_t)area + 4 * PAGE, &change), 0);
	assert_int_equal(change.anon, 4);
	touch(4, 6);
	run_add(0, 4);
	run_add(4, 6);
	assert_int_equal(claim(0, 2, 0, CLAIM_SURE), -EAGAIN);
	assert_int_equal(claim(0, 2, 0, CLAIM_EXACT), 0);
	assert_int_equal(claims[0].delta.anon, 0);
	assert_int_equal(claims[1].delta.anon, 2 * PAGE);
}

/* How many pages of the area are resident, as smaps counts them: without the zero page. */
static int64_t area_resident(void)
{
	char line[512], head[32];
	FILE *file = fopen("/proc/self/smaps", "r");
	long long kb = -1;
	bool here = false;

	assert_non_null(file);
	snprintf(head, sizeof(head), "%lx-", (unsigned long)area);
	while (kb < 0 && fgets(line, sizeof(line), file)) {
		here |= !strncmp(line, head, strlen(head));
		if (here && sscanf(line, "Rss: %lld kB", &kb) != 1)
			kb = -1;
	}
	fclose(file);
	assert_true(kb >= 0);
	return kb * 1024 / PAGE;
}

/* Read faults on new anonymous memory map the zero page, which is not resident, and a write makes it a page. There are
 * kernels that have no zero page for processes, and give a page at once. */
static void test_zero_page(void **state)
{
	int64_t read_gives;

	(void)state;
	peek(0, 8);
	read_gives = area_resident() / 8;
	touch(8, 12);
	run_add(0, 8);
	run_add(8, 12);
	assert_int_equal(claim(0, 8 * read_gives + 4, 0, CLAIM_EXACT), 0);
	assert_int_equal(claims[0].delta.anon, 8 * read_gives * PAGE);
	assert_int_equal(claims[1].delta.anon, 4 * PAGE);
	touch(0, 8);
	peek(12, 14);
	mm->run_count = 0;
	run_add(0, 8);
	run_add(12, 14);
	assert_int_equal(claim(0, 8 * (1 - read_gives) + 2 * read_gives, 0, CLAIM_EXACT), 0);
	assert_int_equal(claims[0].delta.anon, 8 * (1 - read_gives) * PAGE);
	assert_int_equal(claims[1].delta.anon, 2 * read_gives * PAGE);
	assert_int_equal(area_resident(), 12 + 2 * read_gives);
}

/* One fault brings the pages of a file around it. */
static void test_fault_around(void **state)
{
	char path[] = "/var/tmp/heaptrace-claims-XXXXXX", block[PAGE] = "";
	int fd = mkstemp(path);
	struct page_counts now = { 0 };

	(void)state;
	assert_true(fd >= 0 && unlink(path) == 0);
	for (size_t i = 0; i < PAGES; i++)
		assert_int_equal(write(fd, block, sizeof(block)), sizeof(block));
	assert_ptr_equal(mmap(area, PAGES * PAGE, RW, MAP_PRIVATE | MAP_FIXED, fd, 0), area);
	peek(32, 33);
	touch(40, 41);
	claims_count(mm, (uint64_t)area, (uint64_t)area + PAGES * PAGE, &now);
	assert_true(now.file >= 1 && now.anon == 1);
	run_add(32, 33);
	run_add(40, 41);
	assert_int_equal(claim(0, 1, now.file, CLAIM_EXACT), 0);
	assert_int_equal(claims[0].delta.file + claims[1].delta.file, now.file * PAGE);
	assert_int_equal(claims[1].delta.anon, PAGE);
	assert_int_equal(claims[0].delta.anon, 0);
	close(fd);
}

/* Makes a mapping grow downward by @pages, at the area's page @at, far below what lies above it. */
static void grow(size_t at, size_t pages)
{
	char *top = area + at * PAGE;

	assert_int_equal(munmap(area, PAGES * PAGE), 0);
	assert_ptr_equal(mmap(top, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0), top);
	assert_int_equal(madvise(top, PAGE, MADV_NOHUGEPAGE), 0);
	for (size_t i = 1; i <= pages; i++)
		((volatile char *)top)[-(ssize_t)i * PAGE] = 1;
	growing_free(&mm->growing);
	assert_int_equal(growing_add(&mm->growing, (uint64_t)area + 2 * PAGE), 0); /* another one, which is gone */
	assert_int_equal(growing_add(&mm->growing, (uint64_t)top), 0);
}

static int64_t grown_now(void)
{
	growing_look(&mm->growing, mm->maps_fd, mm->fd_tid);
	return growing_bytes(&mm->growing);
}

/* Each run below where a mapping began is what made it grow, whatever has become of VIRT meanwhile. */
static void test_growing_mapping(void **state)
{
	(void)state;
	for (int64_t virt = -7; virt <= 4; virt += 11) {
		grow(40, 4);
		mm->tasks = 2;
		run_add(30, 31);
		run_add(37, 40);
		assert_int_equal(grown_now(), 4 * PAGE);
		assert_int_equal(claim(virt, 4, 0, CLAIM_SURE), 0);
		assert_false(claims[0].grew);
		assert_true(claims[1].grew);
		assert_int_equal(claims[1].delta.virt, 3 * PAGE);
		assert_int_equal(mm->growing.maps[1].booked, (uint64_t)area + 37 * PAGE);
		assert_int_equal(grown_now(), PAGE); /* a fault that is not over */
		growing_book(&mm->growing, 5 * PAGE);
		assert_int_equal(mm->growing.maps[1].booked, (uint64_t)area + 36 * PAGE);
		assert_int_equal(grown_now(), 0);
		mm->run_count = 0;
		mm->tasks = 1;
	}
}

/* Where the kernel cannot be asked for one mapping, all of them are read. */
static void test_growing_by_maps(void **state)
{
	close(mm->maps_fd);
	mm->maps_fd = -1;
	test_growing_mapping(state);
}

static void test_nothing_happened(void **state)
{
	(void)state;
	run_add(0, 3);
	assert_int_equal(claim(0, 0, 0, CLAIM_SURE), 0);
	assert_true(usage_is_zero(&claims[0].delta));
}

/* The task stands at the entry of munmap of the pages from @from up to @to. */
static bool munmap_is_sure(size_t from, size_t to)
{
	task->filtered = true;
	task->call = (struct ptrace_call){ .open = true,
					   .native = true,
					   .alone = true,
					   .nr = SYS_munmap,
					   .memcall = memcall_by_nr(SYS_munmap),
					   .args = { (uint64_t)area + from * PAGE, (to - from) * PAGE } };
	return sure_call(&tracer, task);
}

static void test_sure_munmap(void **state)
{
	(void)state;
	touch(3, 5);
	assert_false(munmap_is_sure(0, PAGES)); /* nobody has seen it made */
	sure_mapped(mm, (uint64_t)area, PAGES * PAGE);
	assert_false(munmap_is_sure(0, PAGES - 1));
	assert_true(munmap_is_sure(0, PAGES));
	assert_int_equal(mm->sure.change.delta.virt, -(int64_t)(PAGES * PAGE));
	assert_int_equal(mm->sure.change.delta.anon, -2 * PAGE);
	sure_confirm(&tracer, mm, task);
	assert_int_equal(mm->level.anon, -2 * PAGE);
	assert_false(munmap_is_sure(0, PAGES)); /* not twice */
}

/* Pages shared with a child are not this mm's alone, nor is the zero page. */
static void test_shared_munmap(void **state)
{
	int gate[2];
	pid_t child;
	char end;

	(void)state;
	touch(0, 1);
	assert_int_equal(pipe(gate), 0);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		close(gate[1]);
		_exit(read(gate[0], &end, 1) ? 1 : 0);
	}
	close(gate[0]);
	sure_mapped(mm, (uint64_t)area, PAGES * PAGE);
	assert_false(munmap_is_sure(0, PAGES));
	close(gate[1]);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_true(munmap_is_sure(0, PAGES));
}

static void test_unsure_munmap(void **state)
{
	const struct ptrace_range last_page = { (uint64_t)area + (PAGES - 1) * PAGE, (uint64_t)area + PAGES * PAGE };

	(void)state;
	sure_mapped(mm, (uint64_t)area, PAGES * PAGE);
	sure_changed(mm, &last_page, 1);
	assert_false(munmap_is_sure(0, PAGES));
	sure_mapped(mm, (uint64_t)area, PAGES * PAGE);
	sure_changed(mm, NULL, 0);
	assert_false(munmap_is_sure(0, PAGES));
	sure_mapped(mm, (uint64_t)area, PAGES * PAGE);
	touch(0, 1);
	tracer.max_maps = 4; /* there are more already */
	assert_false(munmap_is_sure(0, PAGES));
	tracer.max_maps = 65530;
	mm->sure.maps_at_most = 65529; /* there may be, so they are counted */
	assert_true(munmap_is_sure(0, PAGES));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_plain_pages, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pages_that_were_there, setup, teardown),
		cmocka_unit_test_setup_teardown(test_zero_page, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fault_around, setup, teardown),
		cmocka_unit_test_setup_teardown(test_growing_mapping, setup, teardown),
		cmocka_unit_test_setup_teardown(test_growing_by_maps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nothing_happened, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sure_munmap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_shared_munmap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unsure_munmap, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
