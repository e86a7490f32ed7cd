/* SPDX-License-Identifier: GPL-2.0-only */
/* SysV shared memory in the map: a segment's size is no argument, and its end no address. */
#include "vmap_rows.h"

#include <sys/shm.h>

static struct event_change shmat_row(int shmid, uint64_t page, uint64_t virt_pages, uint64_t flags)
{
	struct event_change change = ROW("shmat", pages(page), (uint64_t)shmid, 0, flags);

	change.delta.virt = (int64_t)pages(virt_pages);
	return change;
}

static struct event_change shmdt_row(uint64_t page, uint64_t virt_pages)
{
	struct event_change change = ROW("shmdt", 0, pages(page));

	change.delta.virt = -(int64_t)pages(virt_pages);
	return change;
}

static void test_sysv(void **state)
{
	struct event_change change = shmat_row(7, 10, 4, 0);
	struct region region;

	apply(*state, &change, &region);
	assert_region(&region, REGION_SHM, 10, 14);
	change = shmat_row(7, 14, 4, SHM_RDONLY);
	apply(*state, &change, NULL);
	assert_map(*state, "10-14 rw-s shm\n14-18 r--s shm\n");
	change = shmdt_row(10, 4);
	apply(*state, &change, &region);
	assert_region(&region, REGION_SHM, 10, 14);
	assert_map(*state, "14-18 r--s shm\n");
	/* Nothing is attached there. */
	change = shmdt_row(15, 0);
	apply(*state, &change, NULL);
	assert_map(*state, "14-18 r--s shm\n");
	change = shmdt_row(14, 0);
	apply(*state, &change, NULL);
	assert_map(*state, "");
}

/* Detaching takes the parts that are left, not what took the place of others. */
static void test_sysv_in_parts(void **state)
{
	struct event_change change = shmat_row(7, 10, 6, 0);

	apply(*state, &change, NULL);
	map_at(*state, 12, 1, RW, PRIVATE_ANON | MAP_FIXED);
	unmap(*state, 14, 1);
	change = shmat_row(8, 20, 2, 0);
	apply(*state, &change, NULL);
	change = shmdt_row(10, 4);
	apply(*state, &change, NULL);
	assert_map(*state, "12-13 rw-p anon\n20-22 rw-s shm\n");
}

static void test_sysv_over_others(void **state)
{
	struct event_change change = shmat_row(7, 10, 2, SHM_REMAP);

	/* 10-14 is replaced: 2 pages of it were mapped, so VIRT grows by 2. */
	map_at(*state, 11, 2, RW, PRIVATE_ANON);
	map_at(*state, 14, 9, PROT_READ, PRIVATE_ANON);
	apply(*state, &change, NULL);
	assert_map(*state, "10-14 rw-s shm\n14-23 r--p anon\n");
	/* Longer ones fit VIRT as well; the shortest is taken, and nothing where even that is not known. */
	change = shmat_row(8, 15, 0, SHM_REMAP);
	apply(*state, &change, NULL);
	assert_map(*state, "10-14 rw-s shm\n14-23 r--p anon\n");
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_sysv),
		CASE(test_sysv_in_parts),
		CASE(test_sysv_over_others),
	};

	return cmocka_run_group_tests_name("vmap_sysv", tests, NULL, NULL);
}
