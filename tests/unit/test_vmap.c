/* SPDX-License-Identifier: GPL-2.0-only */
/* What each syscall does to the map. */
#include "vmap_rows.h"

#include <errno.h>
#include <linux/mman.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

static void test_map_and_unmap(void **state)
{
	struct event_change change = ROW("mmap", pages(16), 0, pages(3) + 1, RW, PRIVATE_ANON, -1ULL, 0);
	struct region region;

	apply(*state, &change, &region);
	assert_region(&region, REGION_ANON, 16, 20);
	assert_map(*state, "16-20 rw-p anon\n");
	assert_int_equal(vmap_total_bytes(*state), pages(4));

	change = ROW("munmap", 0, pages(16), pages(3) + 1);
	apply(*state, &change, &region);
	assert_region(&region, REGION_ANON, 16, 20);
	assert_map(*state, "");
	assert_int_equal(vmap_total_bytes(*state), 0);

	apply(*state, &change, &region);
	assert_region(&region, REGION_NONE, 0, 0);
}

static void test_partial_unmaps(void **state)
{
	map_at(*state, 10, 10, RW, PRIVATE_ANON);
	unmap(*state, 8, 3);
	assert_map(*state, "11-20 rw-p anon\n");
	unmap(*state, 19, 5);
	assert_map(*state, "11-19 rw-p anon\n");
	unmap(*state, 14, 2);
	assert_map(*state, "11-14 rw-p anon\n16-19 rw-p anon\n");
	assert_int_equal(vmap_pieces(*state), 2);
	map_at(*state, 30, 2, PROT_READ, SHARED_ANON);
	unmap(*state, 12, 19);
	assert_map(*state, "11-12 rw-p anon\n31-32 r--s shm\n");
	assert_int_equal(vmap_total_bytes(*state), pages(2));
	unmap(*state, 0, 100);
	assert_map(*state, "");
}

static void test_unmap_keeps_file_offsets(void **state)
{
	struct event_change change = ROW("munmap", 0, pages(14), pages(2));
	struct region region;

	map_file(*state, 10, 10, "/lib/x.so", 5);
	apply(*state, &change, &region);
	assert_region(&region, REGION_FILE, 14, 16);
	assert_string_equal(region.path, "/lib/x.so");
	assert_map(*state, "10-14 r--p file /lib/x.so+5\n16-20 r--p file /lib/x.so+11\n");
}

static void test_map_fixed_over(void **state)
{
	struct region region;
	struct event_change change =
		ROW("mmap", pages(13), pages(13), pages(4), PROT_READ, MAP_PRIVATE | MAP_FIXED, 3, 0);

	map_at(*state, 10, 10, RW, PRIVATE_ANON);
	change.text = "/etc/passwd";
	apply(*state, &change, &region);
	assert_region(&region, REGION_FILE, 13, 17);
	assert_map(*state, "10-13 rw-p anon\n13-17 r--p file /etc/passwd+0\n17-20 rw-p anon\n");
	map_at(*state, 5, 20, PROT_NONE, PRIVATE_ANON | MAP_FIXED);
	assert_map(*state, "5-25 ---p anon\n");
	assert_int_equal(vmap_total_bytes(*state), pages(20));
	map_at(*state, 30, 1, RW, PRIVATE_ANON | MAP_FIXED_NOREPLACE);
	assert_map(*state, "5-25 ---p anon\n30-31 rw-p anon\n");
}

static void test_neighbours_merge(void **state)
{
	map_at(*state, 10, 2, RW, PRIVATE_ANON);
	map_at(*state, 14, 2, RW, PRIVATE_ANON);
	map_at(*state, 12, 2, RW, PRIVATE_ANON);
	assert_int_equal(vmap_pieces(*state), 1);
	map_file(*state, 20, 2, "/a", 0);
	map_file(*state, 22, 2, "/a", 2);
	assert_map(*state, "10-16 rw-p anon\n20-24 r--p file /a+0\n");
	map_file(*state, 24, 2, "/a", 9);
	map_file(*state, 26, 2, "/b", 11);
	assert_map(*state, "10-16 rw-p anon\n20-24 r--p file /a+0\n24-26 r--p file /a+9\n26-28 r--p file /b+11\n");
}

