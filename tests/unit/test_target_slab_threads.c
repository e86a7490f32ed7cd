/* SPDX-License-Identifier: GPL-2.0-only */
/* Threads that share the slab allocator, and each other's blocks; also run where the sanitiser watches threads. */
#include "slab_pages.h"
#include "threads.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "target/operator_block.h"
#include "target/order.h"
#include "target/slab.h"
#include "target/slab_region.h"

#define SLOTS 512
/* Each byte that a thread writes is looked at where the sanitiser watches threads. */
#ifdef __SANITIZE_THREAD__
#define CHURNS 300
#define FORKS  3
#else
#define CHURNS 10000
#define FORKS  50
#endif

static _Atomic(void *) slots[SLOTS];
static atomic_uint errors;
static atomic_bool stop;

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

	threads_meet();
	for (int i = 0; i < CHURNS; i++)
		check_block(atomic_exchange(&slots[order_random(&rng, SLOTS)], make_block(&rng)));
	return NULL;
}

static void threads_share_blocks(void **state)
{
	(void)state;
	errors = 0;
	slab_set_keep(SLAB_KEEP_BYTES);
	threads_run(churn);
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
	for (unsigned int round = 0; round < FORKS; round++) {
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

#define PAGES 40 /* of each thread: more than it takes before it goes to a shard of its own */
static char *left_behind[THREADS * PAGES];

static void *leave_pages(void *arg)
{
	char **mine = &left_behind[((uintptr_t)arg - 1) * PAGES];

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < PAGES; i++)
			memset(mine[i] = slab_alloc(PAGE, 0), 1, PAGE);
		threads_meet();
		for (int i = 0; i < PAGES; i++)
			slab_free(mine[i]);
	}
	return NULL;
}

/* All is freed: what is kept is no more than two shards keep, whatever the number of threads. */
static void threads_leave_two_pages(void **state)
{
	(void)state;
	slab_set_keep(PAGE);
	threads_run(leave_pages);
	assert_in_range(count_resident(left_behind, THREADS * PAGES, 1), 1, 2);
	slab_trim();
	assert_int_equal(count_resident(left_behind, THREADS * PAGES, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(threads_share_blocks, set_up),
		cmocka_unit_test_setup(forks_while_threads_allocate, set_up),
		cmocka_unit_test_setup(threads_leave_two_pages, set_up),
	};

	return cmocka_run_group_tests_name("target_slab_threads", tests, NULL, NULL);
}
