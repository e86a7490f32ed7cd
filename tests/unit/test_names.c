/* SPDX-License-Identifier: GPL-2.0-only */
#include "tests/unit/names_live.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/auxv.h>

#include <cmocka.h>

#define DEPTH 64

static unsigned int __attribute__((noinline)) take(struct frame *out)
{
	void *addrs[DEPTH];
	int count = backtrace(addrs, DEPTH);

	for (int i = 0; i < count; i++)
		out[i] = (struct frame){ .addr = (uintptr_t)addrs[i] };
	return (unsigned int)count;
}

static inline unsigned int __attribute__((always_inline)) names_inner(struct frame *out)
{
	unsigned int count = take(out);

	__asm__ volatile("" ::: "memory");
	return count;
}

static unsigned int __attribute__((noinline)) names_outer(struct frame *out)
{
	unsigned int count = names_inner(out);

	__asm__ volatile("" ::: "memory");
	return count;
}

/* The @index-th line of the last call chain. */
static const char *line_of(const struct names_live *live, unsigned int index)
{
	static char line[2048];
	const char *at = strstr(live->text, "take 0x"); /* a sanitiser may have frames of its own before */

	while (index-- && at)
		at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL;
	snprintf(line, sizeof(line), "%.*s", at ? (int)strcspn(at, "\n") : 0, at ? at : "");
	return line;
}

static void assert_begins(const char *text, const char *beginning)
{
	if (strncmp(text, beginning, strlen(beginning)) != 0)
		fail_msg("\"%s\" does not begin with \"%s\"", text, beginning);
}

static void assert_holds(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" does not hold \"%s\"", text, part);
}

/* This process's own call chain: exact lines, an inlined function, the C library, and the same again from memory. */
static void test_own(void **state)
{
	struct names_live live = { NULL };
	struct frame frames[DEPTH];
	unsigned int count = names_outer(frames);
	uint64_t id;

	(void)state;
	assert_int_equal(names_live_open(&live, getpid()), 0);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(names_live_row(&live, frames, count), 0);
		assert_begins(line_of(&live, 0), "take 0x");
		assert_holds(line_of(&live, 0), " test_names.c:");
		assert_holds(line_of(&live, 0), "/test_names");
		assert_begins(line_of(&live, 1), "names_inner 0 test_names.c:");
		assert_holds(line_of(&live, 1), " [inlined]");
		assert_begins(line_of(&live, 2), "names_outer 0x");
		assert_begins(line_of(&live, 3), "test_own 0x");
		assert_holds(live.text, "\nmain 0x");
		assert_holds(live.text, "libc.so.6\n");
		assert_int_not_equal(live.stack_id, 0);
		if (i)
			assert_int_equal(live.stack_id, id);
		id = live.stack_id;
	}
	names_live_close(&live);
}

/* Addresses that no object holds, a chain without end, and the vDSO. */
static void test_elsewhere(void **state)
{
	struct names_live live = { NULL };
	struct frame frames[] = { { .addr = 16 }, { .addr = 0 }, { .addr = UINT64_MAX }, { .addr = (uintptr_t)&live } };
	void *vdso = (void *)getauxval(AT_SYSINFO_EHDR);
	const ElfW(Ehdr) *head = vdso;

	(void)state;
	assert_int_equal(names_live_open(&live, getpid()), 0);
	assert_int_equal(names_live_row(&live, frames, 4), 0);
	assert_string_equal(live.text, "? 0 ?:0 ?\n? 0 ?:0 ?\n? 0 ?:0 ?\n? 0 ?:0 [stack]\n");
	if (head) {
		frames[0] = (struct frame){ .addr = (uintptr_t)dlsym(dlopen("linux-vdso.so.1", RTLD_LAZY | RTLD_NOLOAD),
								     "__vdso_clock_gettime"),
					    .exact = true };
		if (!frames[0].addr)
			frames[0].addr = (uintptr_t)vdso + head->e_entry;
		assert_int_equal(names_live_row(&live, frames, 1), 0);
		assert_holds(live.text, "[vdso]");
	}
	names_live_close(&live);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own),
		cmocka_unit_test(test_elsewhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
