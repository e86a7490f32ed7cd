/* SPDX-License-Identifier: GPL-2.0-only */
#include "ledger_rows.h"

static void test_empty_books(void **state)
{
	struct ledger_view view = closed(*state, opening);

	assert_int_equal(view.mm, 1);
	assert_int_equal(view.pid, 42);
	assert_string_equal(view.comm, "prog");
	assert_string_equal(view.image, "/bin/prog");
	assert_int_equal(view.how, OPEN_EXEC);
	assert_int_equal(view.start_ns, 10);
	assert_int_equal(view.end_ns, 90);
	assert_usage(&view.opening, 1000, 100, 200, 30, 4);
	assert_usage(&view.closing, 1000, 100, 200, 30, 4);
	assert_usage(&view.peak, 1000, 100, 200, 30, 4);
	assert_usage(&view.unattributed, 0);
	assert_int_equal(view.line_count, 0);
	assert_false(view.detached);
	assert_true(view.balanced);
	ledger_free(NULL);
}

/* Lines come in the order in which their causes first appeared. */
static void test_lines(void **state)
{
	struct event failure = row_event(CAUSE_SYSCALL, "mmap", (struct usage){ 0 });
	struct event run = row_event(CAUSE_FAULT, "minor", (struct usage){ .anon = 40 });
	struct ledger_view view;

	add(*state, CAUSE_SYSCALL, "mmap", (struct usage){ .virt = 500, .anon = 7 });
	failure.change.ret = -ENOMEM;
	assert_int_equal(ledger_add(*state, &failure), 0);
	run.change.count = 10;
	assert_int_equal(ledger_add(*state, &run), 0);
	add(*state, CAUSE_SYSCALL, "mmap", (struct usage){ .virt = -200, .anon = -9, .swap = 3 });
	add(*state, CAUSE_KERNEL_FAULT, "mmap", (struct usage){ .file = 1 });
	assert_usage(ledger_level(*state), 1300, 138, 201, 30, 7);

	view = closed(*state, (struct usage){ 1300, 138, 201, 30, 7 });
	assert_true(view.balanced);
	assert_int_equal(view.line_count, 3);
	assert_int_equal(view.lines[0].cause, CAUSE_SYSCALL);
	assert_string_equal(view.lines[0].name, "mmap");
	assert_int_equal(view.lines[0].count, 3);
	assert_int_equal(view.lines[0].errors, 1);
	assert_usage(&view.lines[0].delta, 300, -2, 0, 0, 3);
	assert_usage(&view.lines[0].gained, 500, 7, 0, 0, 3);
	assert_usage(&view.lines[0].given, -200, -9, 0, 0, 0);
	assert_int_equal(view.lines[1].cause, CAUSE_FAULT);
	assert_int_equal(view.lines[1].count, 10);
	assert_int_equal(view.lines[1].errors, 0);
	assert_int_equal(view.lines[2].cause, CAUSE_KERNEL_FAULT);
	assert_usage(&view.lines[2].delta, 0, 0, 1, 0, 0);
}

/* An address of the upper half is no error; nor has a row without a result one. */
static void test_errors(void **state)
{
	struct event event = row_event(CAUSE_SYSCALL, "x", (struct usage){ 0 });
	static const struct {
		int64_t ret;
		bool has_ret;
	} cases[] = { { -1, true }, { -4095, true }, { -4096, true }, { 0, true }, { INT64_MIN, true }, { -1, false } };
	struct ledger_view view;

	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		event.change.ret = cases[i].ret;
		event.change.has_ret = cases[i].has_ret;
		assert_int_equal(ledger_add(*state, &event), 0);
	}
	view = closed(*state, opening);
	assert_int_equal(view.lines[0].count, 6);
	assert_int_equal(view.lines[0].errors, 2);
}

