/* SPDX-License-Identifier: GPL-2.0-only */
/* Random calls, checked page by page, in the order of the kernel and in the orders in which rows of threads arrive. */
#include "vmap_reference.h"

#include <sched.h>

#define THREADS 8
#define CALLS	400

/* What the row's region should be: the first page that is mapped in the range that the row is about. */
static void check_region(const struct event_change *change, const struct reference *before,
			 const struct reference *after, const struct region *region)
{
	bool unmaps = !strcmp(change->name, "munmap");
	uint64_t start = change->args[0], len = change->args[1];

	if (!strcmp(change->name, "mmap"))
		start = (uint64_t)change->ret;
	else if (!unmaps && (strcmp(change->name, "mprotect") != 0 || change->ret))
		return;
	for (uint64_t at = start; at < start + len; at += pages(1)) {
		const struct page *page = &(unmaps ? before : after)->pages[at / pages(1)];

		if (page->what == PAGE_HOLE)
			continue;
		assert_int_equal(region->kind, page_kind(page));
		assert_int_equal(region->start, start);
		assert_int_equal(region->end, start + len);
		if (page->what == PAGE_FILE)
			assert_string_equal(region->path, reference_paths[page->id]);
		return;
	}
	assert_int_equal(region->kind, REGION_NONE);
}

static void test_in_order(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct vmap *vmap = reference_vmap(OPEN_EXEC);
		struct reference ref, before;
		struct event_change change;
		struct region region;

		reference_start(&ref, seed);
		for (unsigned int i = 0; i < CALLS; i++) {
			before = ref;
			reference_call(&ref, &change);
			apply(vmap, &change, &region);
			assert_agrees(vmap, &ref, false);
			check_region(&change, &before, &ref, &region);
		}
		assert_int_equal(vmap_history(vmap), 0);
		vmap_free(vmap);
	}
}

/* Rows of several threads, each thread's in its order; the rest is chance, within @window of the true order. */
struct arrival {
	struct event_change *rows;
	unsigned int *thread;
	bool *arrived;
	unsigned int count, first, window; /* all before first have arrived */
};

static void draw_rows(struct reference *ref, struct arrival *arrival)
{
	for (unsigned int i = 0; i < arrival->count; i++) {
		reference_call(ref, &arrival->rows[i]);
		arrival->rows[i].order = i + 1;
		arrival->thread[i] = (unsigned int)draw(ref, THREADS);
		arrival->arrived[i] = false;
	}
	arrival->first = 0;
}

/* The next row to arrive: the first that has not of some thread. */
static unsigned int next_arrival(struct reference *ref, struct arrival *arrival)
{
	for (;;) {
		unsigned int thread = (unsigned int)draw(ref, THREADS);
		unsigned int at = arrival->first;

		while (at < arrival->count && at < arrival->first + arrival->window &&
		       (arrival->arrived[at] || arrival->thread[at] != thread))
			at++;
		if (at == arrival->count || at == arrival->first + arrival->window)
			continue;
		arrival->arrived[at] = true;
		while (arrival->first < arrival->count && arrival->arrived[arrival->first])
			arrival->first++;
		return at;
	}
}

static void arrival_new(struct arrival *arrival, unsigned int count, unsigned int window)
{
	*arrival = (struct arrival){ .count = count, .window = window };
	arrival->rows = calloc(count, sizeof(*arrival->rows));
	arrival->thread = calloc(count, sizeof(*arrival->thread));
	arrival->arrived = calloc(count, sizeof(*arrival->arrived));
	assert_non_null(arrival->rows);
	assert_non_null(arrival->thread);
	assert_non_null(arrival->arrived);
}

static void arrival_free(struct arrival *arrival)
{
	free(arrival->rows);
	free(arrival->thread);
	free(arrival->arrived);
}

static void start_threads(struct vmap *vmap)
{
	struct event_change change = ROW("clone", 77, CLONE_VM | CLONE_THREAD);

	apply(vmap, &change, NULL);
}

static void run_out_of_order(uint64_t seed, struct arrival *arrival)
{
	struct vmap *vmap = reference_vmap(OPEN_EXEC), *child;
	struct event_open fork = { .how = OPEN_FORK };
	struct reference ref;
	struct region region;

	reference_start(&ref, seed);
	draw_rows(&ref, arrival);
	start_threads(vmap);
	while (arrival->first < arrival->count) {
		unsigned int at = next_arrival(&ref, arrival);

		assert_int_equal(vmap_apply(vmap, (int32_t)arrival->thread[at] + 1, &arrival->rows[at], &region), 0);
	}
	assert_agrees(vmap, &ref, false);
	child = vmap_fork(vmap, &fork);
	assert_non_null(child);
	vmap_free(vmap);
	assert_agrees(child, &ref, true);
	vmap_free(child);
}

