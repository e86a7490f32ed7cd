/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "target/order.h"
#include "target/ptrmap.h"
#include "threads.h"

#define KEYS 20000
#ifdef __SANITIZE_THREAD__
#define STEPS 40000
#else
#define STEPS 400000
#endif

static struct ptrmap map;

static const void *key_of(size_t number)
{
	return (const void *)(uintptr_t)((number + 1) * 16);
}

static int set_up(void **state)
{
	(void)state;
	return ptrmap_init(&map, false);
}

static int tear_down(void **state)
{
	(void)state;
	ptrmap_close(&map);
	return 0;
}

static void one_entry(void **state)
{
	struct ptrmap_value value = { .size = 1, .info = 2 };

	(void)state;
	assert_int_equal(ptrmap_find(&map, key_of(0), &value), -ENOENT);
	assert_int_equal(ptrmap_remove(&map, key_of(0), &value), -ENOENT);
	assert_int_equal(ptrmap_update(&map, key_of(0), value), -ENOENT);
	assert_int_equal(value.size, 1);
	assert_int_equal(ptrmap_insert(&map, key_of(0), value), 0);
	assert_int_equal(ptrmap_insert(&map, key_of(0), (struct ptrmap_value){ .size = 9 }), -EEXIST);
	assert_int_equal(ptrmap_count(&map), 1);
	assert_int_equal(ptrmap_update(&map, key_of(0), (struct ptrmap_value){ .size = 3, .info = 4 }), 0);
	assert_int_equal(ptrmap_find(&map, key_of(0), &value), 0);
	assert_int_equal(value.size, 3);
	assert_int_equal(value.info, 4);
	value.size = 0;
	assert_int_equal(ptrmap_remove(&map, key_of(0), &value), 0);
	assert_int_equal(value.size, 3);
	assert_int_equal(ptrmap_remove(&map, key_of(0), &value), -ENOENT);
	assert_int_equal(ptrmap_count(&map), 0);
}

/* Against a plain array, with inserts and removals in random order: growing, shrinking, closing gaps in runs. */
static void agrees_with_an_array(void **state)
{
	static size_t sizes[KEYS]; /* 0 = not in the map */
	struct order_rng rng = { .state = 1 };
	size_t count = 0;

	(void)state;
	for (int i = 0; i < STEPS; i++) {
		size_t number = order_random(&rng, KEYS);
		struct ptrmap_value value = { .size = (size_t)i + 1 };
		/* Waves, so that the tables both double and halve. */
		bool insert = order_random(&rng, 100) < ((i / (STEPS / 8)) % 2 ? 15U : 85U);

		if (insert) {
			assert_int_equal(ptrmap_insert(&map, key_of(number), value), sizes[number] ? -EEXIST : 0);
			count += sizes[number] == 0;
			sizes[number] = sizes[number] ? sizes[number] : value.size;
		} else {
			assert_int_equal(ptrmap_remove(&map, key_of(number), &value), sizes[number] ? 0 : -ENOENT);
			if (sizes[number])
				assert_int_equal(value.size, sizes[number]);
			count -= sizes[number] != 0;
			sizes[number] = 0;
		}
	}
	assert_int_equal(ptrmap_count(&map), count);
	for (size_t number = 0; number < KEYS; number++) {
		struct ptrmap_value value;

		assert_int_equal(ptrmap_find(&map, key_of(number), &value), sizes[number] ? 0 : -ENOENT);
		if (sizes[number])
			assert_int_equal(value.size, sizes[number]);
	}
}

static void gives_its_memory_back(void **state)
{
	size_t first = map.shards[0].capacity, grown = 0, shrunk = 0;
	struct ptrmap_value value;

	(void)state;
	for (size_t i = 0; i < 200000; i++)
		assert_int_equal(ptrmap_insert(&map, key_of(i), (struct ptrmap_value){ .size = i }), 0);
	for (size_t i = 0; i < PTRMAP_SHARDS; i++)
		grown += map.shards[i].capacity;
	assert_in_range(grown, 200000, 200000 * 4);
	for (size_t i = 0; i < 200000; i++) {
		assert_int_equal(ptrmap_remove(&map, key_of(i), &value), 0);
		assert_int_equal(value.size, i);
	}
	for (size_t i = 0; i < PTRMAP_SHARDS; i++)
		shrunk += map.shards[i].capacity;
	assert_int_equal(shrunk, PTRMAP_SHARDS * first);
	assert_true(shrunk * sizeof(struct ptrmap_entry) <= 4096);
}

/* For those who measure themselves: nothing is mapped or becomes resident while there are few entries. */
static void resident_map_does_not_move(void **state)
{
	const struct ptrmap_entry *tables[PTRMAP_SHARDS];
	struct ptrmap_value value;

	(void)state;
	ptrmap_close(&map);
	assert_int_equal(ptrmap_init(&map, true), 0);
	for (size_t i = 0; i < PTRMAP_SHARDS; i++)
		tables[i] = map.shards[i].table;
	for (size_t i = 0; i < 1000; i++)
		assert_int_equal(ptrmap_insert(&map, key_of(i), (struct ptrmap_value){ .size = i }), 0);
	for (size_t i = 0; i < 1000; i++)
		assert_int_equal(ptrmap_remove(&map, key_of(i), &value), 0);
	for (size_t i = 0; i < PTRMAP_SHARDS; i++)
		assert_ptr_equal(tables[i], map.shards[i].table);
}

static atomic_size_t won;
static atomic_size_t errors;

/* Each thread has keys of its own, which only it may lose; and all contend for one common set. */
static void *contend(void *arg)
{
	size_t base = (uintptr_t)arg * KEYS;
	struct ptrmap_value value;

	threads_meet();
	for (size_t i = 0; i < KEYS; i++)
		errors += ptrmap_insert(&map, key_of(base + i), (struct ptrmap_value){ .size = base + i }) != 0;
	for (size_t i = 0; i < KEYS; i++)
		won += ptrmap_remove(&map, key_of(i), &value) == 0;
	for (size_t i = 0; i < KEYS; i++)
		errors += ptrmap_find(&map, key_of(base + i), &value) != 0 || value.size != base + i;
	for (size_t i = 0; i < KEYS; i += 2)
		errors += ptrmap_remove(&map, key_of(base + i), &value) != 0 || value.size != base + i;
	return NULL;
}

static void threads_contend(void **state)
{
	(void)state;
	won = errors = 0;
	for (size_t i = 0; i < KEYS; i++)
		assert_int_equal(ptrmap_insert(&map, key_of(i), (struct ptrmap_value){ .size = i }), 0);
	threads_run(contend);
	assert_int_equal(errors, 0);
	assert_int_equal(won, KEYS); /* each common key went to exactly one thread */
	assert_int_equal(ptrmap_count(&map), THREADS * KEYS / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_entry, set_up, tear_down),
		cmocka_unit_test_setup_teardown(agrees_with_an_array, set_up, tear_down),
		cmocka_unit_test_setup_teardown(gives_its_memory_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(resident_map_does_not_move, set_up, tear_down),
		cmocka_unit_test_setup_teardown(threads_contend, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("target_ptrmap", tests, NULL, NULL);
}
