/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/errname.h"

#include "base/intern.h"

#include <errno.h>
#include <locale.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(errname(ENOMEM), "ENOMEM");
	assert_string_equal(errname(EAGAIN), "EAGAIN");
	assert_string_equal(errname(512), "ERESTARTSYS");
	assert_string_equal(errname(516), "ERESTART_RESTARTBLOCK");
	assert_string_equal(errname(4000), "E4000");
	assert_string_equal(errname(0), "E0");
}

static void test_meanings(void **state)
{
	(void)state;
	assert_string_equal(errname_meaning(ENOMEM), "Cannot allocate memory");
	assert_string_equal(errname_meaning(513), "To be restarted");
	assert_null(errname_meaning(4000));
	assert_null(errname_meaning(-1));
}

static void test_signals(void **state)
{
	(void)state;
	assert_string_equal(signame(SIGSEGV), "SIGSEGV");
	assert_string_equal(signame(SIGKILL), "SIGKILL");
	assert_string_equal(signame(SIGHUP), "SIGHUP");
	assert_string_equal(signame(SIGSYS), "SIGSYS");
	assert_null(signame(0));
	assert_null(signame(-1));
	assert_null(signame(SIGRTMIN));
	assert_null(signame(1000));
}

/* Each string once, and a full store falls back. */
static void test_intern(void **state)
{
	char name[32] = "a name";
	const char *kept = intern(name, "?"), *got = kept;

	(void)state;
	assert_string_equal(kept, "a name");
	assert_ptr_not_equal(kept, name);
	assert_ptr_equal(intern("a name", "?"), kept);
	for (int i = 0; i < 5000 && strcmp(got, "full") != 0; i++) {
		snprintf(name, sizeof(name), "name %d", i);
		got = intern(name, "full");
	}
	assert_string_equal(got, "full");
	assert_ptr_equal(intern("a name", "full"), kept);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_meanings),
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_intern),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