static void test_protect(void **state)
{
	struct event_change change = ROW("mprotect", -ENOMEM, pages(12), pages(20), PROT_READ);

	map_at(*state, 10, 10, RW, PRIVATE_ANON);
	protect(*state, 12, 3, PROT_READ);
	assert_map(*state, "10-12 rw-p anon\n12-15 r--p anon\n15-20 rw-p anon\n");
	protect(*state, 12, 3, RW);
	assert_map(*state, "10-20 rw-p anon\n");
	/* What precedes the gap is changed although the call fails. */
	map_at(*state, 24, 4, RW, PRIVATE_ANON);
	apply(*state, &change, NULL);
	assert_map(*state, "10-12 rw-p anon\n12-20 r--p anon\n24-28 rw-p anon\n");
	/* Nothing precedes it, or there is no gap and the reason is another: nothing is changed. */
	change = ROW("mprotect", -ENOMEM, pages(21), pages(5), PROT_EXEC);
	apply(*state, &change, NULL);
	change = ROW("mprotect", -ENOMEM, pages(24), pages(2), PROT_EXEC);
	apply(*state, &change, NULL);
	change = ROW("mprotect", -EACCES, pages(24), pages(2), PROT_EXEC);
	apply(*state, &change, NULL);
	assert_map(*state, "10-12 rw-p anon\n12-20 r--p anon\n24-28 rw-p anon\n");
	change = ROW("pkey_mprotect", 0, pages(24), pages(2), PROT_READ | PROT_EXEC, 1);
	apply(*state, &change, NULL);
	assert_map(*state, "10-12 rw-p anon\n12-20 r--p anon\n24-26 r-xp anon\n26-28 rw-p anon\n");
}

/* A shared mapping that was never writable refuses to be; those before it are writable already. */
static void test_protect_refused(void **state)
{
	struct event_change readonly =
		ROW("mmap", pages(14), pages(14), pages(2), PROT_READ, MAP_SHARED | MAP_FIXED, 3, 0);
	struct event_change change = ROW("mprotect", -EACCES, pages(12), pages(6), RW);

	map_at(*state, 10, 10, PROT_READ, PRIVATE_ANON);
	readonly.text = "/f";
	apply(*state, &readonly, NULL);
	apply(*state, &change, NULL);
	assert_map(*state, "10-12 r--p anon\n12-14 rw-p anon\n14-16 r--s file /f+0\n16-20 r--p anon\n");
	/* To make it less than it is, is another error. */
	change = ROW("mprotect", -EACCES, pages(12), pages(6), PROT_NONE);
	apply(*state, &change, NULL);
	assert_map(*state, "10-12 r--p anon\n12-14 rw-p anon\n14-16 r--s file /f+0\n16-20 r--p anon\n");
}

/* From the start of the stack on, of which at most the range may lie below. */
static void test_protect_grows_down(void **state)
{
	map_at(*state, 10, 10, RW, PRIVATE_ANON | MAP_GROWSDOWN);
	protect(*state, 19, 1, RW | PROT_EXEC | PROT_GROWSDOWN);
	assert_map(*state, "10-20 rwxp stack\n");
	protect(*state, 8, 3, RW | PROT_GROWSDOWN);
	assert_map(*state, "10-11 rw-p stack\n11-20 rwxp stack\n");
}

static void test_remap_in_place(void **state)
{
	struct event_change change = ROW("mremap", pages(10), pages(10), pages(4), pages(6), 0, 0);
	struct region region;

	map_file(*state, 10, 4, "/f", 7);
	apply(*state, &change, &region);
	assert_region(&region, REGION_FILE, 10, 16);
	assert_map(*state, "10-16 r--p file /f+7\n");
	remap(*state, 10, 6, 1, 0, 10);
	assert_map(*state, "10-11 r--p file /f+7\n");
	remap(*state, 10, 1, 1, 0, 10);
	assert_map(*state, "10-11 r--p file /f+7\n");
}