static void test_any_order(void **state)
{
	struct arrival arrival;

	(void)state;
	arrival_new(&arrival, CALLS, CALLS);
	for (uint64_t seed = 1; seed <= 30; seed++)
		run_out_of_order(seed, &arrival);
	arrival_free(&arrival);
}

static void test_nearly_in_order(void **state)
{
	struct arrival arrival;

	(void)state;
	arrival_new(&arrival, CALLS, 6);
	for (uint64_t seed = 1; seed <= 50; seed++)
		run_out_of_order(seed, &arrival);
	arrival_free(&arrival);
}

/* More changes than the history holds, none later than it reaches. */
static void test_long_run(void **state)
{
	struct arrival arrival;

	(void)state;
	arrival_new(&arrival, 20000, VMAP_HISTORY_MAX / 4);
	run_out_of_order(1, &arrival);
	arrival_free(&arrival);
}

/* The example of vmap.c: a range is unmapped and mapped again at once, and the rows overtake each other. */
static void test_reuse_overtakes(void **state)
{
	struct event_change first = ROW("mmap", pages(10), 0, pages(4), PROT_READ, MAP_PRIVATE, 3, 0);
	struct event_change gone = ROW("munmap", 0, pages(10), pages(4));
	struct event_change again = ROW("mmap", pages(10), 0, pages(2), RW, PRIVATE_ANON, -1ULL, 0);
	struct region region;

	first.text = "/old";
	first.order = 4;
	gone.order = 5;
	again.order = 6;
	start_threads(*state);
	assert_int_equal(vmap_apply(*state, 1, &first, &region), 0);
	assert_int_equal(vmap_apply(*state, 2, &again, &region), 0);
	assert_region(&region, REGION_ANON, 10, 12);
	assert_map(*state, "10-12 rw-p anon\n12-14 r--p file /old+2\n");
	assert_int_equal(vmap_apply(*state, 1, &gone, &region), 0);
	assert_region(&region, REGION_FILE, 10, 14);
	assert_string_equal(region.path, "/old");
	assert_map(*state, "10-12 rw-p anon\n");
}

/* The first row of a new thread may be the late one: history must be kept from the thread's start. */
static void test_first_row_is_late(void **state)
{
	struct event_change first = ROW("mmap", pages(10), 0, pages(4), RW, PRIVATE_ANON, -1ULL, 0);
	struct event_change gone = ROW("munmap", 0, pages(10), pages(4));
	struct event_change again = ROW("mmap", pages(10), 0, pages(4), PROT_READ, PRIVATE_ANON, -1ULL, 0);
	struct region region;

	first.order = 1;
	gone.order = 2;
	again.order = 3;
	assert_int_equal(vmap_apply(*state, 1, &first, &region), 0);
	start_threads(*state);
	assert_int_equal(vmap_apply(*state, 1, &again, &region), 0);
	assert_int_equal(vmap_apply(*state, 2, &gone, &region), 0);
	assert_map(*state, "10-14 r--p anon\n");
}

/* A move whose source was mapped anew before its row came takes what was there at its time. */
static void test_move_overtaken(void **state)
{
	struct event_change first = ROW("mmap", pages(10), 0, pages(4), PROT_READ, MAP_PRIVATE, 3, 0);
	struct event_change move = ROW("mremap", pages(30), pages(10), pages(4), pages(6), MREMAP_MAYMOVE, 0);
	struct event_change again = ROW("mmap", pages(10), 0, pages(4), RW, PRIVATE_ANON, -1ULL, 0);
	struct region region;

	first.text = "/f";
	first.order = 1;
	move.order = 2;
	again.order = 3;
	start_threads(*state);
	assert_int_equal(vmap_apply(*state, 1, &first, &region), 0);
	assert_int_equal(vmap_apply(*state, 2, &again, &region), 0);
	assert_int_equal(vmap_apply(*state, 1, &move, &region), 0);
	assert_region(&region, REGION_FILE, 30, 36);
	assert_map(*state, "10-14 rw-p anon\n30-36 r--p file /f+0\n");
}

