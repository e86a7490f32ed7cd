/* SPDX-License-Identifier: GPL-2.0-only */
/* What a row's region is called. */
#include "vmap_rows.h"

#define ARENA_BYTES (64ULL << 20)

/* The path must outlive the mapping: the row that names it is written after the unmapping. */
static void test_region_path_outlives_mapping(void **state)
{
	struct event_change change = ROW("munmap", 0, pages(10), pages(10));
	struct region region;

	map_file(*state, 10, 10, "/usr/lib/libgone.so", 0);
	apply(*state, &change, &region);
	assert_map(*state, "");
	assert_string_equal(region.path, "/usr/lib/libgone.so");
}

static void test_fault_regions(void **state)
{
	struct region region;

	map_file(*state, 10, 4, "/f", 0);
	map_at(*state, 14, 4, RW, PRIVATE_ANON);
	protect(*state, 16, 1, PROT_READ);
	fault(*state, pages(11), pages(2), 0, &region);
	assert_region(&region, REGION_FILE, 11, 13);
	assert_string_equal(region.path, "/f");
	/* A run is cut at the end of what it began in; protections do not end it. */
	fault(*state, pages(12), pages(4), 0, &region);
	assert_region(&region, REGION_FILE, 12, 14);
	fault(*state, pages(15), pages(5), 0, &region);
	assert_region(&region, REGION_ANON, 15, 18);
	fault(*state, pages(30), pages(1), 0, &region);
	assert_region(&region, REGION_NONE, 0, 0);
	fault(*state, UINT64_MAX - 1, 5, 0, &region);
	assert_region(&region, REGION_NONE, 0, 0);
}

static void test_stack_growth(void **state)
{
	struct event_open open = { .how = OPEN_EXEC, .start_stack = pages(999) + 40 };
	struct event_vma vma = { .start = pages(980), .end = pages(1000), .prot = RW, .flags = MAP_PRIVATE };
	struct vmap *vmap = vmap_new(&open);
	struct region region;

	(void)state;
	assert_non_null(vmap);
	assert_int_equal(vmap_seed(vmap, &vma), 0);
	assert_map(vmap, "980-1000 rw-p stack\n");
	fault(vmap, pages(975), pages(5), (int64_t)pages(5), &region);
	assert_region(&region, REGION_STACK, 975, 980);
	assert_map(vmap, "975-1000 rw-p stack\n");
	/* A syscall that wrote to the stack gives no address: it is the main one. */
	fault(vmap, 0, 0, (int64_t)pages(1), &region);
	assert_region(&region, REGION_NONE, 0, 0);
	assert_map(vmap, "974-1000 rw-p stack\n");
	/* A stack that the program made. */
	map_at(vmap, 50, 2, RW, PRIVATE_ANON | MAP_GROWSDOWN);
	fault(vmap, pages(48) + 8, 8, (int64_t)pages(2), &region);
	assert_region(&region, REGION_STACK, 48, 49);
	assert_map(vmap, "48-52 rw-p stack\n974-1000 rw-p stack\n");
	/* No stack is at this address: it is not known what grew. */
	map_at(vmap, 900, 2, RW, PRIVATE_ANON);
	fault(vmap, pages(899), pages(1), (int64_t)pages(2), &region);
	assert_map(vmap, "48-52 rw-p stack\n900-902 rw-p anon\n974-1000 rw-p stack\n");
	unmap(vmap, 900, 2);
	fault(vmap, pages(40), pages(1), INT64_MAX - (int64_t)pages(1), &region);
	assert_map(vmap, "48-52 rw-p stack\n974-1000 rw-p stack\n");
	vmap_free(vmap);
}

static void test_thread_stack(void **state)
{
	map_at(*state, 10, 20, PROT_NONE, PRIVATE_ANON | MAP_STACK);
	protect(*state, 11, 19, RW);
	assert_map(*state, "10-11 ---p stack\n11-30 rw-p stack\n");
}