/* Only the end of a mapping can grow where it is; what is before it belongs to another. */
static void test_remap_grows_tail(void **state)
{
	map_at(*state, 10, 4, PROT_READ, PRIVATE_ANON);
	protect(*state, 12, 2, RW);
	remap(*state, 13, 1, 3, 0, 13);
	assert_map(*state, "10-12 r--p anon\n12-16 rw-p anon\n");
}

static void test_remap_moves(void **state)
{
	struct event_change change = ROW("mremap", pages(40), pages(12), pages(4), pages(8), MREMAP_MAYMOVE, 0);
	struct region region;

	map_file(*state, 10, 10, "/f", 0);
	apply(*state, &change, &region);
	assert_region(&region, REGION_FILE, 40, 48);
	assert_map(*state, "10-12 r--p file /f+0\n16-20 r--p file /f+6\n40-48 r--p file /f+2\n");
	/* Shrinking and moving at once: the rest of the source goes too. */
	remap(*state, 40, 8, 2, MREMAP_MAYMOVE | MREMAP_FIXED, 60);
	assert_map(*state, "10-12 r--p file /f+0\n16-20 r--p file /f+6\n60-62 r--p file /f+2\n");
}

static void test_remap_fixed_over(void **state)
{
	map_at(*state, 10, 4, PROT_READ, PRIVATE_ANON);
	map_at(*state, 20, 10, RW, PRIVATE_ANON);
	remap(*state, 10, 4, 4, MREMAP_MAYMOVE | MREMAP_FIXED, 23);
	assert_map(*state, "20-23 rw-p anon\n23-27 r--p anon\n27-30 rw-p anon\n");
	assert_int_equal(vmap_total_bytes(*state), pages(10));
}

/* Several mappings at once keep their distances, and what lies in between at the destination stays. */
static void test_remap_several(void **state)
{
	map_at(*state, 10, 2, PROT_READ, PRIVATE_ANON);
	map_at(*state, 14, 2, RW, PRIVATE_ANON);
	map_at(*state, 30, 10, PROT_EXEC, PRIVATE_ANON);
	remap(*state, 10, 6, 6, MREMAP_MAYMOVE | MREMAP_FIXED, 31);
	assert_map(*state, "30-31 --xp anon\n31-33 r--p anon\n33-35 --xp anon\n35-37 rw-p anon\n37-40 --xp anon\n");
}

static void test_remap_dontunmap(void **state)
{
	map_at(*state, 10, 4, RW, PRIVATE_ANON);
	remap(*state, 10, 4, 4, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 30);
	assert_map(*state, "10-14 rw-p anon\n30-34 rw-p anon\n");
}

static void test_remap_old_size_zero(void **state)
{
	map_at(*state, 10, 4, RW, SHARED_ANON);
	remap(*state, 10, 0, 4, MREMAP_MAYMOVE, 30);
	assert_map(*state, "10-14 rw-s shm\n30-34 rw-s shm\n");
}

/* What the map does not know, it learns from the row; what cannot be, it leaves. */
static void test_remap_unknown_source(void **state)
{
	remap(*state, 10, 4, 6, MREMAP_MAYMOVE, 30);
	assert_map(*state, "30-36 rw-p anon\n");
	remap(*state, 50, 4, 6, 0, 50);
	assert_map(*state, "30-36 rw-p anon\n54-56 rw-p anon\n");
	remap(*state, 30, 6, 6, MREMAP_MAYMOVE | MREMAP_FIXED, 33);
	assert_map(*state, "30-36 rw-p anon\n54-56 rw-p anon\n");
}