/* Two moves to one place: the later one's content is there, whichever row comes first. */
static void test_moves_to_one_place(void **state)
{
	struct event_change map = ROW("mmap", pages(10), 0, pages(2), PROT_READ, PRIVATE_ANON, -1ULL, 0);
	struct event_change other = ROW("mmap", pages(20), 0, pages(2), RW, PRIVATE_ANON, -1ULL, 0);
	const uint64_t flags = MREMAP_MAYMOVE | MREMAP_FIXED;
	struct event_change first = ROW("mremap", pages(30), pages(10), pages(2), pages(2), flags, pages(30));
	struct event_change last = ROW("mremap", pages(30), pages(20), pages(2), pages(2), flags, pages(30));
	struct region region;

	map.order = 1;
	other.order = 2;
	first.order = 3;
	last.order = 4;
	start_threads(*state);
	assert_int_equal(vmap_apply(*state, 1, &map, &region), 0);
	assert_int_equal(vmap_apply(*state, 1, &other, &region), 0);
	assert_int_equal(vmap_apply(*state, 2, &last, &region), 0);
	assert_int_equal(vmap_apply(*state, 1, &first, &region), 0);
	assert_map(*state, "30-32 rw-p anon\n");
}

/* Faults are sent when their run ends; what they touched may be unmapped by then. */
static void test_fault_after_unmapping(void **state)
{
	struct event_change map = ROW("mmap", pages(10), 0, pages(8), PROT_READ, MAP_PRIVATE, 3, 0);
	struct event_change gone = ROW("munmap", 0, pages(12), pages(4));
	struct event_change fault = { .cause = CAUSE_FAULT,
				      .name = "minor",
				      .addr = pages(13),
				      .len = pages(2),
				      .count = 2,
				      .attributed = true };
	struct region region;

	map.text = "/f";
	map.order = 1;
	gone.order = 2;
	start_threads(*state);
	assert_int_equal(vmap_apply(*state, 1, &map, &region), 0);
	assert_int_equal(vmap_apply(*state, 1, &gone, &region), 0);
	assert_int_equal(vmap_apply(*state, 2, &fault, &region), 0);
	assert_region(&region, REGION_FILE, 13, 15);
	assert_string_equal(region.path, "/f");
}

static void seed(struct vmap *vmap, uint64_t start_page, uint64_t end_page, uint32_t prot)
{
	struct event_vma vma = {
		.start = pages(start_page), .end = pages(end_page), .prot = prot, .flags = MAP_PRIVATE
	};

	assert_int_equal(vmap_seed(vmap, &vma), 0);
}

/* At attach, mappings are read one by one while threads go on: each is as it was when it came. */
static void test_seeds_among_rows(void **state)
{
	struct event_change gone = ROW("munmap", 0, pages(12), pages(4));
	struct event_change late = ROW("munmap", 0, pages(10), pages(30));
	struct event_change protect = ROW("mprotect", 0, pages(20), pages(2), PROT_READ);
	struct event_change again = ROW("mmap", pages(12), 0, pages(2), RW, PRIVATE_ANON, -1ULL, 0);
	struct vmap *vmap = reference_vmap(OPEN_ATTACH);
	struct region region;

	(void)state;
	gone.order = 901;
	assert_int_equal(vmap_apply(vmap, 1, &gone, &region), 0);
	assert_int_equal(region.kind, REGION_NONE);
	protect.order = 902;
	assert_int_equal(vmap_apply(vmap, 1, &protect, &region), 0);
	seed(vmap, 10, 12, RW);
	/* Its row, 903, is still to come. */
	seed(vmap, 12, 14, RW);
	seed(vmap, 16, 20, RW);
	seed(vmap, 20, 22, PROT_READ);
	/* What happened before all that is in it. */
	late.order = 900;
	assert_int_equal(vmap_apply(vmap, 2, &late, &region), 0);
	assert_map(vmap, "10-14 rw-p anon\n16-20 rw-p anon\n20-22 r--p anon\n190-192 rw-p stack\n");
	again.order = 903;
	assert_int_equal(vmap_apply(vmap, 2, &again, &region), 0);
	late.order = 904;
	assert_int_equal(vmap_apply(vmap, 2, &late, &region), 0);
	assert_map(vmap, "190-192 rw-p stack\n");
	vmap_free(vmap);
}

/* More mappings, and more rows before and between them, than the history holds. */
static void test_many_seeds_among_rows(void **state)
{
	struct event_change map = ROW("mmap", pages(10), 0, pages(2), RW, PRIVATE_ANON, -1ULL, 0);
	struct event_change gone = ROW("munmap", 0, pages(10), pages(2));
	struct vmap *vmap = reference_vmap(OPEN_ATTACH);
	struct region region;

	(void)state;
	for (uint64_t i = 0; i < 9000; i++) {
		map.order = 2 * i + 1;
		gone.order = 2 * i + 2;
		assert_int_equal(vmap_apply(vmap, 1, &map, &region), 0);
		if (i > 6000)
			seed(vmap, 1000 + 2 * i, 1001 + 2 * i, PROT_READ);
		assert_int_equal(vmap_apply(vmap, 1, &gone, &region), 0);
	}
	assert_int_equal(vmap_total_bytes(vmap), pages(2 + 2999));
	assert_true(vmap_history(vmap) <= VMAP_HISTORY_MAX);
	vmap_free(vmap);
}

