/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/ptrace_decode.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/mman.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <cmocka.h>

#define PAGE 4096
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static const struct ptrace_view view = { .page_size = PAGE, .brk = 0x10000100 };
static const struct ptrace_view locked_view = { .page_size = PAGE, .brk = 0x10000100, .locked = true };
static const struct ptrace_view new_view = { .page_size = PAGE };

static const struct memcall *call_of(const char *name)
{
	const struct memcall *call = memcall_by_name(name);

	assert_non_null(call);
	return call;
}

static void test_effects(void **state)
{
	static const struct {
		const char *name;
		uint64_t args[6];
		const struct ptrace_view *view;
		enum ptrace_effect effect;
	} cases[] = {
		{ "mmap", { 0, PAGE, PROT_READ, ANON, UINT64_MAX }, &view, EFFECT_GROWTH },
		{ "mmap", { 0, PAGE, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, UINT64_MAX }, &view, EFFECT_GROWTH },
		{ "mmap", { 4096, PAGE, 3, ANON | MAP_FIXED_NOREPLACE }, &view, EFFECT_GROWTH },
		{ "mmap", { 4096, PAGE, 3, ANON | MAP_FIXED }, &view, EFFECT_MEASURED },
		{ "mmap", { 0, PAGE, 3, ANON | MAP_POPULATE }, &view, EFFECT_MEASURED },
		{ "mmap", { 0, PAGE, 3, ANON | MAP_LOCKED }, &view, EFFECT_MEASURED },
		{ "mmap", { 0, PAGE, 3, ANON | MAP_HUGETLB }, &view, EFFECT_MEASURED },
		{ "mmap", { 0, PAGE, 3, ANON | MAP_GROWSDOWN }, &view, EFFECT_MEASURED },
		{ "mmap", { 0, PAGE, 3, MAP_PRIVATE, 3 }, &view, EFFECT_MEASURED },
		{ "mmap", { 0, PAGE, 3, ANON }, &locked_view, EFFECT_MEASURED },
		{ "brk", { 0 }, &view, EFFECT_NONE },
		{ "brk", { 0 }, &new_view, EFFECT_NONE },
		{ "brk", { 0x10000100 }, &view, EFFECT_GROWTH },
		{ "brk", { 0x10020000 }, &view, EFFECT_GROWTH },
		{ "brk", { 0x100000ff }, &view, EFFECT_MEASURED },
		{ "brk", { 0x10020000 }, &new_view, EFFECT_MEASURED },
		{ "brk", { 0x10020000 }, &locked_view, EFFECT_MEASURED },
		{ "munmap", { 4096, PAGE }, &view, EFFECT_MEASURED },
		{ "mremap", { 4096, PAGE, 2 * PAGE }, &view, EFFECT_MEASURED },
		{ "mprotect", { 4096, PAGE, 1 }, &view, EFFECT_NONE },
		{ "mprotect", { 4096, PAGE, 1 }, &locked_view, EFFECT_MEASURED },
		{ "madvise", { 4096, PAGE, MADV_DONTNEED }, &view, EFFECT_MEASURED },
		{ "madvise", { 4096, PAGE, MADV_FREE }, &view, EFFECT_MEASURED },
		{ "madvise", { 4096, PAGE, 12345 }, &view, EFFECT_MEASURED },
		{ "madvise", { 4096, PAGE, MADV_HUGEPAGE }, &view, EFFECT_NONE },
		{ "madvise", { 4096, PAGE, MADV_DONTFORK }, &view, EFFECT_NONE },
		{ "mlock", { 4096, PAGE }, &view, EFFECT_MEASURED },
		{ "munlock", { 4096, PAGE }, &view, EFFECT_NONE },
		{ "munlockall", { 0 }, &locked_view, EFFECT_NONE },
		{ "shmat", { 1 }, &view, EFFECT_MEASURED },
		{ "execve", { 4096 }, &view, EFFECT_MEASURED },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		enum ptrace_effect got = ptrace_effect(call_of(cases[i].name), cases[i].args, cases[i].view);

		if (got != cases[i].effect)
			fail_msg("case %zu, %s: effect %d, not %d", i, cases[i].name, got, cases[i].effect);
	}
}

static void test_growth(void **state)
{
	const uint64_t map[6] = { 0, 5000, 3, ANON, UINT64_MAX }, up[6] = { 0x10003001 };

	(void)state;
	assert_int_equal(ptrace_growth(call_of("mmap"), map, 0x7f0000000000, &view), 2 * PAGE);
	assert_int_equal(ptrace_growth(call_of("mmap"), map, -ENOMEM, &view), 0);
	/* From the page that ends at 0x10001000 to the one that ends at 0x10004000. */
	assert_int_equal(ptrace_growth(call_of("brk"), up, 0x10003001, &view), 3 * PAGE);
	/* Refused: brk returns where the heap ends as before. */
	assert_int_equal(ptrace_growth(call_of("brk"), up, 0x10000100, &view), 0);
}