static void test_failed_calls(void **state)
{
	struct event_change failures[] = {
		ROW("mmap", -ENOMEM, pages(10), pages(4), RW, PRIVATE_ANON | MAP_FIXED, -1ULL, 0),
		ROW("munmap", -EINVAL, pages(10), pages(4)),
		ROW("mremap", -EFAULT, pages(10), pages(4), pages(1), 0, 0),
		ROW("madvise", -EINVAL, pages(10), pages(4), MADV_DONTNEED),
		ROW("shmat", -EINVAL, 1, 0, 0),
		ROW("shmdt", -EINVAL, pages(10)),
		ROW("remap_file_pages", -EINVAL, pages(10), pages(4), 0, 3, 0),
		ROW("mlock", -ENOMEM, pages(10), pages(4)),
		ROW("map_shadow_stack", -EOPNOTSUPP, 0, pages(4), 0),
	};

	map_at(*state, 10, 4, RW, PRIVATE_ANON);
	for (unsigned int i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
		struct region region = { .kind = REGION_OTHER };

		apply(*state, &failures[i], &region);
		assert_int_equal(region.kind, REGION_NONE);
		assert_map(*state, "10-14 rw-p anon\n");
	}
}

/* Before Linux 6.12 a call that failed late had unmapped already; VIRT tells. */
static void test_failed_after_unmapping(void **state)
{
	struct event_change change =
		ROW("mmap", -ENODEV, pages(10), pages(2), PROT_READ, MAP_PRIVATE | MAP_FIXED, 3, 0);
	struct region region;

	map_at(*state, 10, 4, RW, PRIVATE_ANON);
	change.delta.virt = -(int64_t)pages(2);
	apply(*state, &change, &region);
	assert_region(&region, REGION_ANON, 10, 12);
	assert_map(*state, "12-14 rw-p anon\n");
	change = ROW("mremap", -ENOMEM, pages(40), pages(1), pages(1), MREMAP_MAYMOVE | MREMAP_FIXED, pages(12));
	change.delta.virt = -(int64_t)pages(1);
	apply(*state, &change, NULL);
	assert_map(*state, "13-14 rw-p anon\n");
}

/* Rows without a result (coalesced, or the thread died in it) and calls that are no memory calls say nothing. */
static void test_rows_without_result(void **state)
{
	struct event_change change = ROW("munmap", 0, pages(10), pages(4));
	struct region region;

	map_at(*state, 10, 4, RW, PRIVATE_ANON);
	change.has_ret = false;
	apply(*state, &change, &region);
	assert_int_equal(region.kind, REGION_NONE);
	change = ROW("munmap", 0, pages(10), pages(4));
	change.call = NULL;
	apply(*state, &change, &region);
	assert_int_equal(region.kind, REGION_NONE);
	assert_map(*state, "10-14 rw-p anon\n");
}

/* No recording may lead the map astray: what cannot be an address range is ignored. */
static void test_hostile_rows(void **state)
{
	struct event_change rows[] = {
		ROW("mmap", UINT64_MAX >> 2, 0, UINT64_MAX >> 1, RW, PRIVATE_ANON, -1ULL, 0),
		ROW("mmap", INT64_MAX, 0, pages(1), RW, PRIVATE_ANON, -1ULL, 0),
		ROW("mmap", pages(10), 0, 0, RW, PRIVATE_ANON, -1ULL, 0),
		ROW("munmap", 0, UINT64_MAX, UINT64_MAX),
		ROW("munmap", 0, pages(1), 0),
		ROW("mremap", pages(5), UINT64_MAX, pages(1), pages(1), MREMAP_MAYMOVE, 0),
		ROW("mremap", INT64_MIN, pages(1), pages(1), UINT64_MAX, MREMAP_MAYMOVE, 0),
		ROW("brk", INT64_MAX, 0),
		ROW("brk", INT64_MIN, 0),
		ROW("shmdt", 0, UINT64_MAX),
		ROW("shmat", pages(10), 1, 0, 0),
		ROW("remap_file_pages", 0, UINT64_MAX, UINT64_MAX, 0, UINT64_MAX, 0),
		ROW("madvise", 0, pages(1), UINT64_MAX, MADV_DONTFORK),
	};

	for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		apply(*state, &rows[i], NULL);
		assert_map(*state, "");
	}
}

