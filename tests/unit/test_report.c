/* SPDX-License-Identifier: GPL-2.0-only */
/* What replayed recordings do not show: the list, errors of writing, the limits of the closing tables, locales. */
#include "report/report.h"

#include "replay_run.h"
#include "report/closings.h"
#include "report/headtext.h"
#include "report/textstyle.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#define EXPERIMENT "tests/replay/experiment.events"

static unsigned int count_of(const char *text, const char *what)
{
	unsigned int count = 0;

	for (; (text = strstr(text, what)); text++)
		count++;
	return count;
}

static void test_list(void **state)
{
	static const char *const names[] = { "text", "summary", "jsonl", "recording" };
	unsigned int count = 0;

	(void)state;
	for (; report_at(count); count++) {
		assert_ptr_equal(report_by_name(report_at(count)->name), report_at(count));
		assert_true(strlen(report_at(count)->help) > 0);
	}
	assert_true(count >= sizeof(names) / sizeof(names[0]));
	assert_string_equal(report_at(0)->name, "text");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_non_null(report_by_name(names[i]));
	assert_null(report_by_name("nothing"));
	assert_null(report_at(UINT32_MAX));
}

static void test_close_null(void **state)
{
	(void)state;
	for (unsigned int i = 0; report_at(i); i++)
		report_at(i)->close(NULL);
}

/* A full disk is an error of the run, at the latest when it ends, for each format, buffered or not. */
static void test_full_disk(void **state)
{
	(void)state;
	for (unsigned int i = 0; report_at(i); i++) {
		for (int mode = 0; mode < 2; mode++) {
			struct report_options options = { .out = fopen("/dev/full", "w") };
			struct diag diag = { { 0 } };

			assert_non_null(options.out);
			setvbuf(options.out, NULL, mode ? _IONBF : _IOFBF, mode ? 0 : 65536);
			assert_int_equal(replay_run(EXPERIMENT, report_at(i), &options, &diag), -ENOSPC);
			fclose(options.out);
		}
	}
}

/* Without its last record an output must not look whole: no format writes its closing line before. */
static void test_no_end_without_end(void **state)
{
	const struct record_header header = { .version = "1", .source = "bpf", .page_size = 4096 };
	const struct record record = { .kind = RECORD_HEADER, .header = &header };
	static const char *const ends[] = { "heaptrace: ", "\"end\"", "\nend " };

	(void)state;
	for (unsigned int i = 0; report_at(i); i++) {
		char *text = NULL;
		size_t len = 0;
		struct report_options options = { .out = open_memstream(&text, &len) };
		void *report = report_at(i)->open(&options);

		assert_non_null(report);
		assert_int_equal(report_at(i)->write(report, &record), 0);
		report_at(i)->close(report);
		fclose(options.out);
		/* Folded sums have no beginning. */
		assert_true(len > 0 || !strcmp(report_at(i)->name, "folded"));
		for (unsigned int j = 0; j < sizeof(ends) / sizeof(ends[0]); j++)
			assert_null(strstr(text, ends[j]));
		free(text);
	}
}

/* A filter hides rows from people and programs, never from a recording, whose reader may filter otherwise. */
static void test_hidden_rows(void **state)
{
	const struct event event = { .kind = EVENT_CHANGE,
				     .pid = 1,
				     .tid = 1,
				     .mm = 1,
				     .change = {
					     .cause = CAUSE_SYSCALL, .name = "read", .count = 1, .attributed = true } };
	struct record record = { .kind = RECORD_EVENT, .event = &event };

	(void)state;
	for (unsigned int i = 0; report_at(i); i++) {
		bool rows = strcmp(report_at(i)->name, "summary") != 0 && strcmp(report_at(i)->name, "folded") != 0;

		for (int hidden = 0; hidden < 2; hidden++) {
			char *text = NULL;
			size_t len = 0;
			struct report_options options = { .out = open_memstream(&text, &len) };
			void *report = report_at(i)->open(&options);

			record.hidden = hidden;
			assert_int_equal(report_at(i)->write(report, &record), 0);
			report_at(i)->close(report);
			fclose(options.out);
			if (!strcmp(report_at(i)->name, "recording"))
				assert_int_equal(count_of(text, "name=read"), 1);
			else
				assert_int_equal(count_of(text, "read"), rows && !hidden);
			free(text);
		}
	}
}