static void test_locks_and_drops(void **state)
{
	const uint64_t fixed[6] = { 4096, PAGE, 3, ANON | MAP_FIXED },
		       filled[6] = { 4096, PAGE, 3, ANON | MAP_FIXED | MAP_POPULATE };
	const uint64_t locked[6] = { 0, PAGE, 3, ANON | MAP_LOCKED }, plain[6] = { 0, PAGE, 3, ANON },
		       range[6] = { 4096, PAGE };
	const uint64_t gone[6] = { 4096, PAGE, MADV_DONTNEED }, freed[6] = { 4096, PAGE, MADV_FREE };
	const uint64_t down[6] = { 0x10000000 }, up[6] = { 0x10010000 };

	(void)state;
	assert_true(ptrace_locks(call_of("mmap"), locked));
	assert_false(ptrace_locks(call_of("mmap"), plain));
	assert_true(ptrace_locks(call_of("mlock"), range));
	assert_true(ptrace_locks(call_of("mlockall"), range));
	assert_false(ptrace_locks(call_of("munlock"), range));
	assert_true(ptrace_drops(call_of("munmap"), range, &view));
	assert_true(ptrace_drops(call_of("mmap"), fixed, &view));
	assert_false(ptrace_drops(call_of("mmap"), fixed, &locked_view));
	assert_false(ptrace_drops(call_of("mmap"), filled, &view));
	assert_false(ptrace_drops(call_of("mmap"), plain, &view));
	assert_true(ptrace_drops(call_of("madvise"), gone, &view));
	assert_false(ptrace_drops(call_of("madvise"), freed, &view));
	assert_true(ptrace_drops(call_of("brk"), down, &view));
	assert_false(ptrace_drops(call_of("brk"), up, &view));
}

/* Expects the ranges "START-END START-END" in pages. */
static void expect_ranges(const char *name, const uint64_t args[static 6], bool returned, int64_t ret, const char *want)
{
	struct ptrace_range ranges[PTRACE_RANGES];
	unsigned int count = ptrace_ranges(call_of(name), args, &view, returned, ret, ranges);
	char text[128] = "";
	size_t len = 0;

	for (unsigned int i = 0; i < count; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%lx-%lx", i ? " " : "",
					(unsigned long)ranges[i].start / PAGE, (unsigned long)ranges[i].end / PAGE);
	assert_string_equal(text, want);
}

static void test_ranges(void **state)
{
	const uint64_t map[6] = { 0, 5000, 3, ANON | MAP_POPULATE }, fixed[6] = { 0x8000, 5000, 3, ANON | MAP_FIXED };
	const uint64_t unmap[6] = { 0x8000, 1 }, nothing[6] = { 0x8000, 0 }, too_far[6] = { 0x8000, UINT64_MAX - 4096 };
	const uint64_t move[6] = { 0x8000, 0x2000, 0x4000, MREMAP_MAYMOVE };
	const uint64_t put[6] = { 0x8000, 0x2000, 0x4000, MREMAP_MAYMOVE | MREMAP_FIXED, 0x20000 };
	const uint64_t twice[6] = { 0x8000, 0, 0x4000, MREMAP_MAYMOVE };
	const uint64_t down[6] = { 0x0ffff001 }, up[6] = { 0x10003000 };

	(void)state;
	expect_ranges("mmap", map, false, 0, "");
	expect_ranges("mmap", map, true, 0x20000, "20-22");
	expect_ranges("mmap", map, true, -ENOMEM, "");
	expect_ranges("mmap", fixed, false, 0, "8-a");
	expect_ranges("mmap", fixed, true, -ENOMEM, "8-a");
	expect_ranges("munmap", unmap, true, 0, "8-9");
	expect_ranges("munmap", nothing, true, 0, "");
	expect_ranges("munmap", too_far, true, 0, "");
	expect_ranges("mremap", move, false, 0, "8-a");
	expect_ranges("mremap", move, true, 0x20000, "8-a 20-24");
	expect_ranges("mremap", move, true, 0x8000, "8-c");
	expect_ranges("mremap", put, false, 0, "8-a 20-24");
	expect_ranges("mremap", twice, true, 0x30000, "8-c 30-34");
	expect_ranges("brk", up, true, 0x10003000, "10000-10003");
	expect_ranges("brk", down, true, 0x0ffff001, "10000-10001");
	expect_ranges("shmdt", unmap, true, 0, "");
}

static void test_results(void **state)
{
	(void)state;
	assert_true(ptrace_failed(-1));
	assert_true(ptrace_failed(-4095));
	assert_false(ptrace_failed(-4096));
	assert_false(ptrace_failed(0));
	assert_false(ptrace_failed(INT64_MIN));
	assert_true(ptrace_restarts(-512));
	assert_true(ptrace_restarts(-516));
	assert_false(ptrace_restarts(-511));
	assert_false(ptrace_restarts(-517));
}