static void test_brk(void **state)
{
	struct event_open open = { .how = OPEN_EXEC, .start_brk = pages(100) + 16, .brk = pages(100) + 16 };
	struct vmap *vmap = vmap_new(&open);
	struct region region;

	(void)state;
	assert_non_null(vmap);
	brk_to(vmap, pages(100) + 16, 0, &region);
	assert_int_equal(region.kind, REGION_HEAP);
	assert_int_equal(region.start, region.end);
	assert_map(vmap, "");
	brk_to(vmap, pages(133) + 16, 0, &region);
	assert_region(&region, REGION_HEAP, 101, 134);
	assert_map(vmap, "101-134 rw-p heap\n");
	brk_to(vmap, pages(133) + 17, 0, &region);
	assert_region(&region, REGION_HEAP, 134, 134);
	brk_to(vmap, pages(140), 0, &region);
	assert_map(vmap, "101-140 rw-p heap\n");
	/* Protections cut the heap, but it stays one in name. */
	protect(vmap, 110, 2, PROT_READ);
	assert_map(vmap, "101-110 rw-p heap\n110-112 r--p heap\n112-140 rw-p heap\n");
	/* Another's memory above the break is no heap. */
	map_at(vmap, 150, 2, RW, PRIVATE_ANON);
	brk_to(vmap, pages(105), 0, &region);
	assert_region(&region, REGION_HEAP, 105, 140);
	assert_map(vmap, "101-105 rw-p heap\n150-152 rw-p anon\n");
	vmap_free(vmap);
}

/* Where the heap ended before the watch is not known, VIRT tells how far it moved. */
static void test_brk_unknown_before(void **state)
{
	struct region region;

	brk_to(*state, pages(104), (int64_t)pages(3), &region);
	assert_region(&region, REGION_HEAP, 101, 104);
	assert_int_equal(vmap_total_bytes(*state), pages(3));
	brk_to(*state, pages(102), -(int64_t)pages(2), &region);
	assert_region(&region, REGION_HEAP, 102, 104);
	assert_int_equal(vmap_total_bytes(*state), pages(1));
}

static void test_hugetlb_rounding(void **state)
{
	struct event_change change = ROW("mmap", 1ULL << 30, 0, 5, RW, PRIVATE_ANON | MAP_HUGETLB, -1ULL, 0);
	struct region region;

	apply(*state, &change, &region);
	assert_int_equal(vmap_total_bytes(*state), 2ULL << 20);
	change = ROW("mmap", 2ULL << 30, 0, 5, RW, PRIVATE_ANON | MAP_HUGETLB | (30 << MAP_HUGE_SHIFT), -1ULL, 0);
	apply(*state, &change, &region);
	assert_int_equal(vmap_total_bytes(*state), (2ULL << 20) + (1ULL << 30));
	/* A file on hugetlbfs: nothing but VIRT says that its pages are huge. */
	change = ROW("mmap", 4ULL << 30, 0, 5, RW, MAP_SHARED, 3, 0);
	change.delta.virt = 2 << 20;
	apply(*state, &change, &region);
	assert_int_equal(region.end - region.start, 2ULL << 20);
}

static void test_remap_file_pages(void **state)
{
	struct event_change change = ROW("remap_file_pages", 0, pages(11), pages(2), 0, 7, 0);

	map_file(*state, 10, 4, "/f", 0);
	apply(*state, &change, NULL);
	assert_map(*state, "10-11 r--p file /f+0\n11-13 r--p file /f+7\n13-14 r--p file /f+3\n");
	/* Its size is rounded down. */
	change = ROW("remap_file_pages", 0, pages(10), pages(2) - 1, 0, 9, 0);
	apply(*state, &change, NULL);
	assert_map(*state, "10-11 r--p file /f+9\n11-13 r--p file /f+7\n13-14 r--p file /f+3\n");
}