/* The exit row has no line; it takes away what there was. */
static void test_exit(void **state)
{
	struct ledger_view view;

	add(*state, CAUSE_SYSCALL, "brk", (struct usage){ .virt = 5 });
	add(*state, CAUSE_EXIT, "exit", (struct usage){ -1005, -100, -200, -30, -4 });
	assert_usage(ledger_level(*state), 0);
	view = closed(*state, (struct usage){ 1005, 100, 200, 30, 4 });
	assert_true(view.balanced);
	assert_int_equal(view.line_count, 1);
	assert_usage(&view.exit, -1005, -100, -200, -30, -4);
	assert_usage(&view.closing, 1005, 100, 200, 30, 4);
	assert_usage(&view.unattributed, 0);
}

/* Each part for itself: a closing that the rows do not explain. */
static void test_unbalanced_closing(void **state)
{
	(void)state;
	for (unsigned int part = 0; part < PARTS; part++) {
		for (int64_t gap = -1; gap <= 1; gap++) {
			struct event open = open_event(1);
			struct ledger *ledger = ledger_new(&open, NULL);
			struct usage closing = opening;
			struct ledger_view view;

			assert_non_null(ledger);
			*part_of(&closing, part) += gap;
			view = closed(ledger, closing);
			assert_int_equal(view.balanced, !gap);
			assert_int_equal(*part_of(&view.unattributed, part), gap);
			assert_int_equal(view.unattributed_rows, 0);
			ledger_free(ledger);
		}
	}
}

static void test_unbalanced_exit(void **state)
{
	(void)state;
	for (unsigned int part = 0; part < PARTS; part++) {
		struct event open = open_event(1);
		struct ledger *ledger = ledger_new(&open, NULL);
		struct usage exit = minus(opening);
		struct ledger_view view;

		assert_non_null(ledger);
		*part_of(&exit, part) += 1;
		add(ledger, CAUSE_EXIT, "exit", exit);
		view = closed(ledger, opening);
		assert_false(view.balanced);
		assert_usage(&view.unattributed, 0);
		ledger_free(ledger);
	}
}

static void test_unbalanced_proc(void **state)
{
	struct event close = close_event(opening);
	struct ledger_view view;

	close.close.proc = opening;
	close.close.proc_known = true;
	ledger_close(*state, &close, 0, &view);
	assert_true(view.proc_known);
	assert_true(view.balanced);
	for (unsigned int part = 0; part < PARTS; part++) {
		close.close.proc = opening;
		*part_of(&close.close.proc, part) -= 1;
		ledger_close(*state, &close, 0, &view);
		assert_false(view.balanced);
		assert_usage(&view.unattributed, 0);
		assert_int_equal(*part_of(&view.proc, part), *part_of(&view.closing, part) - 1);
	}
	/* What is not known is not compared. */
	close.close.proc_known = false;
	ledger_close(*state, &close, 0, &view);
	assert_true(view.balanced);
}

static void test_closing_unknown(void **state)
{
	struct event close = close_event((struct usage){ .virt = 77 });
	struct ledger_view view;

	add(*state, CAUSE_SYSCALL, "brk", (struct usage){ .virt = 5, .swap = 1 });
	close.close.closing_known = false;
	close.close.detached = true;
	ledger_close(*state, &close, 0, &view);
	assert_usage(&view.closing, 1005, 100, 200, 30, 5);
	assert_true(view.balanced);
	assert_true(view.detached);
	add(*state, CAUSE_EXIT, "exit", (struct usage){ -1000, -100, -200, -30, -5 });
	ledger_close(*state, &close, 0, &view);
	assert_false(view.balanced);
}

static void add_unattributed(struct ledger *ledger, struct usage delta)
{
	struct event event = row_event(CAUSE_KERNEL, "unattributed", delta);

	event.change.attributed = false;
	assert_int_equal(ledger_add(ledger, &event), 0);
}