/* However many changes there are, so many are kept at most; and none while there is one thread. */
static void test_history_is_bounded(void **state)
{
	struct event_change map = ROW("mmap", pages(10), 0, pages(8), PROT_READ, PRIVATE_ANON, -1ULL, 0);
	struct event_change gone = ROW("munmap", 0, pages(12), pages(4));
	struct event_change spawn = ROW("vfork", 7, 0);
	struct region region;

	apply(*state, &spawn, NULL);
	for (uint64_t i = 1; i <= 100; i++) {
		map.order = 2 * i;
		assert_int_equal(vmap_apply(*state, 1, &map, &region), 0);
	}
	assert_int_equal(vmap_history(*state), 0);
	for (uint64_t i = 100; i <= 20000; i++) {
		map.order = 2 * i;
		gone.order = 2 * i + 1;
		assert_int_equal(vmap_apply(*state, 1, &map, &region), 0);
		assert_int_equal(vmap_apply(*state, 2, &gone, &region), 0);
		assert_true(vmap_history(*state) <= VMAP_HISTORY_MAX);
	}
	assert_true(vmap_history(*state) > VMAP_HISTORY_MAX / 2);
	/* Older than all that is kept: only what nothing later touched is changed. */
	map = ROW("mmap", pages(8), 0, pages(12), PROT_EXEC, PRIVATE_ANON, -1ULL, 0);
	map.order = 3;
	assert_int_equal(vmap_apply(*state, 1, &map, &region), 0);
	assert_map(*state, "8-10 --xp anon\n10-12 r--p anon\n16-18 r--p anon\n18-20 --xp anon\n");
}

static uint64_t extreme(struct reference *ref)
{
	static const uint64_t values[] = { 0,	       1,	   4095,      4096,	  1ULL << 30,
					   1ULL << 47, 1ULL << 62, INT64_MAX, 1ULL << 63, UINT64_MAX - 4095,
					   UINT64_MAX };
	uint64_t value = values[draw(ref, sizeof(values) / sizeof(values[0]))];

	return draw(ref, 2) ? pages(draw(ref, 200)) : value + draw(ref, 3) - 1;
}

/* Whatever the map was told: pieces in order, apart from each other, and adding up. */
static void assert_sound(const struct vmap *vmap)
{
	struct vmap_range range;
	uint64_t at = 0, bytes = 0;
	unsigned int count = 0;

	for (; vmap_next(vmap, at, &range); at = range.end, count++) {
		assert_true(range.start >= at && range.start < range.end);
		bytes += range.end - range.start;
	}
	assert_int_equal(bytes, vmap_total_bytes(vmap));
	assert_int_equal(count, vmap_pieces(vmap));
}

/* A recording may be forged: any call with any numbers, in any order. */
static void test_forged_rows(void **state)
{
	static const char *const names[] = {
		"brk",	 "madvise", "map_shadow_stack", "mmap",	 "mprotect", "mremap", "munmap", "mlock",
		"shmat", "shmdt",   "remap_file_pages", "clone",
	};
	struct reference ref;
	struct region region;

	reference_start(&ref, 7);
	for (unsigned int i = 0; i < 4000; i++) {
		struct event_change change =
			ROW(names[draw(&ref, sizeof(names) / sizeof(names[0]))], extreme(&ref), extreme(&ref),
			    extreme(&ref), extreme(&ref), extreme(&ref), extreme(&ref), extreme(&ref));

		change.text = reference_paths[draw(&ref, 3)];
		change.delta.virt = (int64_t)extreme(&ref);
		change.order = draw(&ref, 32) ? i : draw(&ref, i + 1);
		if (!draw(&ref, 8)) {
			change.cause = CAUSE_FAULT;
			change.addr = extreme(&ref);
			change.len = extreme(&ref);
		}
		assert_int_equal(vmap_apply(*state, (int32_t)draw(&ref, 3), &change, &region), 0);
		if (i % 64 == 0)
			assert_sound(*state);
	}
	assert_sound(*state);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_in_order),
		CASE(test_any_order),
		CASE(test_nearly_in_order),
		CASE(test_long_run),
		CASE(test_reuse_overtakes),
		CASE(test_first_row_is_late),
		CASE(test_move_overtaken),
		CASE(test_moves_to_one_place),
		CASE(test_fault_after_unmapping),
		CASE(test_seeds_among_rows),
		CASE(test_many_seeds_among_rows),
		CASE(test_history_is_bounded),
		CASE(test_forged_rows),
	};

	return cmocka_run_group_tests_name("vmap_order", tests, NULL, NULL);
}
