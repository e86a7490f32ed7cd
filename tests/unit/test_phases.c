/* SPDX-License-Identifier: GPL-2.0-only */
/* The books cut at marks. */
#include "ledger_rows.h"

static void test_one_phase(void **state)
{
	struct ledger_view view;

	add(*state, CAUSE_SYSCALL, "brk", (struct usage){ .virt = 5 });
	view = closed(*state, *ledger_level(*state));
	assert_int_equal(view.phase_count, 1);
	assert_null(view.phases[0].name);
	assert_int_equal(view.phases[0].start_ns, 10);
	assert_int_equal(view.phases[0].end_ns, 90);
	assert_usage(&view.phases[0].closing, 1005, 100, 200, 30, 4);
	assert_usage(&view.phases[0].delta, 5, 0, 0, 0, 0);
	assert_int_equal(view.phases[0].line_count, 1);
	assert_string_equal(view.phases[0].lines[0].name, "brk");
}

static void test_marks_cut(void **state)
{
	char name[] = "malloc 2048";
	const struct ledger_phase *phases;
	struct ledger_view view;

	add(*state, CAUSE_SYSCALL, "brk", (struct usage){ .virt = 5 });
	add(*state, CAUSE_FAULT, "minor", (struct usage){ .anon = 1 });
	mark(*state, 30, name);
	memcpy(name, "gone", 5); /* the name is copied */
	add(*state, CAUSE_FAULT, "minor", (struct usage){ .anon = 2 });
	add(*state, CAUSE_FAULT, "minor", (struct usage){ .anon = -3 });
	mark(*state, 40, "empty");
	mark(*state, 50, "free 2048");
	add(*state, CAUSE_SYSCALL, "munmap", (struct usage){ .virt = -7 });
	add(*state, CAUSE_SYSCALL, "brk", (struct usage){ .virt = 1 });
	add(*state, CAUSE_EXIT, "exit", (struct usage){ -999, -100, -200, -30, -4 });
	view = closed(*state, (struct usage){ 999, 100, 200, 30, 4 });
	assert_true(view.balanced);
	phases = view.phases;
	assert_int_equal(view.phase_count, 4);
	assert_int_equal(phases[0].end_ns, 30);
	assert_int_equal(phases[0].line_count, 2);
	assert_usage(&phases[0].delta, 5, 1, 0, 0, 0);
	assert_usage(&phases[0].closing, 1005, 101, 200, 30, 4);

	assert_string_equal(phases[1].name, "malloc 2048");
	assert_int_equal(phases[1].start_ns, 30);
	assert_int_equal(phases[1].end_ns, 40);
	assert_int_equal(phases[1].line_count, 1);
	assert_string_equal(phases[1].lines[0].name, "minor");
	assert_int_equal(phases[1].lines[0].count, 2);
	assert_usage(&phases[1].lines[0].gained, 0, 2, 0, 0, 0);
	assert_usage(&phases[1].lines[0].given, 0, -3, 0, 0, 0);
	assert_usage(&phases[1].delta, 0, -1, 0, 0, 0);
	assert_usage(&phases[1].closing, 1005, 100, 200, 30, 4);

	assert_string_equal(phases[2].name, "empty");
	assert_int_equal(phases[2].line_count, 0);
	assert_null(phases[2].lines);
	assert_usage(&phases[2].delta, 0);

	/* The last ends at the closing, with what there was before the exit. */
	assert_string_equal(phases[3].name, "free 2048");
	assert_int_equal(phases[3].end_ns, 90);
	assert_int_equal(phases[3].line_count, 2);
	assert_string_equal(phases[3].lines[0].name, "munmap");
	assert_string_equal(phases[3].lines[1].name, "brk");
	assert_usage(&phases[3].lines[1].delta, 1, 0, 0, 0, 0);
	assert_usage(&phases[3].closing, 999, 100, 200, 30, 4);
}