static void test_unattributed_rows(void **state)
{
	struct ledger_view view;

	add_unattributed(*state, (struct usage){ 0 });
	view = closed(*state, opening);
	assert_true(view.balanced);
	assert_int_equal(view.unattributed_rows, 1);
	add_unattributed(*state, (struct usage){ .anon = 8 });
	view = closed(*state, (struct usage){ 1000, 108, 200, 30, 4 });
	assert_false(view.balanced);
	assert_usage(&view.unattributed, 0, 8, 0, 0, 0);
	/* That they cancel each other out does not make their cause known. */
	add_unattributed(*state, (struct usage){ .anon = -8 });
	view = closed(*state, opening);
	assert_usage(&view.unattributed, 0);
	assert_int_equal(view.unattributed_rows, 3);
	assert_false(view.balanced);
}

/* A gap and a row of unknown cause that happen to be opposite. */
static void test_gap_cancels_row(void **state)
{
	struct ledger_view view;

	add_unattributed(*state, (struct usage){ .virt = 8 });
	view = closed(*state, opening);
	assert_usage(&view.unattributed, 0);
	assert_false(view.balanced);
}

/* The parts of the peak's RSS are of one moment; its VIRT has a moment of its own. */
static void test_peak(void **state)
{
	struct ledger_view view;

	add(*state, CAUSE_FAULT, "minor", (struct usage){ .anon = 50 });
	add(*state, CAUSE_SYSCALL, "mmap", (struct usage){ .virt = 900, .anon = -40 });
	add(*state, CAUSE_FAULT, "minor", (struct usage){ .file = 30 });
	add(*state, CAUSE_SYSCALL, "munmap", (struct usage){ .virt = -950, .file = -30 });
	view = closed(*state, *ledger_level(*state));
	assert_usage(&view.peak, 1900, 150, 200, 30, 4);
}

static void test_counters(void **state)
{
	struct event event = row_event(CAUSE_FAULT, "minor", (struct usage){ 0 });
	struct event close = close_event(opening);
	struct ledger_view view;

	event.change.folded = 7;
	event.change.count = 300;
	assert_int_equal(ledger_add(*state, &event), 0);
	assert_int_equal(ledger_add(*state, &event), 0);
	close.close.swapped_pages = 3;
	ledger_close(*state, &close, 5, &view);
	assert_int_equal(view.coalesced_events, 14);
	assert_int_equal(view.lines[0].count, 600);
	assert_int_equal(view.swapped_pages, 3);
	assert_int_equal(view.lost_events, 5);
	/* Loss of records is no loss of bytes. */
	assert_true(view.balanced);
}

/* A program that starts processes of ever new names must not make the books grow for ever. */
static void test_too_many_names(void **state)
{
	const unsigned int names = 5000;
	struct ledger_view view;
	struct usage sum = { 0 };
	uint64_t count = 0;
	char name[32];

	for (unsigned int i = 0; i < names; i++) {
		snprintf(name, sizeof(name), "actor %u", i);
		add(*state, CAUSE_KERNEL, name, (struct usage){ .anon = 1 });
	}
	add(*state, CAUSE_SYSCALL, "read", (struct usage){ .anon = 1 });
	add(*state, CAUSE_FAULT, "minor", (struct usage){ .anon = 1 });
	add(*state, CAUSE_KERNEL, "actor 3", (struct usage){ .anon = 1 });
	view = closed(*state, *ledger_level(*state));
	assert_true(view.balanced);
	assert_int_equal(view.line_count, LEDGER_LINES_MAX + 3);
	assert_string_equal(view.lines[3].name, "actor 3");
	assert_int_equal(view.lines[3].count, 2);
	assert_string_equal(view.lines[LEDGER_LINES_MAX].name, "other actors");
	assert_int_equal(view.lines[LEDGER_LINES_MAX].cause, CAUSE_KERNEL);
	assert_int_equal(view.lines[LEDGER_LINES_MAX].count, names - LEDGER_LINES_MAX);
	assert_string_equal(view.lines[LEDGER_LINES_MAX + 1].name, "other syscalls");
	assert_int_equal(view.lines[LEDGER_LINES_MAX + 1].cause, CAUSE_SYSCALL);
	assert_string_equal(view.lines[LEDGER_LINES_MAX + 2].name, "other");
	for (unsigned int i = 0; i < view.line_count; i++) {
		books_add(&sum, &view.lines[i].delta);
		count += view.lines[i].count;
	}
	assert_usage(&sum, 0, names + 3, 0, 0, 0);
	assert_int_equal(count, names + 3);
}