static void test_statm(void **state)
{
	struct ptrace_statm statm;

	(void)state;
	assert_int_equal(ptrace_parse_statm("655 250 200 10 0 90 0\n", 22, &statm), 0);
	assert_int_equal(statm.size, 655);
	assert_int_equal(statm.resident, 250);
	assert_int_equal(statm.shared, 200);
	assert_int_equal(ptrace_parse_statm("", 0, &statm), -EBADMSG);
	assert_int_equal(ptrace_parse_statm("1 2", 3, &statm), -EBADMSG);
	assert_int_equal(ptrace_parse_statm("1  2 3", 6, &statm), -EBADMSG);
	assert_int_equal(ptrace_parse_statm("99999999999999999999 1 1", 24, &statm), -EBADMSG);
}

static void test_stat(void **state)
{
	static const char text[] = "42 (a) b) (c) S 1 2 3 4 5 6 700 8 900 10 11 12";
	uint64_t value;

	(void)state;
	assert_int_equal(ptrace_parse_stat(text, sizeof(text) - 1, STAT_MINOR_FAULTS, &value), 0);
	assert_int_equal(value, 700);
	assert_int_equal(ptrace_parse_stat(text, sizeof(text) - 1, STAT_MAJOR_FAULTS, &value), 0);
	assert_int_equal(value, 900);
	assert_int_equal(ptrace_parse_stat(text, sizeof(text) - 1, 15, &value), 0);
	assert_int_equal(value, 12);
	assert_int_equal(ptrace_parse_stat(text, sizeof(text) - 1, STAT_CPU, &value), -EBADMSG);
	assert_int_equal(ptrace_parse_stat(text, sizeof(text) - 1, 3, &value), -EBADMSG);
	assert_int_equal(ptrace_parse_stat("", 0, STAT_CPU, &value), -EBADMSG);
	assert_int_equal(ptrace_parse_stat("no parenthesis", 14, STAT_CPU, &value), -EBADMSG);
}

static void test_runs(void **state)
{
	struct ptrace_run run = { .start = 0x8000, .end = 0x9000, .count = 1 };

	(void)state;
	assert_true(ptrace_run_extend(&run, 0x9000, PAGE, false));  /* the next page */
	assert_true(ptrace_run_extend(&run, 0x9000, PAGE, false));  /* the same one again */
	assert_true(ptrace_run_extend(&run, 0x7000, PAGE, false));  /* the one before */
	assert_false(ptrace_run_extend(&run, 0xb000, PAGE, false)); /* one is left out */
	assert_false(ptrace_run_extend(&run, 0x5000, PAGE, false));
	assert_false(ptrace_run_extend(&run, 0xa000, PAGE, true)); /* another kind */
	assert_int_equal(run.start, 0x7000);
	assert_int_equal(run.end, 0xa000);
	assert_int_equal(run.count, 4);
}

static void test_native_calls(void **state)
{
	struct ptrace_entry entry = { .nr = SYS_mmap, .args = { 1, 2, 3, 4, 5, 6 } };

	(void)state;
#if defined(__x86_64__)
	entry.arch = AUDIT_ARCH_X86_64;
	assert_true(ptrace_translate(&entry));
	assert_int_equal(entry.nr, SYS_mmap);
	entry.nr |= 0x40000000; /* x32 */
	assert_false(ptrace_translate(&entry));
	assert_string_equal(ptrace_foreign_name(&entry), "foreign syscall");
#else
	entry.arch = AUDIT_ARCH_AARCH64;
	assert_true(ptrace_translate(&entry));
	entry.arch = AUDIT_ARCH_ARM;
	assert_false(ptrace_translate(&entry));
#endif
}

static void test_i386_calls(void **state)
{
#if defined(__x86_64__)
	struct ptrace_entry map = { AUDIT_ARCH_I386, 192, { 0, 8192, 3, ANON, 0xffffffff, 2 } };
	struct ptrace_entry clone = { AUDIT_ARCH_I386, 120, { 1, 2, 3, 4, 5 } };
	struct ptrace_entry old_map = { AUDIT_ARCH_I386, 90, { 0x1000 } };
	struct ptrace_entry other = { AUDIT_ARCH_I386, 9 /* link; mmap on x86-64 */, { 0 } };

	(void)state;
	assert_true(ptrace_translate(&map));
	assert_int_equal(map.nr, SYS_mmap);
	assert_int_equal(map.args[4], -1); /* the descriptor */
	assert_int_equal(map.args[5], 8192);
	assert_true(ptrace_translate(&clone));
	assert_int_equal(clone.nr, SYS_clone);
	assert_int_equal(clone.args[3], 5);
	assert_int_equal(clone.args[4], 4);
	assert_false(ptrace_translate(&old_map));
	assert_string_equal(ptrace_foreign_name(&old_map), "mmap");
	assert_false(ptrace_translate(&other));
	assert_string_equal(ptrace_foreign_name(&other), "foreign syscall");
#else
	(void)state;
	skip();
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_effects),
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_locks_and_drops),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_results),
		cmocka_unit_test(test_statm),
		cmocka_unit_test(test_stat),
		cmocka_unit_test(test_runs),
		cmocka_unit_test(test_native_calls),
		cmocka_unit_test(test_i386_calls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
