/* SPDX-License-Identifier: GPL-2.0-only */
#include "report/callsite.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define LIBC  "/usr/lib/x86_64-linux-gnu/libc.so.6"
#define PROG  "/opt/prog"
#define MUSL  "/lib/ld-musl-x86_64.so.1"
#define JEMAL "/usr/lib/libjemalloc.so.2"
#define STDCC "/usr/lib/libstdc++.so.6.0.30"
#define OWN   "/opt/libcurious.so.4" /* no libc, whatever it begins with */

struct site_case {
	const char *objects[5]; /* innermost first */
	int caller, entry;	/* indices, -1 for none */
};

static const struct site_case cases[] = {
	{ { PROG, PROG }, 0, -1 },
	{ { LIBC, LIBC, PROG, PROG }, 2, 1 },
	{ { LIBC, JEMAL, STDCC, PROG, LIBC }, 3, 2 },
	{ { MUSL, MUSL, PROG }, 2, 1 },
	{ { LIBC, OWN, PROG }, 1, 0 },
	/* A frame whose object is not known belongs to the program, for all we know. */
	{ { LIBC, NULL, PROG }, 1, 0 },
	{ { "[vdso]", PROG }, 1, 0 },
	{ { "libc.so.6", PROG }, 1, 0 },
	/* Nothing but the library (the loader at the start): its innermost frame stands for all. */
	{ { LIBC, LIBC }, 0, -1 },
};

static void test_sites(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct frame frames[5] = { { 0 } };
		struct event_change change = { .stack = frames };
		const struct frame *entry = frames, *caller;

		for (unsigned int j = 0; j < 5; j++) {
			frames[j].object = cases[i].objects[j];
			if (frames[j].object)
				change.stack_len = j + 1;
		}
		caller = callsite_find(&change, &entry);
		assert_ptr_equal(caller, &frames[cases[i].caller]);
		if (cases[i].entry < 0)
			assert_null(entry);
		else
			assert_ptr_equal(entry, &frames[cases[i].entry]);
	}
}

static void test_no_stack(void **state)
{
	const struct event_change change = { .count = 1 };
	const struct frame other = { 0 }, *entry = &other;

	(void)state;
	assert_null(callsite_find(&change, &entry));
	assert_null(entry);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sites),
		cmocka_unit_test(test_no_stack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
