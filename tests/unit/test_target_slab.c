/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "target/operator_block.h"
#include "target/order.h"
#include "target/reading.h"
#include "target/slab.h"
#include "target/slab_region.h"

#define PAGE SLAB_PAGE_BYTES

static bool is_resident(const void *ptr)
{
	unsigned char resident = 0;

	return mincore((void *)((uintptr_t)ptr & -PAGE), PAGE, &resident) == 0 && resident & 1;
}

static bool is_mapped(const void *ptr)
{
	unsigned char resident;

	return mincore((void *)((uintptr_t)ptr & -PAGE), PAGE, &resident) == 0;
}

static uint64_t virt_bytes(void)
{
	static char buffer[READING_BUFFER_BYTES];
	struct reading reading;
	int fd = reading_open();

	assert_true(fd >= 0);
	assert_int_equal(reading_take(fd, buffer, &reading), 0);
	close(fd);
	return reading.virt_bytes;
}

/* Each test begins and ends with nothing allocated and nothing kept. */
static int set_up(void **state)
{
	(void)state;
	if (slab_init() < 0)
		return -1;
	slab_set_keep(0);
	slab_trim();
	return 0;
}

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
	{
		unsigned int resident = 0;

		for (size_t i = 0; i < 8 * 2; i += 2)
			resident += is_resident(blocks[i]);
		assert_int_equal(resident, 4);
	}
	for (size_t size = 16; size <= 2048; size += 16) {
		again = slab_alloc(size, 0);
		assert_true(is_resident(again));
		slab_free(again);
	}
	assert_int_equal(slab_trim(), 1);
	assert_false(is_mapped(again));
	assert_int_equal(slab_trim(), 0);
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

/* Fills by address and number, so that a byte of another block is found out. */
static void fill(unsigned char *block, size_t size, unsigned int seed)
{
	for (size_t i = 0; i < size; i++)
		block[i] = (unsigned char)(seed + i);
}

static bool is_filled(const unsigned char *block, size_t size, unsigned int seed)
{
	for (size_t i = 0; i < size; i++)
		if (block[i] != (unsigned char)(seed + i))
			return false;
	return true;
}

static size_t random_size(struct order_rng *rng)
{
	static const size_t limits[] = { 64, 600, 2100, 9000, 70000, 300000 };

	return order_random(rng, limits[order_random(rng, 6)]);
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

#define THREADS 8
#define SLOTS	512

static _Atomic(void *) slots[SLOTS];
static atomic_uint errors;
static atomic_bool stop;
static pthread_barrier_t start;

/* A block's first word is its size; the rest is filled. Whoever takes one out of a slot checks and frees it. */
static void *make_block(struct order_rng *rng)
{
	size_t size = sizeof(size_t) + random_size(rng) / 4;
	size_t *block = slab_alloc(size, 0);

	*block = size;
	fill((unsigned char *)(block + 1), size - sizeof(size_t), (unsigned int)size);
	return block;
}

static void check_block(size_t *block)
{
	if (!block)
		return;
	errors += !is_filled((unsigned char *)(block + 1), *block - sizeof(size_t), (unsigned int)*block);
	slab_free(block);
}

static void *churn(void *arg)
{
	struct order_rng rng = { .state = (uintptr_t)arg };

	pthread_barrier_wait(&start);
	for (int i = 0; i < 20000; i++)
		check_block(atomic_exchange(&slots[order_random(&rng, SLOTS)], make_block(&rng)));
	return NULL;
}

static void threads_share_blocks(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	errors = 0;
	slab_set_keep(SLAB_KEEP_BYTES);
	assert_int_equal(pthread_barrier_init(&start, NULL, THREADS), 0);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, churn, (void *)(i + 1)), 0);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	pthread_barrier_destroy(&start);
	for (size_t i = 0; i < SLOTS; i++)
		check_block(atomic_exchange(&slots[i], NULL));
	assert_int_equal(errors, 0);
	slab_trim();
	assert_int_equal(opblock_count(), 0);
}

static void *churn_until_stopped(void *arg)
{
	struct order_rng rng = { .state = (uintptr_t)arg };

	while (!stop)
		check_block(atomic_exchange(&slots[order_random(&rng, SLOTS)], make_block(&rng)));
	return NULL;
}

/* As the preload library's fork handlers do: no child finds a lock taken or a list half changed. */
static void forks_while_threads_allocate(void **state)
{
	pthread_t threads[2];

	(void)state;
	stop = false;
	errors = 0;
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, churn_until_stopped, (void *)(i + 1)), 0);
	for (unsigned int round = 0; round < 50; round++) {
		int status;
		pid_t child;

		slab_lock_all();
		child = fork();
		slab_unlock_all();
		if (child == 0) {
			struct order_rng rng = { .state = round };

			for (int i = 0; i < 200; i++)
				check_block(atomic_exchange(&slots[order_random(&rng, SLOTS)], make_block(&rng)));
			for (size_t i = 0; i < SLOTS; i++)
				check_block(atomic_exchange(&slots[i], NULL));
			_exit(errors == 0 ? 0 : 1);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
	}
	stop = true;
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	for (size_t i = 0; i < SLOTS; i++)
		check_block(atomic_exchange(&slots[i], NULL));
	assert_int_equal(errors, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(every_size, set_up),
		cmocka_unit_test_setup(alignments, set_up),
		cmocka_unit_test_setup(impossible_sizes, set_up),
		cmocka_unit_test_setup(zeroed, set_up),
		cmocka_unit_test_setup(pages_go_back, set_up),
		cmocka_unit_test_setup(runs_go_back, set_up),
		cmocka_unit_test_setup(large_blocks_are_mappings, set_up),
		cmocka_unit_test_setup(keeping, set_up),
		cmocka_unit_test_setup(all_goes_back, set_up),
		cmocka_unit_test_setup(realloc_keeps_contents, set_up),
		cmocka_unit_test_setup(threads_share_blocks, set_up),
		cmocka_unit_test_setup(forks_while_threads_allocate, set_up),
	};

	return cmocka_run_group_tests_name("target_slab", tests, NULL, NULL);
}