static void test_kinds(void **state)
{
	static const struct {
		const char *path;
		uint64_t flags;
		enum region_kind kind;
	} cases[] = {
		{ NULL, PRIVATE_ANON, REGION_ANON },
		{ NULL, SHARED_ANON, REGION_SHM },
		{ NULL, PRIVATE_ANON | MAP_HUGETLB, REGION_OTHER },
		{ NULL, MAP_PRIVATE, REGION_FILE }, /* a file whose name is not known */
		{ "/usr/lib/libc.so.6", MAP_PRIVATE, REGION_FILE },
		{ "/usr/lib/libc.so.6", MAP_SHARED, REGION_FILE },
		{ "/memfd:x (deleted)", MAP_SHARED, REGION_SHM },
		{ "/dev/shm/x", MAP_SHARED, REGION_SHM },
		{ "/dev/zero", MAP_PRIVATE, REGION_ANON },
		{ "/dev/zero", MAP_SHARED_VALIDATE, REGION_SHM },
		{ "/dev/dri/card0", MAP_SHARED, REGION_OTHER },
		{ "anon_inode:[perf_event]", MAP_SHARED, REGION_OTHER },
		{ "", MAP_SHARED, REGION_OTHER },
	};

	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct event_change change = ROW("mmap", 2ULL << 20, 0, 2ULL << 20, RW, cases[i].flags, 3, 0);
		struct region region;

		change.text = cases[i].path;
		apply(*state, &change, &region);
		assert_int_equal(region.kind, cases[i].kind);
		assert_int_equal(vmap_total_bytes(*state), 2ULL << 20);
		if (cases[i].path)
			assert_string_equal(region.path, cases[i].path);
	}
}

static void test_seed_kinds(void **state)
{
	static const struct event_vma vmas[] = {
		{ .start = 1, .prot = PROT_READ, .flags = MAP_PRIVATE, .offset = 0, .path = "/bin/x" },
		{ .start = 2, .prot = RW, .flags = MAP_PRIVATE, .path = "[heap]" },
		{ .start = 3, .prot = RW, .flags = MAP_SHARED, .inode = 4, .path = "/SYSV00000000 (deleted)" },
		{ .start = 4, .prot = PROT_READ, .flags = MAP_PRIVATE, .path = "[vvar]" },
		{ .start = 5, .prot = PROT_READ | PROT_EXEC, .flags = MAP_PRIVATE, .path = "[vdso]" },
		{ .start = 6, .prot = RW, .flags = MAP_PRIVATE | MAP_GROWSDOWN, .path = "[stack]" },
		{ .start = 7, .prot = RW, .flags = MAP_PRIVATE, .path = "[anon:named]" },
		{ .start = 8, .prot = PROT_EXEC, .flags = MAP_PRIVATE, .path = "[uprobes]" },
		{ .start = 9, .prot = RW, .flags = MAP_PRIVATE | MAP_HUGETLB, .path = "/anon_hugepage (deleted)" },
	};

	for (unsigned int i = 0; i < sizeof(vmas) / sizeof(vmas[0]); i++) {
		struct event_vma vma = vmas[i];

		vma.start = pages(vmas[i].start * 10);
		vma.end = vma.start + pages(2);
		assert_int_equal(vmap_seed(*state, &vma), 0);
	}
	assert_map(*state, "10-12 r--p file /bin/x+0\n"
			   "20-22 rw-p heap\n"
			   "30-32 rw-s shm /SYSV00000000 (deleted)+0\n"
			   "40-42 r--p vdso [vvar]+0\n"
			   "50-52 r-xp vdso [vdso]+0\n"
			   "60-62 rw-p stack\n"
			   "70-72 rw-p anon [anon:named]+0\n"
			   "80-82 --xp other [uprobes]+0\n"
			   "90-92 rw-p other /anon_hugepage (deleted)+0\n");
}

static void test_hostile_seeds(void **state)
{
	static const struct event_vma vmas[] = {
		{ .start = 5, .end = 5 },
		{ .start = 1ULL << 40, .end = 1ULL << 30 },
		{ .start = 0xffffffffff600000, .end = 0xffffffffff601000, .path = "[vsyscall]" },
		{ .start = 0, .end = UINT64_MAX },
	};

	for (unsigned int i = 0; i < sizeof(vmas) / sizeof(vmas[0]); i++)
		assert_int_equal(vmap_seed(*state, &vmas[i]), 0);
	assert_map(*state, "");
}

static void test_advice_and_locks_name_regions(void **state)
{
	static const char *const names[] = { "mlock", "munlock", "mlock2", "mseal", "madvise" };

	map_at(*state, 10, 4, RW, PRIVATE_ANON);
	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct event_change change = ROW(names[i], 0, pages(11), pages(1) + 1, MADV_DONTNEED);
		struct region region;

		apply(*state, &change, &region);
		assert_region(&region, REGION_ANON, 11, 13);
		assert_map(*state, "10-14 rw-p anon\n");
	}
}

static void test_shadow_stack(void **state)
{
	struct event_change change = ROW("map_shadow_stack", pages(10), 0, pages(2), 1);

	apply(*state, &change, NULL);
	assert_map(*state, "10-12 rw-p stack\n");
}