static void test_long_names(void **state)
{
	char a[300], b[300];
	struct ledger_view view;

	memset(a, 'n', sizeof(a) - 1);
	a[sizeof(a) - 1] = '\0';
	memcpy(b, a, sizeof(b));
	b[200] = 'x'; /* beyond what is told apart */
	add(*state, CAUSE_KERNEL, a, (struct usage){ 0 });
	add(*state, CAUSE_KERNEL, b, (struct usage){ 0 });
	b[5] = 'x';
	add(*state, CAUSE_KERNEL, b, (struct usage){ 0 });
	b[10] = '\0'; /* a prefix is another name */
	add(*state, CAUSE_KERNEL, b, (struct usage){ 0 });
	add(*state, CAUSE_KERNEL, "", (struct usage){ 0 });
	view = closed(*state, opening);
	assert_int_equal(view.line_count, 4);
	assert_int_equal(view.lines[0].count, 2);
	assert_int_equal(strlen(view.lines[0].name), 63);
	assert_int_equal(view.lines[1].count, 1);
	assert_int_equal(strlen(view.lines[2].name), 10);
	assert_string_equal(view.lines[3].name, "");
}

/* The names are the ledger's own: a source may reuse its buffer. */
static void test_names_are_copied(void **state)
{
	struct ledger_view view;
	char name[] = "kswapd0";

	add(*state, CAUSE_KERNEL, name, (struct usage){ 0 });
	memcpy(name, "xxxxxxx", 7);
	view = closed(*state, opening);
	assert_string_equal(view.lines[0].name, "kswapd0");
}

/* A recording can hold any number; nothing it holds may be undefined here. */
static void test_extremes(void **state)
{
	struct usage most = { INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX };
	struct usage least = { INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN };
	struct ledger_view view;

	for (unsigned int i = 0; i < 4; i++) {
		add(*state, CAUSE_SYSCALL, "mmap", most);
		add(*state, CAUSE_SYSCALL, "munmap", least);
	}
	view = closed(*state, *ledger_level(*state));
	assert_true(view.balanced);
	view = closed(*state, least);
	assert_false(view.balanced);
}

static void test_image_and_comm(void **state)
{
	struct event open = open_event(1);
	struct ledger *ledger;
	struct ledger_view view;

	(void)state;
	open.open.image = NULL;
	memset(open.comm, 'c', sizeof(open.comm)); /* not terminated */
	ledger = ledger_new(&open, "/bin/parent");
	assert_non_null(ledger);
	assert_string_equal(ledger_image(ledger), "/bin/parent");
	view = closed(ledger, opening);
	assert_string_equal(view.image, "/bin/parent");
	assert_string_equal(view.comm, "ccccccccccccccc");
	ledger_free(ledger);
	ledger = ledger_new(&open, NULL);
	assert_non_null(ledger);
	assert_null(closed(ledger, opening).image);
	ledger_free(ledger);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_empty_books),
		CASE(test_lines),
		CASE(test_errors),
		CASE(test_exit),
		CASE(test_unbalanced_closing),
		CASE(test_unbalanced_exit),
		CASE(test_unbalanced_proc),
		CASE(test_closing_unknown),
		CASE(test_unattributed_rows),
		CASE(test_gap_cancels_row),
		CASE(test_peak),
		CASE(test_counters),
		CASE(test_too_many_names),
		CASE(test_long_names),
		CASE(test_names_are_copied),
		CASE(test_extremes),
		CASE(test_image_and_comm),
	};

	return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}
