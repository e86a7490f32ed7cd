/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/ptrace_mapped.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define UNITS 200

static struct mapped mapped;

static int setup(void **state)
{
	(void)state;
	mapped_clear(&mapped);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	mapped_free(&mapped);
	return 0;
}

static void expect(const uint64_t *bounds, size_t count)
{
	assert_true(mapped.known);
	assert_int_equal(mapped.count, count);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(mapped.ranges[i].start, bounds[2 * i]);
		assert_int_equal(mapped.ranges[i].end, bounds[2 * i + 1]);
	}
}

#define EXPECT(...) expect((uint64_t[]){ __VA_ARGS__ }, sizeof((uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t) / 2)

static void test_neighbours_are_one(void **state)
{
	(void)state;
	mapped_add(&mapped, 10, 20);
	mapped_add(&mapped, 30, 40);
	EXPECT(10, 20, 30, 40);
	mapped_add(&mapped, 20, 30);
	EXPECT(10, 40);
	mapped_add(&mapped, 5, 10);
	mapped_add(&mapped, 40, 41);
	EXPECT(5, 41);
	mapped_add(&mapped, 0, 4);
	EXPECT(0, 4, 5, 41);
	mapped_add(&mapped, 0, 100);
	EXPECT(0, 100);
}

static void test_cuts(void **state)
{
	(void)state;
	mapped_add(&mapped, 10, 40);
	mapped_cut(&mapped, 20, 30);
	EXPECT(10, 20, 30, 40);
	mapped_cut(&mapped, 0, 11);
	mapped_cut(&mapped, 39, 50);
	EXPECT(11, 20, 30, 39);
	mapped_cut(&mapped, 20, 30);
	EXPECT(11, 20, 30, 39);
	mapped_cut(&mapped, 15, 35);
	EXPECT(11, 15, 35, 39);
	mapped_cut(&mapped, 0, 100);
	assert_int_equal(mapped.count, 0);
}

static void test_gaps(void **state)
{
	struct ptrace_range gap = { 1, 2 };

	(void)state;
	mapped_add(&mapped, 10, 20);
	mapped_add(&mapped, 30, 40);
	assert_true(mapped_gap(&mapped, 10, 40, &gap));
	assert_int_equal(gap.start, 20);
	assert_int_equal(gap.end, 30);
	assert_true(mapped_gap(&mapped, 5, 20, &gap));
	assert_int_equal(gap.start, 5);
	assert_int_equal(gap.end, 10);
	assert_true(mapped_gap(&mapped, 15, 25, &gap));
	assert_int_equal(gap.start, 20);
	assert_int_equal(gap.end, 25);
	assert_true(mapped_gap(&mapped, 50, 60, &gap));
	assert_int_equal(gap.start, 50);
	assert_int_equal(gap.end, 60);
	assert_false(mapped_gap(&mapped, 12, 18, &gap)); /* none */
	assert_false(mapped_gap(&mapped, 15, 50, &gap)); /* two */
	assert_false(mapped_gap(&mapped, 5, 25, &gap));
	assert_int_equal(gap.start, 50);
}

static void test_unknown(void **state)
{
	(void)state;
	mapped_add(&mapped, 10, 20);
	mapped_forget(&mapped);
	mapped_add(&mapped, 30, 40);
	mapped_cut(&mapped, 10, 15);
	assert_false(mapped.known);
	assert_int_equal(mapped.count, 0);
	mapped_clear(&mapped);
	assert_true(mapped.known);
}

/* What one bit for each address says. */
static void test_any_order(void **state)
{
	bool units[UNITS] = { false };
	unsigned int seed = 1;

	(void)state;
	for (int step = 0; step < 20000; step++) {
		unsigned int start, end, runs = 0, gaps = 0;
		struct ptrace_range gap;

		seed = seed * 1103515245u + 12345u;
		start = (seed >> 16) % UNITS;
		end = start + 1 + (seed >> 8) % (UNITS - start);
		for (unsigned int i = start; i < end; i++)
			gaps += !units[i] && (i == start || units[i - 1]);
		assert_int_equal(mapped_gap(&mapped, start, end, &gap), gaps == 1);
		if (seed >> 31)
			mapped_add(&mapped, start, end);
		else
			mapped_cut(&mapped, start, end);
		memset(units + start, (int)(seed >> 31), end - start);
		for (unsigned int i = 0; i < UNITS; i++)
			runs += units[i] && (!i || !units[i - 1]);
		assert_int_equal(mapped.count, runs);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_neighbours_are_one, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cuts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gaps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unknown, setup, teardown),
		cmocka_unit_test_setup_teardown(test_any_order, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
