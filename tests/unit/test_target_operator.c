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
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "aborts.h"
#include "target/operator.h"
#include "target/order.h"
#include "threads.h"

/* More than any address space has. */
#define TOO_LARGE ((size_t)1 << 62)

static size_t page;

/* Whether the page at @ptr is mapped. */
static bool is_mapped(void *ptr)
{
	unsigned char resident;

	return mincore((void *)((uintptr_t)ptr & -page), page, &resident) == 0;
}

static void sizes_and_contents(void **state)
{
	static const size_t sizes[] = { 1, 2, 15, 4095, 4096, 4097, 100000, 1 << 20 };
	void *blocks[8];

	(void)state;
	for (size_t i = 0; i < 8; i++) {
		size_t size = 0;

		blocks[i] = op_new(sizes[i]);
		assert_non_null(blocks[i]);
		memset(blocks[i], (int)i + 1, sizes[i]);
		assert_int_equal(op_size(blocks[i], &size), 0);
		assert_int_equal(size, sizes[i]);
	}
	assert_int_equal(op_count(), 8);
	for (size_t i = 0; i < 8; i++) {
		const unsigned char *bytes = blocks[i];

		assert_int_equal(bytes[0], i + 1);
		assert_int_equal(bytes[sizes[i] - 1], i + 1);
		op_delete(blocks[i]);
		assert_false(is_mapped(blocks[i]));
	}
	assert_int_equal(op_count(), 0);
}

static void every_form_gives_its_pages_back(void **state)
{
	void *ptr;
	size_t size;

	(void)state;
#define CHECK(NEW, DELETE)                                      \
	do {                                                    \
		ptr = NEW;                                      \
		assert_non_null(ptr);                           \
		memset(ptr, 1, 5000);                           \
		assert_true(is_mapped(ptr));                    \
		DELETE;                                         \
		assert_false(is_mapped(ptr));                   \
		assert_int_equal(op_size(ptr, &size), -ENOENT); \
	} while (0)
	CHECK(op_new(5000), op_delete(ptr));
	CHECK(op_new(5000), op_delete_sized(ptr, 5000));
	CHECK(op_new_nothrow(5000), op_delete(ptr));
	CHECK(op_new_array(5000), op_delete_array(ptr));
	CHECK(op_new_array(5000), op_delete_array_sized(ptr, 5000));
	CHECK(op_new_array_nothrow(5000), op_delete_array(ptr));
	CHECK(op_new_aligned(5000, 64), op_delete_aligned(ptr, 64));
	CHECK(op_new_aligned(5000, 64), op_delete_sized_aligned(ptr, 5000, 64));
	CHECK(op_new_aligned_nothrow(5000, 64), op_delete_aligned(ptr, 64));
	CHECK(op_new_array_aligned(5000, 64), op_delete_array_aligned(ptr, 64));
	CHECK(op_new_array_aligned(5000, 64), op_delete_array_sized_aligned(ptr, 5000, 64));
	CHECK(op_new_array_aligned_nothrow(5000, 64), op_delete_array_aligned(ptr, 64));
#undef CHECK
	assert_int_equal(op_count(), 0);
}

static void zero_size_is_unique(void **state)
{
	void *a = op_new(0), *b = op_new(0), *c = op_new_array_nothrow(0);

	(void)state;
	assert_non_null(a);
	assert_non_null(b);
	assert_non_null(c);
	assert_ptr_not_equal(a, b);
	assert_ptr_not_equal(b, c);
	assert_ptr_not_equal(a, c);
	op_delete(a);
	op_delete_sized(b, 0);
	op_delete_array(c);
	assert_false(is_mapped(a));
}

static void null_is_no_error(void **state)
{
	(void)state;
	op_delete(NULL);
	op_delete_array(NULL);
	op_delete_sized(NULL, 10);
	op_delete_sized_aligned(NULL, 10, 64);
	assert_int_equal(op_count(), 0);
}

static void alignments(void **state)
{
	(void)state;
	for (size_t align = 1; align <= (size_t)1 << 26; align *= 2) {
		char *ptr = op_new_aligned(page + 1, align);

		assert_int_equal((uintptr_t)ptr % align, 0);
		ptr[0] = ptr[page] = 1;
		/* What was mapped to find the alignment is gone: the neighbours are not ours. */
		assert_true(is_mapped(ptr) && is_mapped(ptr + page));
		op_delete_aligned(ptr, align);
		assert_false(is_mapped(ptr) || is_mapped(ptr + page));
	}
	assert_null(op_new_aligned_nothrow(1, 3));
	assert_null(op_new_aligned_nothrow(1, TOO_LARGE));
}

static unsigned int handled;

static void give_up_at_third(void)
{
	if (++handled == 3)
		op_set_new_handler(NULL);
}

