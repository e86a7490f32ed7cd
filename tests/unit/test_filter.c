/* SPDX-License-Identifier: GPL-2.0-only */
#include "filter.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct event row(enum cause cause, const char *name, int64_t virt, int64_t anon)
{
	struct event event = { .kind = EVENT_CHANGE };

	event.change.cause = cause;
	event.change.name = name;
	event.change.delta.virt = virt;
	event.change.delta.anon = anon;
	return event;
}

static bool shows(const struct filter *filter, enum cause cause, const char *name)
{
	struct event event = row(cause, name, 4096, 0);

	return filter_shows(filter, &event);
}

static void names_choose_syscalls_and_causes(void **state)
{
	struct filter filter = { 0 };
	struct diag diag = { "" };

	(void)state;
	assert_int_equal(filter_parse(&filter, "mmap,fault,getpid", &diag), 0);
	assert_true(shows(&filter, CAUSE_SYSCALL, "mmap"));
	assert_true(shows(&filter, CAUSE_FAULT, "minor"));
	assert_true(shows(&filter, CAUSE_KERNEL_FAULT, "mmap"));
	assert_false(shows(&filter, CAUSE_SYSCALL, "munmap"));
	assert_false(shows(&filter, CAUSE_KERNEL, "khugepaged"));
	filter_free(&filter);
}

static void an_exclamation_mark_hides(void **state)
{
	struct filter filter = { 0 };
	struct diag diag = { "" };

	(void)state;
	assert_int_equal(filter_parse(&filter, "!mprotect,minor", &diag), 0);
	assert_false(shows(&filter, CAUSE_SYSCALL, "mprotect"));
	assert_false(shows(&filter, CAUSE_FAULT, "minor"));
	assert_true(shows(&filter, CAUSE_FAULT, "major"));
	filter_free(&filter);
}

static void small_rows_are_hidden_by_either_size(void **state)
{
	struct filter filter = { .min_bytes = 8192 };
	struct event small = row(CAUSE_SYSCALL, "mmap", 4096, -4096);
	struct event freed = row(CAUSE_SYSCALL, "munmap", -8192, 0);
	struct event touched = row(CAUSE_FAULT, "minor", 0, 8192);
	struct event mark = { .kind = EVENT_MARK };

	(void)state;
	assert_false(filter_shows(&filter, &small));
	assert_true(filter_shows(&filter, &freed));
	assert_true(filter_shows(&filter, &touched));
	assert_true(filter_shows(&filter, &mark));
}

static void mistakes_are_named(void **state)
{
	struct filter filter = { 0 };
	struct diag unknown = { "" }, none = { "" };

	(void)state;
	assert_int_equal(filter_parse(&filter, "mmap,mnmap", &unknown), -EINVAL);
	assert_non_null(strstr(unknown.text, "'mnmap'"));
	assert_int_equal(filter_parse(&filter, "", &none), -EINVAL);
	assert_non_null(strstr(none.text, "no name"));
	filter_free(&filter);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_choose_syscalls_and_causes),
		cmocka_unit_test(an_exclamation_mark_hides),
		cmocka_unit_test(small_rows_are_hidden_by_either_size),
		cmocka_unit_test(mistakes_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