static void test_fork(void **state)
{
	struct event_open parent_open = { .how = OPEN_EXEC, .start_brk = pages(50), .brk = pages(52) };
	struct event_open child_open = { .how = OPEN_FORK };
	struct event_change dont = ROW("madvise", 0, pages(12), pages(2), MADV_DONTFORK);
	struct event_change doit = ROW("madvise", -ENOMEM, pages(13), pages(9), MADV_DOFORK);
	struct vmap *parent = vmap_new(&parent_open), *child;

	(void)state;
	assert_non_null(parent);
	map_at(parent, 10, 6, RW, PRIVATE_ANON);
	map_file(parent, 20, 2, "/f", 1);
	map_at(parent, 50, 2, RW, PRIVATE_ANON);
	apply(parent, &dont, NULL);
	apply(parent, &doit, NULL);
	child = vmap_fork(parent, &child_open);
	assert_non_null(child);
	assert_map(child, "10-12 rw-p anon\n13-16 rw-p anon\n20-22 r--p file /f+1\n50-52 rw-p heap\n");
	/* They go their own ways. */
	unmap(parent, 0, 60);
	vmap_free(parent);
	protect(child, 10, 1, PROT_NONE);
	assert_map(child, "10-11 ---p anon\n11-12 rw-p anon\n13-16 rw-p anon\n20-22 r--p file /f+1\n50-52 rw-p heap\n");
	vmap_free(child);
}

/* 65,530 mappings is the kernel's limit; each change must stay cheap and exact at it. */
static void test_many_mappings(void **state)
{
	const uint64_t count = 65530;
	struct vmap_range range;
	uint64_t at = 0, seen = 0;

	for (uint64_t i = 0; i < count; i++)
		map_at(*state, 16 + 2 * (i * 40503 % count), 1, i & 1 ? RW : PROT_READ, PRIVATE_ANON);
	assert_int_equal(vmap_pieces(*state), count);
	assert_int_equal(vmap_total_bytes(*state), pages(count));
	for (uint64_t i = 0; i < count; i += 2)
		unmap(*state, 16 + 2 * (i * 40503 % count), 1);
	assert_int_equal(vmap_pieces(*state), count / 2);
	for (; vmap_next(*state, at, &range); at = range.end, seen++)
		assert_int_equal(range.prot, RW);
	assert_int_equal(seen, count / 2);
	/* One large mapping cut into as many. */
	map_at(*state, 16, 2 * count, RW, PRIVATE_ANON | MAP_FIXED);
	assert_int_equal(vmap_pieces(*state), 1);
	for (uint64_t i = 0; i < count; i++)
		unmap(*state, 17 + 2 * i, 1);
	assert_int_equal(vmap_pieces(*state), count);
	assert_int_equal(vmap_total_bytes(*state), pages(count));
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_map_and_unmap),
		CASE(test_partial_unmaps),
		CASE(test_unmap_keeps_file_offsets),
		CASE(test_map_fixed_over),
		CASE(test_neighbours_merge),
		CASE(test_protect),
		CASE(test_protect_refused),
		CASE(test_protect_grows_down),
		CASE(test_remap_in_place),
		CASE(test_remap_grows_tail),
		CASE(test_remap_moves),
		CASE(test_remap_fixed_over),
		CASE(test_remap_several),
		CASE(test_remap_dontunmap),
		CASE(test_remap_old_size_zero),
		CASE(test_remap_unknown_source),
		CASE(test_failed_calls),
		CASE(test_failed_after_unmapping),
		CASE(test_rows_without_result),
		CASE(test_hostile_rows),
		CASE(test_brk),
		CASE(test_brk_unknown_before),
		CASE(test_hugetlb_rounding),
		CASE(test_remap_file_pages),
		CASE(test_fork),
		CASE(test_many_mappings),
	};

	return cmocka_run_group_tests_name("vmap", tests, NULL, NULL);
}