/* glibc's new_heap(): twice the size is reserved, trimmed to a 64 MiB boundary, and opened from its start. */
static void test_arena(void **state)
{
	const uint64_t base = 0x7f0008000000, flags = PRIVATE_ANON | MAP_NORESERVE;
	struct event_change change = ROW("mmap", base - (8 << 20), 0, 2 * ARENA_BYTES, PROT_NONE, flags, -1ULL, 0);
	struct region region;

	apply(*state, &change, &region);
	assert_int_equal(region.kind, REGION_ARENA);
	change = ROW("munmap", 0, base - (8 << 20), 8 << 20);
	apply(*state, &change, &region);
	assert_int_equal(region.kind, REGION_ARENA);
	change = ROW("munmap", 0, base + ARENA_BYTES, ARENA_BYTES - (8 << 20));
	apply(*state, &change, &region);
	assert_int_equal(region.kind, REGION_ARENA);
	for (uint64_t end = 0x21000; end <= ARENA_BYTES; end += 0xfdf000) {
		change = ROW("mprotect", 0, base, end, RW);
		apply(*state, &change, &region);
		assert_int_equal(region.kind, REGION_ARENA);
	}
	fault(*state, base + 0x5000, pages(4), 0, &region);
	assert_int_equal(region.kind, REGION_ARENA);
	/* heap_trim() in an AT_SECURE program. */
	change = ROW("mmap", base + (32 << 20), base + (32 << 20), 32 << 20, PROT_NONE, PRIVATE_ANON | MAP_FIXED, -1ULL,
		     0);
	apply(*state, &change, &region);
	assert_int_equal(region.kind, REGION_ARENA);
	assert_int_equal(vmap_pieces(*state), 2);
	change = ROW("munmap", 0, base, ARENA_BYTES);
	apply(*state, &change, &region);
	assert_int_equal(region.kind, REGION_ARENA);
	assert_map(*state, "");
}

/* Other allocators reserve space too; how they use it gives them away. */
static void test_no_arena(void **state)
{
	const uint64_t base = 0x7f0008000000, flags = PRIVATE_ANON | MAP_NORESERVE;
	struct event_change change = ROW("mmap", base, 0, ARENA_BYTES, PROT_NONE, flags, -1ULL, 0);
	struct region region;

	apply(*state, &change, &region);
	assert_int_equal(region.kind, REGION_ARENA);
	change = ROW("mprotect", 0, base + (1 << 20), 1 << 20, RW);
	apply(*state, &change, &region);
	assert_int_equal(region.kind, REGION_ANON);
	fault(*state, base + (1 << 20), pages(1), 0, &region);
	assert_int_equal(region.kind, REGION_ANON);
	/* Opened at a boundary, but not trimmed to it. */
	change = ROW("mmap", 4 * base, 0, 2 * ARENA_BYTES, PROT_NONE, flags, -1ULL, 0);
	apply(*state, &change, NULL);
	change = ROW("mmap", 4 * base, 4 * base, pages(4), RW, PRIVATE_ANON | MAP_FIXED, -1ULL, 0);
	apply(*state, &change, &region);
	assert_int_equal(region.kind, REGION_ANON);
	change = ROW("mmap", 8 * base, 0, ARENA_BYTES, RW, flags, -1ULL, 0);
	apply(*state, &change, &region);
	assert_int_equal(region.kind, REGION_ANON);
	change = ROW("mmap", 8 * base + pages(1), 0, ARENA_BYTES, PROT_NONE, flags, -1ULL, 0);
	apply(*state, &change, &region);
	assert_int_equal(region.kind, REGION_ANON);
	/* Opened from its start, but then cut up: glibc gives back all of a heap or nothing. */
	change = ROW("mmap", 12 * base, 0, ARENA_BYTES, PROT_NONE, flags, -1ULL, 0);
	apply(*state, &change, &region);
	change = ROW("mprotect", 0, 12 * base, pages(4), RW);
	apply(*state, &change, &region);
	assert_int_equal(region.kind, REGION_ARENA);
	change = ROW("munmap", 0, 12 * base + ARENA_BYTES / 2, ARENA_BYTES / 4);
	apply(*state, &change, &region);
	fault(*state, 12 * base, pages(1), 0, &region);
	assert_int_equal(region.kind, REGION_ANON);
}