/* Added up, the phases are the ledger: line by line and in all. */
static void assert_phases_add_up(const struct ledger_view *view)
{
	struct usage sum = { 0 };

	for (unsigned int line = 0; line < view->line_count; line++) {
		const struct ledger_line *want = &view->lines[line];
		struct usage delta = { 0 };
		uint64_t count = 0, errors = 0;

		for (unsigned int i = 0; i < view->phase_count; i++) {
			for (unsigned int at = 0; at < view->phases[i].line_count; at++) {
				const struct ledger_line *have = &view->phases[i].lines[at];

				if (have->cause != want->cause || strcmp(have->name, want->name) != 0)
					continue;
				books_add(&delta, &have->delta);
				count += have->count;
				errors += have->errors;
			}
		}
		assert_usage(&delta, want->delta.virt, want->delta.anon, want->delta.file, want->delta.shmem,
			     want->delta.swap);
		assert_int_equal(count, want->count);
		assert_int_equal(errors, want->errors);
		books_add(&sum, &delta);
	}
	for (unsigned int i = 0; i < view->phase_count; i++)
		books_sub(&sum, &view->phases[i].delta);
	assert_usage(&sum, 0);
}

static void test_phases_add_up(void **state)
{
	uint64_t random = 88172645463325252;
	struct ledger_view view;
	char name[32];

	for (unsigned int i = 0; i < 20000; i++) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		if (random % 50 == 0) {
			mark(*state, 30 + i, "step");
			continue;
		}
		snprintf(name, sizeof(name), "call %u", (unsigned int)(random >> 8) % 60);
		add(*state, random % 3 ? CAUSE_SYSCALL : CAUSE_KERNEL_FAULT, name,
		    (struct usage){ .virt = (int64_t)(random >> 40) - (1 << 23), .anon = (int64_t)(random >> 60) });
	}
	view = closed(*state, *ledger_level(*state));
	assert_true(view.balanced);
	assert_true(view.phase_count > 300);
	assert_phases_add_up(&view);
}

static void test_too_many_marks(void **state)
{
	const unsigned int extra = 10;
	struct ledger_view view;

	/* The first phase, before any mark, is one of them. */
	for (unsigned int i = 0; i < LEDGER_PHASES_MAX - 1 + extra; i++) {
		mark(*state, 20 + i, "m");
		add(*state, CAUSE_SYSCALL, "brk", (struct usage){ .virt = 1 });
	}
	view = closed(*state, *ledger_level(*state));
	assert_true(view.balanced);
	assert_int_equal(view.phase_count, LEDGER_PHASES_MAX);
	assert_string_equal(view.phases[LEDGER_PHASES_MAX - 2].name, "m");
	assert_string_equal(view.phases[LEDGER_PHASES_MAX - 1].name, "m (and 10 later marks)");
	assert_int_equal(view.phases[LEDGER_PHASES_MAX - 1].lines[0].count, extra + 1);
	assert_phases_add_up(&view);
}

/* Many lines in every phase: their sum is bounded too. */
static void test_too_many_lines(void **state)
{
	struct ledger_view view;
	unsigned int lines = 0;
	char name[32];

	for (unsigned int i = 0; i < 200; i++) {
		for (unsigned int actor = 0; actor < 600; actor++) {
			snprintf(name, sizeof(name), "actor %u", actor);
			add(*state, CAUSE_KERNEL, name, (struct usage){ .anon = -1 });
		}
		mark(*state, 20 + i, "m");
	}
	view = closed(*state, *ledger_level(*state));
	assert_true(view.balanced);
	for (unsigned int i = 0; i < view.phase_count; i++)
		lines += view.phases[i].line_count;
	assert_in_range(lines, LEDGER_PHASE_LINES_MAX, LEDGER_PHASE_LINES_MAX + LEDGER_LINES_MAX + 1);
	assert_int_equal(view.phase_count, LEDGER_PHASE_LINES_MAX / (LEDGER_LINES_MAX + 1) + 1);
	assert_non_null(strstr(view.phases[view.phase_count - 1].name, "later marks"));
	assert_phases_add_up(&view);
}

static void test_long_mark(void **state)
{
	struct ledger_view view;
	char name[1000];

	memset(name, 'm', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	mark(*state, 20, name);
	mark(*state, 21, "");
	view = closed(*state, opening);
	assert_int_equal(strlen(view.phases[1].name), 255);
	assert_string_equal(view.phases[2].name, "");
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_one_phase),	   CASE(test_marks_cut),      CASE(test_phases_add_up),
		CASE(test_too_many_marks), CASE(test_too_many_lines), CASE(test_long_mark),
	};

	return cmocka_run_group_tests_name("phases", tests, NULL, NULL);
}
