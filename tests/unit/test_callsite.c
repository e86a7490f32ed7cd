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
		struct callsite site;

		for (unsigned int j = 0; j < 5; j++) {
			frames[j].object = cases[i].objects[j];
			if (frames[j].object)
				change.stack_len = j + 1;
		}
		callsite_find(&change, &site);
		assert_ptr_equal(site.caller, &frames[cases[i].caller]);
		if (cases[i].entry < 0)
			assert_null(site.entry);
		else
			assert_ptr_equal(site.entry, &frames[cases[i].entry]);
	}
}

/* What was inlined from a header of the system's is the library's, in the program too; its own headers are the program's. */
static void test_headers(void **state)
{
	struct frame frames[] = {
		{ .symbol = "memset",
		  .object = PROG,
		  .inlined = true,
		  .file = "/usr/include/x86_64-linux-gnu/bits/string_fortified.h" },
		{ .symbol = "clear", .object = PROG, .inlined = true, .file = "/opt/prog.h" },
		{ .symbol = "main", .object = PROG, .file = "/opt/prog.c" },
	};
	struct event_change change = { .stack = frames, .stack_len = 3, .name = "minor" };
	struct callsite site;

	(void)state;
	callsite_find(&change, &site);
	assert_ptr_equal(site.entry, &frames[0]);
	assert_ptr_equal(site.caller, &frames[1]);
}

struct named_case {
	struct {
		const char *symbol, *object;
	} frames[8]; /* innermost first */
	int caller, entry;
	const char *shown; /* the entry's name on a row of brk */
};

static const struct named_case named_cases[] = {
	/* The outermost allocator function, not the first; std:: in the program is not the program. */
	{ { { "__brk", LIBC },
	    { "sbrk", LIBC },
	    { NULL, LIBC },
	    { "malloc", LIBC },
	    { "operator new", STDCC },
	    { "std::vector<int>::push_back", PROG },
	    { "parse", PROG },
	    { "main", PROG } },
	  6,
	  4,
	  "operator new" },
	/* Inside python3, between its allocator's own functions. */
	{ { { "mmap", LIBC },
	    { "new_arena", PROG },
	    { "allocate_from_new_pool", PROG },
	    { "PyObject_Malloc", PROG },
	    { "PyList_New", PROG } },
	  4,
	  3,
	  "PyObject_Malloc" },
	/* A static program: everything is one object. */
	{ { { "brk", PROG }, { "sbrk", PROG }, { "sysmalloc", PROG }, { "malloc", PROG }, { "main", PROG } },
	  4,
	  3,
	  "malloc" },
	/* A handler of the program that has interrupted an allocation. */
	{ { { "brk", LIBC },
	    { "malloc", LIBC },
	    { "handler", PROG },
	    { NULL, LIBC },
	    { "free", LIBC },
	    { "main", PROG } },
	  2,
	  1,
	  "malloc" },
	/* No allocator: the function of the library; the wrapper of the row's own syscall goes without saying. */
	{ { { "brk", LIBC }, { "pthread_create", LIBC }, { "main", PROG } }, 2, 1, "pthread_create" },
	{ { { "__brk", LIBC }, { "main", PROG } }, 1, 0, NULL },
	/* An allocator that nobody calls but libraries. */
	{ { { "malloc", LIBC }, { "__libc_start_main", LIBC } }, 1, 0, "malloc" },
	/* The loader at the start. */
	{ { { "__GI___brk", LIBC }, { "brk", LIBC }, { "_dl_map_segment", LIBC }, { "_dl_start", LIBC } },
	  2,
	  -1,
	  NULL },
	{ { { "brk", LIBC } }, 0, -1, NULL },
	/* The chain ends in the allocator. */
	{ { { "malloc", LIBC } }, -1, 0, "malloc" },
	{ { { "alloc::alloc::alloc", PROG }, { "<alloc::vec::Vec<T>>::push", PROG }, { "app::run", PROG } },
	  2,
	  0,
	  "alloc::alloc::alloc" },
};

static void test_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(named_cases) / sizeof(named_cases[0]); i++) {
		const struct named_case *named = &named_cases[i];
		struct frame frames[8] = { { 0 } };
		struct event_change change = { .cause = CAUSE_SYSCALL, .name = "brk", .stack = frames };
		struct callsite site;

		for (unsigned int j = 0; j < 8 && named->frames[j].object; j++) {
			frames[j].symbol = named->frames[j].symbol;
			frames[j].object = named->frames[j].object;
			change.stack_len = j + 1;
		}
		callsite_find(&change, &site);
		assert_ptr_equal(site.caller, named->caller < 0 ? NULL : &frames[named->caller]);
		assert_ptr_equal(site.entry, named->entry < 0 ? NULL : &frames[named->entry]);
		if (named->shown)
			assert_string_equal(callsite_entry_name(&change, &site), named->shown);
		else
			assert_null(callsite_entry_name(&change, &site));
	}
}

static void test_no_stack(void **state)
{
	const struct event_change change = { .count = 1 };
	const struct frame other = { 0 };
	struct callsite site = { &other, &other };

	(void)state;
	callsite_find(&change, &site);
	assert_null(site.caller);
	assert_null(site.entry);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sites),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_named),
		cmocka_unit_test(test_no_stack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
