/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "target/order.h"

#define COUNT 7

static void apply(enum order order, uint64_t seed, size_t *sizes)
{
	static const size_t given[COUNT] = { 50, 10, 70, 30, 30, 20, 60 };
	struct order_rng rng = { .state = seed };

	memcpy(sizes, given, sizeof(given));
	order_apply(order, &rng, sizes, COUNT);
}

static void names(void **state)
{
	enum order order;

	(void)state;
	assert_int_equal(order_by_name("ascending", &order), 0);
	assert_int_equal(order, ORDER_ASCENDING);
	for (enum order each = ORDER_SHUFFLED; each <= ORDER_GIVEN; each++) {
		assert_int_equal(order_by_name(order_name(each), &order), 0);
		assert_int_equal(order, each);
	}
	assert_int_equal(order_by_name("Ascending", &order), -EINVAL);
	assert_int_equal(order_by_name("", &order), -EINVAL);
}

static void fixed_orders(void **state)
{
	static const size_t up[COUNT] = { 10, 20, 30, 30, 50, 60, 70 };
	static const size_t down[COUNT] = { 70, 60, 50, 30, 30, 20, 10 };
	static const size_t given[COUNT] = { 50, 10, 70, 30, 30, 20, 60 };
	size_t sizes[COUNT];

	(void)state;
	apply(ORDER_ASCENDING, 1, sizes);
	assert_memory_equal(sizes, up, sizeof(up));
	apply(ORDER_DESCENDING, 1, sizes);
	assert_memory_equal(sizes, down, sizeof(down));
	apply(ORDER_GIVEN, 1, sizes);
	assert_memory_equal(sizes, given, sizeof(given));
	order_apply(ORDER_SHUFFLED, &(struct order_rng){ .state = 1 }, sizes, 0); /* nothing to do, nothing touched */
	assert_memory_equal(sizes, given, sizeof(given));
}

/* The sequence of a seed is part of the interface: experiments are cited by it. */
static void a_seed_is_an_order(void **state)
{
	struct order_rng rng = { .state = 42 };
	size_t one[COUNT], two[COUNT], sorted[COUNT];

	(void)state;
	assert_int_equal(order_random(&rng, UINT64_MAX), UINT64_C(13679457532755275413));
	assert_int_equal(order_random(&rng, UINT64_MAX), UINT64_C(2949826092126892291));
	apply(ORDER_SHUFFLED, 42, one);
	apply(ORDER_SHUFFLED, 42, two);
	assert_memory_equal(one, two, sizeof(one));
	apply(ORDER_SHUFFLED, 43, two);
	assert_memory_not_equal(one, two, sizeof(one));
	order_apply(ORDER_ASCENDING, &rng, one, COUNT);
	apply(ORDER_ASCENDING, 0, sorted);
	assert_memory_equal(one, sorted, sizeof(sorted)); /* a permutation: nothing lost, nothing new */
}

/* Each of the 6 permutations of 3 sizes: 60,000 shuffles, 10,000 expected; 5 sigma is 457. */
static void shuffles_are_uniform(void **state)
{
	struct order_rng rng = { .state = 7 };
	unsigned int counts[3][3][3] = { { { 0 } } };

	(void)state;
	for (int i = 0; i < 60000; i++) {
		size_t sizes[3] = { 0, 1, 2 };

		order_apply(ORDER_SHUFFLED, &rng, sizes, 3);
		counts[sizes[0]][sizes[1]][sizes[2]]++;
	}
	for (int a = 0; a < 3; a++)
		for (int b = 0; b < 3; b++)
			for (int c = 0; c < 3; c++)
				if (a != b && b != c && a != c)
					assert_in_range(counts[a][b][c], 10000 - 457, 10000 + 457);
				else
					assert_int_equal(counts[a][b][c], 0);
}

static void random_is_in_bounds(void **state)
{
	struct order_rng rng = { .state = 0 };
	unsigned int seen = 0;

	(void)state;
	assert_int_equal(order_random(&rng, 1), 0);
	for (int i = 0; i < 1000; i++) {
		uint64_t value = order_random(&rng, 5);

		assert_in_range(value, 0, 4);
		seen |= 1U << value;
	}
	assert_int_equal(seen, 0x1f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(fixed_orders),
		cmocka_unit_test(a_seed_is_an_order),
		cmocka_unit_test(shuffles_are_uniform),
		cmocka_unit_test(random_is_in_bounds),
	};

	return cmocka_run_group_tests_name("target_order", tests, NULL, NULL);
}
