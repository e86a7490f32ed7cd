/* SPDX-License-Identifier: GPL-2.0-only */
#include "slab_pages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "target/operator_block.h"
#include "target/order.h"
#include "target/slab.h"
#include "target/slab_region.h"

/* Every size up to beyond the last class, with neighbours that must not overlap. */
static void every_size(void **state)
{
	static unsigned char *blocks[2100];

	(void)state;
	for (size_t size = 0; size < 2100; size++) {
		blocks[size] = slab_alloc(size, 0);
		assert_non_null(blocks[size]);
		assert_int_equal((uintptr_t)blocks[size] % 16, 0);
		assert_true(slab_size(blocks[size]) >= size);
		assert_true(slab_size(blocks[size]) <= (size <= 2048 ? size + size / 2 + 16 : 4096));
		memset(blocks[size], (int)(size & 0xff), slab_size(blocks[size]));
	}
	for (size_t size = 0; size < 2100; size++) {
		for (size_t at = 0; at < slab_size(blocks[size]); at++)
			assert_int_equal(blocks[size][at], size & 0xff);
		slab_free(blocks[size]);
	}
	for (size_t size = 0; size < 2100; size++)
		assert_false(is_mapped(blocks[size]));
}

static void alignments(void **state)
{
	static const size_t sizes[] = { 0, 1, 17, 100, 2047, 2048, 2049, 5000, 65536, 65537, 1 << 20 };

	(void)state;
	for (size_t align = 1; align <= (size_t)1 << 24; align *= 2) {
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			unsigned char *a = slab_alloc(sizes[i], align), *b = slab_alloc(sizes[i], align);

			assert_non_null(a);
			assert_non_null(b);
			assert_ptr_not_equal(a, b);
			assert_int_equal((uintptr_t)a % align, 0);
			assert_int_equal((uintptr_t)b % align, 0);
			memset(a, 1, sizes[i]);
			memset(b, 2, sizes[i]);
			assert_true(sizes[i] == 0 || (a[0] == 1 && a[sizes[i] - 1] == 1));
			slab_free(a);
			slab_free(b);
		}
	}
}

static void impossible_sizes(void **state)
{
	(void)state;
	assert_null(slab_alloc(SIZE_MAX, 0));
	assert_null(slab_alloc(PTRDIFF_MAX, 0));
	assert_null(slab_alloc((size_t)1 << 62, 4096));
	assert_null(slab_alloc(1, (size_t)1 << 62));
	assert_null(slab_zalloc(SIZE_MAX, 0));
	slab_free(NULL);
}

static void zeroed(void **state)
{
	static const size_t sizes[] = { 1, 100, 2048, 5000, 65536, 100000 };

	(void)state;
	slab_set_keep(SLAB_KEEP_BYTES);
	for (size_t i = 0; i < 6; i++) {
		unsigned char *block = slab_alloc(sizes[i], 0);

		memset(block, 0xff, sizes[i]);
		slab_free(block);
		block = slab_zalloc(sizes[i], 0);
		for (size_t at = 0; at < sizes[i]; at++)
			assert_int_equal(block[at], 0);
		slab_free(block);
	}
}

/* With nothing kept, the last block of a page takes the page with it, and the last page its region. */
static void pages_go_back(void **state)
{
	char *blocks[3 * 64]; /* three pages of 64 byte blocks */
	uint64_t before = virt_bytes();

	(void)state;
	for (size_t i = 0; i < 3 * 64; i++)
		memset(blocks[i] = slab_alloc(64, 0), 1, 64);
	for (size_t i = 64; i < 127; i++)
		slab_free(blocks[i]);
	assert_true(is_resident(blocks[127]));
	slab_free(blocks[127]);
	assert_false(is_resident(blocks[127]));
	assert_true(is_mapped(blocks[127]));
	assert_true(is_resident(blocks[0]) && is_resident(blocks[128]));
	assert_int_equal(virt_bytes(), before + REGION_BYTES);
	for (size_t i = 0; i < 64; i++) {
		slab_free(blocks[i]);
		slab_free(blocks[128 + i]);
	}
	assert_false(is_mapped(blocks[0]));
	assert_int_equal(virt_bytes(), before);
}