static void handler_loop(void **state)
{
	(void)state;
	handled = 0;
	assert_null(op_set_new_handler(give_up_at_third));
	assert_ptr_equal(op_get_new_handler(), give_up_at_third);
	assert_null(op_new_nothrow(TOO_LARGE));
	assert_int_equal(handled, 3);
	assert_null(op_get_new_handler());
	assert_null(op_new_nothrow(SIZE_MAX));
	assert_null(op_new_array_nothrow(PTRDIFF_MAX));
	assert_int_equal(handled, 3);
}

static struct rlimit limit;

static void raise_limit(void)
{
	handled++;
	setrlimit(RLIMIT_AS, &limit);
}

/* The handler makes memory available, and new, which had failed, succeeds. In a child, as ASan needs its address space. */
static void handler_helps(void **state)
{
	int status;
	pid_t child = fork();

	(void)state;
	if (child == 0) {
		struct rlimit none;
		char *ptr;

		getrlimit(RLIMIT_AS, &limit);
		none = limit;
		none.rlim_cur = page; /* less than is in use: every mmap fails */
		op_set_new_handler(raise_limit);
		handled = 0;
		if (setrlimit(RLIMIT_AS, &none) < 0)
			_exit(2);
		ptr = op_new(100000);
		ptr[99999] = 1;
		_exit(handled == 1 ? 0 : 3);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void *volatile victim;

static void delete_twice(void)
{
	victim = op_new(10);
	op_delete(victim);
	op_delete(victim);
}

static void delete_unknown(void)
{
	op_delete((void *)(uintptr_t)0x1000);
}

static void delete_inside(void)
{
	victim = (char *)op_new(10) + 1;
	op_delete(victim);
}

static void delete_wrong_size(void)
{
	victim = op_new(10);
	op_delete_sized(victim, 11);
}

static void delete_array_as_one(void)
{
	victim = op_new_array(10);
	op_delete(victim);
}

static void delete_one_as_array(void)
{
	victim = op_new(10);
	op_delete_array(victim);
}

static void delete_unaligned(void)
{
	victim = op_new_aligned(10, 64);
	op_delete(victim);
}

static void new_too_large(void)
{
	victim = op_new(TOO_LARGE);
}

static void new_bad_alignment(void)
{
	victim = op_new_aligned(10, 48);
}

static void errors_of_the_caller(void **state)
{
	(void)state;
	assert_aborts(delete_twice, "operator delete: 0x", " is no living block");
	assert_aborts(delete_unknown, "operator delete: 0x1000", " is no living block");
	assert_aborts(delete_inside, "operator delete: 0x", " is no living block");
	assert_aborts(delete_wrong_size, "operator delete: 0x", " has 10 bytes, not 11");
	assert_aborts(delete_array_as_one, "operator delete: 0x", " is of new[], deleted by delete");
	assert_aborts(delete_one_as_array, "operator delete: 0x", " is of new, deleted by delete[]");
	assert_aborts(delete_unaligned, "operator delete: 0x", " was aligned to 64, not 0 (0: by default)");
	assert_aborts(new_too_large, "operator new: 4611686018427387904 bytes", " cannot be had");
	assert_aborts(new_bad_alignment, "operator new: 10 bytes", " cannot be had");
}

#define SLOTS 64

static atomic_uintptr_t common[SLOTS];
static atomic_uint errors;

/* Blocks travel between threads: each is deleted by whoever finds it. Every block holds its own address. */
static void *churn(void *arg)
{
	struct order_rng rng = { .state = (uintptr_t)arg };

	threads_meet();
	for (int i = 0; i < 5000; i++) {
		size_t size = sizeof(uintptr_t) + order_random(&rng, 3 * 4096ul);
		uintptr_t *block = op_new_array(size);
		uintptr_t *other;

		*block = (uintptr_t)block;
		other = (uintptr_t *)atomic_exchange(&common[order_random(&rng, SLOTS)], (uintptr_t)block);
		if (!other)
			continue;
		errors += *other != (uintptr_t)other || op_size(other, &size) != 0;
		op_delete_array_sized(other, size);
	}
	return NULL;
}

static void threads_share_blocks(void **state)
{
	(void)state;
	threads_run(churn);
	assert_int_equal(errors, 0);
	assert_in_range(op_count(), 1, SLOTS);
	for (size_t i = 0; i < SLOTS; i++)
		op_delete_array((void *)atomic_load(&common[i]));
	assert_int_equal(op_count(), 0);
}

static int set_up(void **state)
{
	(void)state;
	page = (size_t)sysconf(_SC_PAGESIZE);
	return op_init();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_and_contents),	cmocka_unit_test(every_form_gives_its_pages_back),
		cmocka_unit_test(zero_size_is_unique),	cmocka_unit_test(null_is_no_error),
		cmocka_unit_test(alignments),		cmocka_unit_test(handler_loop),
		cmocka_unit_test(handler_helps),	cmocka_unit_test(errors_of_the_caller),
		cmocka_unit_test(threads_share_blocks),
	};

	return cmocka_run_group_tests_name("target_operator", tests, set_up, NULL);
}
