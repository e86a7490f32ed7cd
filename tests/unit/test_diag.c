/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/diag.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_sets_and_returns(void **state)
{
	struct diag diag = { { 0 } };

	(void)state;
	assert_int_equal(diag_set(&diag, -ENOENT, "%s: %d", "file", 7), -ENOENT);
	assert_string_equal(diag.text, "file: 7");
}

static void test_first_reason_stays(void **state)
{
	struct diag diag = { { 0 } };

	(void)state;
	diag_set(&diag, -EPERM, "inner");
	assert_int_equal(diag_set(&diag, -EIO, "outer"), -EIO);
	assert_string_equal(diag.text, "inner");
}

static void test_null_is_legal(void **state)
{
	(void)state;
	assert_int_equal(diag_set(NULL, -EIO, "%d", 1), -EIO);
}

static void test_control_characters(void **state)
{
	struct diag diag = { { 0 } };

	(void)state;
	diag_set(&diag, 0, "a\033[31mb\nc\x7f");
	assert_string_equal(diag.text, "a?[31mb?c?");
}

static void test_is_cut_not_overrun(void **state)
{
	struct diag diag = { { 0 } };
	char name[2000];

	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	diag_set(&diag, 0, "%s", name);
	assert_int_equal(strlen(diag.text), sizeof(diag.text) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sets_and_returns),   cmocka_unit_test(test_first_reason_stays),
		cmocka_unit_test(test_null_is_legal),	   cmocka_unit_test(test_control_characters),
		cmocka_unit_test(test_is_cut_not_overrun),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
