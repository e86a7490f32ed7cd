/* SPDX-License-Identifier: GPL-2.0-only */
/* What the slab allocator does with pointers that are no blocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "aborts.h"
#include "target/slab.h"
#include "target/slab_region.h"

#define PAGE SLAB_PAGE_BYTES

static char *volatile victim;

static void free_twice(void)
{
	victim = slab_alloc(64, 0);
	slab_free(victim);
	slab_free(victim);
}

static void free_twice_beside_living(void)
{
	victim = slab_alloc(64, 0);
	(void)slab_alloc(64, 0);
	slab_free(victim);
	slab_free(victim);
}

static void free_inside(void)
{
	victim = slab_alloc(64, 0);
	slab_free(victim + 16);
}

static void free_inside_run(void)
{
	victim = slab_alloc(3 * PAGE, 0);
	slab_free(victim + PAGE);
}

static void free_header(void)
{
	victim = slab_alloc(64, 0);
	slab_free((void *)((uintptr_t)victim & -REGION_BYTES));
}

static void free_run_twice(void)
{
	victim = slab_alloc(3 * PAGE, 0);
	(void)slab_alloc(64, 0);
	slab_free(victim);
	slab_free(victim);
}

static void free_large_twice(void)
{
	victim = slab_alloc(1 << 20, 0);
	slab_free(victim);
	slab_free(victim);
}

static void free_stack(void)
{
	char here[64];

	victim = here;
	slab_free(victim);
}

static void realloc_unknown(void)
{
	victim = (char *)(uintptr_t)0x1000;
	(void)slab_realloc(victim, 10);
}

static void errors_of_the_caller(void **state)
{
	(void)state;
	assert_int_equal(slab_init(), 0);
	assert_aborts(free_twice, "slab: 0x", " is no living block");
	assert_aborts(free_twice_beside_living, "slab: 0x", " is no living block");
	assert_aborts(free_inside, "slab: 0x", " is no living block");
	assert_aborts(free_inside_run, "slab: 0x", " is no living block");
	assert_aborts(free_header, "slab: 0x", " is no living block");
	assert_aborts(free_run_twice, "slab: 0x", " is no living block");
	assert_aborts(free_large_twice, "slab: 0x", " is no living block");
	assert_aborts(free_stack, "slab: 0x", " is no living block");
	assert_aborts(realloc_unknown, "slab: 0x", " is no living block");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors_of_the_caller),
	};

	return cmocka_run_group_tests_name("target_slab_errors", tests, NULL, NULL);
}
