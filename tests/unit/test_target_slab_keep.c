/* SPDX-License-Identifier: GPL-2.0-only */
/* Which empty pages the slab allocator keeps, and when they go. */
#include "slab_pages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "target/order.h"
#include "target/slab.h"
#include "target/slab_region.h"

/* A kept page spares the kernel the trouble, whatever class comes next; the limit is kept; trim takes all. */
static void keeping(void **state)
{
	char *blocks[8 * 2], *again;

	(void)state;
	slab_set_keep(4 * PAGE);
	for (size_t i = 0; i < 8 * 2; i++)
		memset(blocks[i] = slab_alloc(2048, 0), 1, 2048);
	for (size_t i = 0; i < 8 * 2; i++)
		slab_free(blocks[i]);
	assert_int_equal(count_resident(blocks, 8 * 2, 2), 4);
	for (size_t size = 16; size <= 2048; size += 16) {
		again = slab_alloc(size, 0);
		assert_true(is_resident(again));
		slab_free(again);
	}
	assert_int_equal(slab_trim(), 1);
	assert_false(is_mapped(again));
	assert_int_equal(slab_trim(), 0);
}

/* A part of what is in use may be kept beyond the set limit; as the rest is freed it goes, in whatever order. */
static void keeping_falls_with_use(void **state)
{
	enum { PAGES = 3000 };
	static char *blocks[PAGES], *all[PAGES];
	uint64_t before = virt_bytes();
	struct order_rng rng = { .state = 8 };

	(void)state;
	slab_set_keep(2 * PAGE);
	for (size_t i = 0; i < PAGES; i++)
		memset(all[i] = blocks[i] = slab_alloc(PAGE, 0), 1, PAGE);
	for (size_t i = 0; i < PAGES; i += 2)
		slab_free(blocks[i]);
	assert_int_equal(count_resident(blocks, PAGES, 2), 2 + PAGES / 2 / REGION_KEEP_PART);
	for (size_t left = PAGES / 2; left > 0; left--) {
		size_t pick = order_random(&rng, left);

		slab_free(blocks[2 * pick + 1]);
		blocks[2 * pick + 1] = blocks[2 * left - 1];
		if (left % 500 == 1)
			assert_in_range(count_resident(all, PAGES, 1), left - 1,
					left - 1 + 2 + left / REGION_KEEP_PART);
	}
	assert_in_range(virt_bytes(), before, before + REGION_BYTES);
	slab_trim();
	assert_int_equal(virt_bytes(), before);
}

/* The same for pages that classes keep as their own: all classes, each left with an empty page while much was in use. */
static void empty_pages_of_classes_go(void **state)
{
	enum { HELD = 64 * 40 };
	static char *held[HELD];
	char *first[SLAB_SMALL_BYTES / 16];
	uint64_t before = virt_bytes();
	size_t classes = 0;

	(void)state;
	slab_set_keep(2 * PAGE);
	for (size_t i = 0; i < HELD; i++)
		held[i] = slab_alloc(PAGE, 0);
	for (size_t size = 16; size <= SLAB_SMALL_BYTES; size = slab_size(first[classes++]) + 16)
		memset(first[classes] = slab_alloc(size, 0), 1, size);
	for (size_t i = 0; i < classes; i++)
		slab_free(first[i]);
	assert_int_equal(count_resident(first, classes, 1), classes);
	for (size_t i = 0; i < HELD; i++)
		slab_free(held[i]);
	assert_in_range(count_resident(first, classes, 1), 0, 2);
	assert_in_range(virt_bytes(), before, before + 2 * REGION_BYTES);
	slab_trim();
	assert_int_equal(virt_bytes(), before);
}

/* 2 MB in use, then again and again: the run that was freed is the one that is taken, resident. */
static void runs_are_kept(void **state)
{
	enum { RUNS = 100, RUN = 5 };
	char *runs[RUNS];

	(void)state;
	slab_set_keep(2 * PAGE);
	for (size_t i = 0; i < RUNS; i++)
		memset(runs[i] = slab_alloc(RUN * PAGE, 0), 1, RUN * PAGE);
	for (size_t i = 0; i < 3 * RUNS; i++) {
		char *freed = runs[i % RUNS];

		slab_free(freed);
		assert_true(is_resident(freed) && is_resident(freed + (RUN - 1) * PAGE));
		runs[i % RUNS] = slab_alloc(RUN * PAGE, 0);
		assert_ptr_equal(runs[i % RUNS], freed);
	}
	for (size_t i = 0; i < RUNS; i++)
		slab_free(runs[i]);
	assert_in_range(count_resident(runs, RUNS, 1), 0, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(keeping, set_up),
		cmocka_unit_test_setup(keeping_falls_with_use, set_up),
		cmocka_unit_test_setup(empty_pages_of_classes_go, set_up),
		cmocka_unit_test_setup(runs_are_kept, set_up),
	};

	return cmocka_run_group_tests_name("target_slab_keep", tests, NULL, NULL);
}