static void runs_go_back(void **state)
{
	uint64_t before = virt_bytes();
	char *held = slab_alloc(100, 0); /* so that the region stays */
	char *run = slab_alloc(10 * PAGE, 0);

	(void)state;
	memset(run, 1, 10 * PAGE);
	assert_int_equal(slab_size(run), 10 * PAGE);
	slab_free(run);
	for (size_t i = 0; i < 10; i++)
		assert_false(is_resident(run + i * PAGE));
	slab_free(held);
	assert_int_equal(virt_bytes(), before);
}

static void large_blocks_are_mappings(void **state)
{
	uint64_t before = virt_bytes();
	size_t count = opblock_count();
	char *block = slab_alloc(SLAB_RUN_BYTES + 1, 0);

	(void)state;
	assert_int_equal(opblock_count(), count + 1);
	assert_int_equal(virt_bytes(), before + SLAB_RUN_BYTES + PAGE);
	assert_null(region_of(block));
	slab_free(block);
	assert_false(is_mapped(block));
	assert_int_equal(virt_bytes(), before);
}

/* The first test: the process has one thread still, and takes no lock at all, not even one that is taken. With a lock it
 * would wait here for ever. */
static void one_thread_takes_no_lock(void **state)
{
	(void)state;
#if __has_include(<sys/single_threaded.h>)
	slab_free(slab_alloc(64, 0));
	slab_lock_all();
	alarm(20);
	slab_free(slab_alloc(64, 0));
	slab_free(slab_alloc(3 * PAGE, 0));
	alarm(0);
	slab_unlock_all();
#else
	skip();
#endif
}

static void free_leaves_errno(void **state)
{
	static const size_t sizes[] = { 10, 2048, 3 * PAGE, 1 << 20 };

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		void *block = slab_alloc(sizes[i], 0);

		errno = 4711;
		slab_free(block);
		assert_int_equal(errno, 4711);
	}
}

/* 64 MiB of small blocks, freed in random order: nothing is left. */
static void all_goes_back(void **state)
{
	enum { COUNT = 200000 };
	static void *blocks[COUNT];
	struct order_rng rng = { .state = 5 };
	uint64_t before = virt_bytes();

	(void)state;
	for (size_t i = 0; i < COUNT; i++) {
		size_t size = order_random(&rng, 700);

		blocks[i] = slab_alloc(size, 0);
		memset(blocks[i], 1, size);
	}
	assert_true(virt_bytes() - before >= (size_t)COUNT * 350);
	for (size_t left = COUNT; left > 0; left--) {
		size_t pick = order_random(&rng, left);

		slab_free(blocks[pick]);
		blocks[pick] = blocks[left - 1];
	}
	assert_int_equal(virt_bytes(), before);
}

static void realloc_keeps_contents(void **state)
{
	struct order_rng rng = { .state = 6 };
	uint64_t before = virt_bytes();
	unsigned char *block = slab_alloc(1, 0);
	size_t size = 1;

	(void)state;
	fill(block, size, 0);
	for (unsigned int i = 1; i < 2000; i++) {
		size_t next = random_size(&rng);

		block = slab_realloc(block, next);
		assert_non_null(block);
		assert_true(slab_size(block) >= next);
		assert_true(is_filled(block, size < next ? size : next, i - 1));
		fill(block, next, i);
		size = next;
	}
	assert_null(slab_realloc(block, PTRDIFF_MAX));
	assert_true(is_filled(block, size, 1999));
	slab_free(block);
	assert_int_equal(virt_bytes(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(one_thread_takes_no_lock, set_up),
		cmocka_unit_test_setup(every_size, set_up),
		cmocka_unit_test_setup(alignments, set_up),
		cmocka_unit_test_setup(impossible_sizes, set_up),
		cmocka_unit_test_setup(zeroed, set_up),
		cmocka_unit_test_setup(pages_go_back, set_up),
		cmocka_unit_test_setup(runs_go_back, set_up),
		cmocka_unit_test_setup(large_blocks_are_mappings, set_up),
		cmocka_unit_test_setup(free_leaves_errno, set_up),
		cmocka_unit_test_setup(all_goes_back, set_up),
		cmocka_unit_test_setup(realloc_keeps_contents, set_up),
	};

	return cmocka_run_group_tests_name("target_slab", tests, NULL, NULL);
}