static const struct textstyle plain = { .escape = ESCAPE_ASCII, .rule = "-", .arrow = "<-" };

/* Rows of 0 kB and of 2 TB have their columns in the same places. */
static void test_columns(void **state)
{
	static const int64_t tb2 = 2ll << 40;
	struct buf buf = { 0 };

	(void)state;
	column_kb(&buf, 0, COLUMN_KB);
	column_kb(&buf, tb2, COLUMN_KB);
	column_kb(&buf, -4096, COLUMN_KB);
	column_kb_change(&buf, &plain, 0, COLUMN_KB);
	column_kb_change(&buf, &plain, tb2, COLUMN_KB);
	column_kb_change(&buf, &plain, -tb2, COLUMN_KB);
	assert_string_equal(buf.data, "           0  2147483648          -4           0 +2147483648 -2147483648");
	buf_reset(&buf);
	column_seconds(&buf, 0, 12);
	column_seconds(&buf, 1, 12);
	column_seconds(&buf, 12345678901234, 12);
	column_seconds(&buf, -1500000, 12);
	assert_string_equal(buf.data, "    0.000000    0.00000012345.678901   -0.001500");
	buf_reset(&buf);
	column_u64(&buf, UINT64_MAX, 22);
	column_left(&buf, "ab", 4);
	column_right(&buf, "ab", 4);
	column_left(&buf, "abcdef", 4);
	assert_string_equal(buf.data, "  18446744073709551615ab    ababcdef");
	buf_free(&buf);
}

static void test_sizes(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *expected;
	} cases[] = {
		{ 0, "0 kB" },
		{ 1, "1 B" },
		{ 1023, "1023 B" },
		{ 1024, "1 kB" },
		{ 1536, "1536 B" },
		{ 2101248, "2052 kB" },
		{ 2199023255552, "2147483648 kB" },
		{ UINT64_MAX, "18446744073709551615 B" },
	};
	struct buf buf = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_reset(&buf);
		text_size(&buf, cases[i].bytes);
		assert_string_equal(buf.data, cases[i].expected);
	}
	buf_reset(&buf);
	text_size_change(&buf, -4096);
	text_size_change(&buf, 4096);
	text_size_change(&buf, INT64_MIN);
	assert_string_equal(buf.data, "-4 kB+4 kB-9007199254740992 kB");
	buf_free(&buf);
}

static void test_fates(void **state)
{
	struct buf buf = { 0 };

	(void)state;
	headtext_add_fate(&buf, 3, 0);
	buf_add_char(&buf, '|');
	headtext_add_fate(&buf, 0, 11);
	buf_add_char(&buf, '|');
	headtext_add_fate(&buf, 0, 40);
	assert_string_equal(buf.data, "exit status 3|killed by SIGSEGV|killed by signal 40");
	buf_free(&buf);
}

/* In a locale of UTF-8 rules and arrows are drawn and names stay readable; hostile characters are escaped all the same. */
static void test_utf8(void **state)
{
	struct diag diag = { { 0 } };
	int said = 0;
	char *text;

	(void)state;
	if (!setlocale(LC_CTYPE, "C.UTF-8")) {
		print_message("the locale C.UTF-8 is missing\n");
		skip();
	}
	text = replay_run_text("tests/replay/hostile.events", "text", (struct report_options){ 0 }, &said, &diag);
	setlocale(LC_CTYPE, "C");
	assert_int_equal(said, -ENODATA);
	assert_non_null(strstr(text, "         ──── é→ok \\xe2\\x80\\xae ────\n"));
	assert_non_null(strstr(text, "666 ───────────────────────         172           8"));
	assert_non_null(strstr(text, "execve(\"😀\\x1b[2J\\x07\\\"q\\\\\\n\\xff\\xc3\", ...)"));
	assert_non_null(strstr(text, " ← \\x1b[2J"));
	for (const char *at = text; *at; at++)
		assert_true(*at == '\n' || (unsigned char)*at >= ' ');
	free(text);
}