/* An arena older than the watch is known by its two parts between boundaries. */
static void test_arena_at_attach(void **state)
{
	const uint64_t base = 0x7f0008000000;
	struct event_open open = { .how = OPEN_ATTACH };
	struct event_vma vmas[] = {
		{ .start = base, .end = base + 0x21000, .prot = RW, .flags = MAP_PRIVATE },
		{ .start = base + 0x21000, .end = base + ARENA_BYTES, .flags = MAP_PRIVATE },
		{ .start = base + ARENA_BYTES, .end = base + 2 * ARENA_BYTES, .prot = RW, .flags = MAP_PRIVATE },
		{ .start = 2 * base, .end = 2 * base + pages(1), .flags = MAP_PRIVATE },
		{ .start = 2 * base + pages(1), .end = 2 * base + ARENA_BYTES, .prot = RW, .flags = MAP_PRIVATE },
	};
	struct vmap *vmap = vmap_new(&open);
	struct region region;

	(void)state;
	assert_non_null(vmap);
	for (unsigned int i = 0; i < sizeof(vmas) / sizeof(vmas[0]); i++)
		assert_int_equal(vmap_seed(vmap, &vmas[i]), 0);
	vmap_find(vmap, base + 0x1000, 1, &region);
	assert_int_equal(region.kind, REGION_ARENA);
	vmap_find(vmap, base + ARENA_BYTES - 1, 1, &region);
	assert_int_equal(region.kind, REGION_ARENA);
	vmap_find(vmap, base + ARENA_BYTES, 1, &region);
	assert_int_equal(region.kind, REGION_ANON);
	vmap_find(vmap, 2 * base + pages(2), 1, &region);
	assert_int_equal(region.kind, REGION_ANON);
	vmap_free(vmap);
}

static void clipped(struct vmap *vmap, const uint64_t run[4], uint64_t start, uint64_t end)
{
	struct event_change change = { .cause = CAUSE_FAULT,
				       .addr = pages(run[0]),
				       .len = pages(run[1] - run[0]),
				       .first = pages(run[2]),
				       .last = pages(run[3]) };

	vmap_clip(vmap, &change);
	assert_int_equal(change.addr, pages(start));
	assert_int_equal(change.addr + change.len, pages(end));
}

/* What a fault brings around itself is in the mapping that it is on: anonymous memory, which may be in several pieces here and one there,
 * is left alone. */
static void test_clip(void **state)
{
	struct event_change file = ROW("mmap", pages(20), 0, pages(11), PROT_READ, MAP_PRIVATE, 3, 0);
	struct event_change anon = ROW("mmap", pages(31), 0, pages(10), RW, PRIVATE_ANON, -1ULL, 0);
	struct event_change call = ROW("munmap", 0, pages(16), pages(16));

	apply(*state, &file, NULL);
	apply(*state, &anon, NULL);
	clipped(*state, (uint64_t[]){ 16, 32, 22, 22 }, 20,
		31); /* as long, from where the mapping begins, to its end */
	clipped(*state, (uint64_t[]){ 16, 24, 22, 22 }, 20, 28);
	clipped(*state, (uint64_t[]){ 16, 32, 22, 30 }, 20, 31);
	clipped(*state, (uint64_t[]){ 24, 28, 25, 26 }, 24, 28);
	clipped(*state, (uint64_t[]){ 24, 40, 30, 33 }, 24, 40); /* the last one is on other memory */
	clipped(*state, (uint64_t[]){ 16, 48, 33, 33 }, 16, 48);
	clipped(*state, (uint64_t[]){ 48, 64, 50, 50 }, 48, 64); /* nothing is mapped there */
	clipped(*state, (uint64_t[]){ 16, 32, 0, 0 }, 16, 32);	 /* not known */
	clipped(*state, (uint64_t[]){ 16, 32, 30, 22 }, 16, 32); /* not to be believed */
	clipped(*state, (uint64_t[]){ 16, 32, 22, 32 }, 16, 32);
	vmap_clip(*state, &call);
	assert_int_equal(call.args[0], pages(16));
	assert_int_equal(call.addr, 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_region_path_outlives_mapping),
		CASE(test_fault_regions),
		CASE(test_stack_growth),
		CASE(test_thread_stack),
		CASE(test_kinds),
		CASE(test_seed_kinds),
		CASE(test_hostile_seeds),
		CASE(test_advice_and_locks_name_regions),
		CASE(test_shadow_stack),
		CASE(test_arena),
		CASE(test_no_arena),
		CASE(test_arena_at_attach),
		CASE(test_clip),
	};

	return cmocka_run_group_tests_name("vmap_region", tests, NULL, NULL);
}
