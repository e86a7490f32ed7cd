/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* Any address will do as a value. */
static char values[4096];

static void test_empty(void **state)
{
	struct map map = { 0 };
	size_t pos = 0;

	(void)state;
	assert_null(map_get(&map, 0));
	assert_null(map_del(&map, 7));
	assert_null(map_next(&map, &pos, NULL));
	map_free(&map);
	map_free(NULL);
}

static void test_put_replaces(void **state)
{
	struct map map = { 0 };

	(void)state;
	assert_int_equal(map_put(&map, 0, &values[1]), 0);
	assert_int_equal(map_put(&map, UINT64_MAX, &values[2]), 0);
	assert_int_equal(map_put(&map, 0, &values[3]), 0);
	assert_int_equal(map.count, 2);
	assert_ptr_equal(map_get(&map, 0), &values[3]);
	assert_ptr_equal(map_get(&map, UINT64_MAX), &values[2]);
	assert_ptr_equal(map_del(&map, 0), &values[3]);
	assert_null(map_get(&map, 0));
	assert_int_equal(map.count, 1);
	map_free(&map);
}

static void test_memory_follows_count(void **state)
{
	struct map map = { 0 };
	size_t most;

	(void)state;
	for (uint64_t key = 0; key < 100000; key++)
		assert_int_equal(map_put(&map, key, &values[key % sizeof(values)]), 0);
	most = map.mask + 1;
	for (uint64_t key = 0; key < 100000; key++)
		assert_ptr_equal(map_del(&map, key), &values[key % sizeof(values)]);
	assert_int_equal(map.count, 0);
	assert_true(map.mask + 1 <= 16);
	assert_true(most >= 100000);
	map_free(&map);
}

/* xorshift: the same sequence on every machine. */
static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* Puts, replacements and deletions in random order, against an array that tells the truth. Keys whose low bits are all
 * alike, as those of addresses are, must behave as well. */
static void run_random(uint64_t stride)
{
	enum { KEYS = 512, STEPS = 200000 };
	void *truth[KEYS] = { NULL };
	struct map map = { 0 };
	uint64_t seed = 0x9e3779b97f4a7c15ull, key;
	size_t count = 0, pos = 0, seen = 0;
	void *value;

	for (unsigned int step = 0; step < STEPS; step++) {
		uint64_t random = next_random(&seed);
		unsigned int index = random % KEYS;

		if (random >> 32 & 1) {
			count += !truth[index];
			truth[index] = &values[random >> 40 & 4095];
			assert_int_equal(map_put(&map, index * stride, truth[index]), 0);
		} else {
			count -= truth[index] != NULL;
			assert_ptr_equal(map_del(&map, index * stride), truth[index]);
			truth[index] = NULL;
		}
		assert_int_equal(map.count, count);
		index = (random >> 16) % KEYS;
		assert_ptr_equal(map_get(&map, index * stride), truth[index]);
	}
	while ((value = map_next(&map, &pos, &key))) {
		assert_int_equal(key % stride, 0);
		assert_ptr_equal(value, truth[key / stride]);
		seen++;
	}
	assert_int_equal(seen, count);
	map_free(&map);
}

static void test_random(void **state)
{
	(void)state;
	run_random(1);
	run_random(1ull << 32);
	run_random(4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_put_replaces),
		cmocka_unit_test(test_memory_follows_count),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