/* One ledger, of which only what the closing tables go by differs. */
static struct ledger_view make_ledger(uint64_t mm, int64_t peak_kb, bool balanced)
{
	return (struct ledger_view){
		.mm = mm,
		.pid = (int32_t)(1000 + mm),
		.comm = "prog",
		.how = OPEN_FORK,
		.peak = { .virt = 2 * peak_kb * 1024, .anon = peak_kb * 1024 },
		.balanced = balanced,
	};
}

static char *write_closings(unsigned int count, unsigned int unbalanced_every, size_t *ret_len)
{
	struct closings *closings = closings_new(&plain, false);
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_len);

	assert_non_null(closings);
	assert_non_null(out);
	for (unsigned int i = 1; i <= count; i++) {
		struct ledger_view ledger = make_ledger(i, i == 500 ? 1 << 20 : 100 + i % 97,
							!unbalanced_every || i % unbalanced_every != 0);

		assert_int_equal(closings_add(closings, &ledger, 0, NULL), 0);
	}
	assert_int_equal(closings_write(closings, out), 0);
	closings_free(closings);
	fclose(out);
	return text;
}

static void test_few_ledgers_all_in_full(void **state)
{
	size_t len;
	char *text = write_closings(16, 0, &len);

	(void)state;
	assert_int_equal(count_of(text, "Ledger of "), 16);
	assert_null(strstr(text, "verdict"));
	assert_null(strstr(text, " more, "));
	free(text);
}

static void test_many_ledgers_are_bounded(void **state)
{
	size_t len;
	char *text = write_closings(20000, 1000, &len);

	(void)state;
	/* The first 16, the 16 unbalanced ones that come first, and the 4 largest, the very largest among them. */
	assert_int_equal(count_of(text, "Ledger of "), 16 + 16 + 4);
	assert_non_null(strstr(text, "Ledger of 1001 prog"));
	assert_non_null(strstr(text, "Ledger of 1016 prog"));
	assert_null(strstr(text, "Ledger of 1017 prog"));
	assert_non_null(strstr(text, "Ledger of 1500 prog"));
	assert_non_null(strstr(text, "Ledger of 2000 prog"));
	assert_non_null(strstr(text, "Ledger of 17000 prog"));
	assert_null(strstr(text, "Ledger of 18000 prog"));
	/* The rest in a line each, then in a sum. */
	assert_int_equal(count_of(text, "  verdict "), 1);
	assert_in_range(count_of(text, "  balanced      prog\n"), 1000, 1004);
	assert_non_null(strstr(text, " more, "));
	assert_non_null(strstr(text, " of them balanced; the largest peak is VIRT 392 kB, RSS 196 kB\n"));
	assert_true(len < 256 * 1024);
	free(text);
}

/* Every ledger is in a table, a line or the sum: none twice, none lost. */
static void test_ledgers_add_up(void **state)
{
	static const unsigned int counts[] = { 1, 16, 17, 20, 21, 500, 1020, 1036, 1037, 3000 };

	(void)state;
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		size_t len;
		char *text = write_closings(counts[i], 7, &len), *rest = strstr(text, "\nand ");
		unsigned int more = 0;

		if (rest)
			more = (unsigned int)strtoul(rest + 5, NULL, 10);
		assert_int_equal(count_of(text, "Ledger of ") + count_of(text, "  balanced      prog\n") +
					 count_of(text, "  NOT BALANCED  prog\n") + more,
				 counts[i]);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_close_null),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_no_end_without_end),
		cmocka_unit_test(test_hidden_rows),
		cmocka_unit_test(test_columns),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_fates),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_few_ledgers_all_in_full),
		cmocka_unit_test(test_many_ledgers_are_bounded),
		cmocka_unit_test(test_ledgers_add_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
