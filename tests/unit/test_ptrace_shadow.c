/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/ptrace_shadow.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Entries of pagemap as the kernel makes them. */
#define NONE	0ull
#define SWAPPED (1ull << 62 | 77)
#define ANON	(1ull << 63 | 1ull << 56 | 1ull << 55)
#define FILE_	(1ull << 63 | 1ull << 61)
#define SHARED	(1ull << 63) /* with a child; or the zero page */

static struct shadow shadow;

static int setup(void **state)
{
	(void)state;
	memset(&shadow, 0, sizeof(shadow));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	shadow_free(&shadow);
	return 0;
}

static void expect_look(uint64_t first, const uint64_t *entries, size_t count, int anon, int file, int doubtful)
{
	struct page_counts change = { 0 };

	assert_int_equal(shadow_look(&shadow, first, entries, count, &change), 0);
	assert_int_equal(change.anon, anon);
	assert_int_equal(change.file, file);
	assert_int_equal(change.doubtful, doubtful);
}

static void test_entries(void **state)
{
	(void)state;
	assert_int_equal(shadow_entry(NONE), PAGE_NONE);
	assert_int_equal(shadow_entry(SWAPPED), PAGE_NONE);
	assert_int_equal(shadow_entry(ANON), PAGE_ANON);
	assert_int_equal(shadow_entry(FILE_), PAGE_FILE);
	assert_int_equal(shadow_entry(FILE_ | 1ull << 56), PAGE_FILE);
	assert_int_equal(shadow_entry(SHARED), PAGE_DOUBTFUL);
	assert_true(shadow_entry_swapped(SWAPPED));
	assert_false(shadow_entry_swapped(ANON));
}

static void test_differences(void **state)
{
	const uint64_t first[] = { NONE, ANON, FILE_, SHARED, SWAPPED }, second[] = { ANON, NONE, ANON, ANON, FILE_ };

	(void)state;
	expect_look(1000, first, 5, 1, 1, 1);
	expect_look(1000, first, 5, 0, 0, 0);
	expect_look(1000, second, 5, 2, 0, -1);
	assert_int_equal(shadow_get(&shadow, 1000), PAGE_ANON);
	assert_int_equal(shadow_get(&shadow, 1001), PAGE_NONE);
	assert_int_equal(shadow_get(&shadow, 1004), PAGE_FILE);
	assert_int_equal(shadow_get(&shadow, 999), PAGE_NONE);
}

/* A page that was this mm's alone and is now shared with a child is still counted. */
static void test_fork_shares(void **state)
{
	const uint64_t before[] = { ANON }, after[] = { SHARED };
	struct page_counts sum = { 0 };

	(void)state;
	expect_look(5, before, 1, 1, 0, 0);
	expect_look(5, after, 1, 0, 0, 0);
	assert_int_equal(shadow_get(&shadow, 5), PAGE_ANON);
	shadow_count(&shadow, 5, after, 1, &sum);
	assert_int_equal(sum.anon, 1);
	assert_int_equal(sum.doubtful, 0);
	shadow_count(&shadow, 6, after, 1, &sum);
	assert_int_equal(sum.doubtful, 1);
}

static void test_doubt_is_decided(void **state)
{
	const uint64_t entries[] = { SHARED, SHARED, ANON };

	(void)state;
	expect_look(510, entries, 3, 1, 0, 2);
	shadow_decide(&shadow, 511, 100, PAGE_ANON);
	shadow_decide(&shadow, 0, 511, PAGE_NONE);
	assert_int_equal(shadow_get(&shadow, 510), PAGE_NONE);
	assert_int_equal(shadow_get(&shadow, 511), PAGE_ANON);
	assert_int_equal(shadow_get(&shadow, 512), PAGE_ANON);
}

static void test_fork_copies(void **state)
{
	const uint64_t entries[] = { ANON, FILE_, SHARED };
	struct shadow child = { 0 };

	(void)state;
	expect_look(511, entries, 3, 1, 1, 1);
	assert_int_equal(shadow_fork(&shadow, &child), 0);
	assert_int_equal(shadow_get(&child, 511), PAGE_ANON);
	assert_int_equal(shadow_get(&child, 512), PAGE_NONE);
	assert_int_equal(shadow_get(&child, 513), PAGE_NONE);
	shadow_set(&child, 511, 1, PAGE_NONE);
	assert_int_equal(shadow_get(&shadow, 511), PAGE_ANON);
	shadow_free(&child);
}

/* A range as large as the address space is cleared by what is known, not page by page. */
static void test_huge_range(void **state)
{
	const uint64_t entries[] = { ANON };

	(void)state;
	expect_look(1, entries, 1, 1, 0, 0);
	expect_look(0x7ffffffff, entries, 1, 1, 0, 0);
	assert_int_equal(shadow_set(&shadow, 2, 1ull << 40, PAGE_NONE), 0);
	assert_int_equal(shadow_get(&shadow, 1), PAGE_ANON);
	assert_int_equal(shadow_get(&shadow, 0x7ffffffff), PAGE_NONE);
}

/* Random looks and changes, against an array of one state a page. */
static void test_against_array(void **state)
{
	enum { PAGES = 3000, ROUNDS = 3000 };
	static const uint64_t kinds[] = { NONE, ANON, FILE_ };
	static enum page_state model[PAGES];
	static uint64_t entries[PAGES];

	(void)state;
	memset(model, 0, sizeof(model));
	srandom(17);
	for (int round = 0; round < ROUNDS; round++) {
		uint64_t first = (uint64_t)random() % PAGES, count = 1 + (uint64_t)random() % (PAGES - first);
		struct page_counts change = { 0 }, want = { 0 };

		if (random() % 4 == 0) {
			enum page_state set = (enum page_state)(random() % 3);

			assert_int_equal(shadow_set(&shadow, first, count, set), 0);
			for (uint64_t i = 0; i < count; i++)
				model[first + i] = set;
			continue;
		}
		for (uint64_t i = 0; i < count; i++) {
			enum page_state is;

			entries[i] = kinds[random() % 3];
			is = shadow_entry(entries[i]);
			want.anon += (is == PAGE_ANON) - (model[first + i] == PAGE_ANON);
			want.file += (is == PAGE_FILE) - (model[first + i] == PAGE_FILE);
			model[first + i] = is;
		}
		assert_int_equal(shadow_look(&shadow, first, entries, count, &change), 0);
		assert_memory_equal(&change, &want, sizeof(want));
	}
	for (uint64_t i = 0; i < PAGES; i++)
		assert_int_equal(shadow_get(&shadow, i), model[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_entries, setup, teardown),
		cmocka_unit_test_setup_teardown(test_differences, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fork_shares, setup, teardown),
		cmocka_unit_test_setup_teardown(test_doubt_is_decided, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fork_copies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_huge_range, setup, teardown),
		cmocka_unit_test_setup_teardown(test_against_array, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
