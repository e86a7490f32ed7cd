/* SPDX-License-Identifier: GPL-2.0-only */
#include "report/calltext.h"

#include "event/memcalls.h"
#include "report/flagtext.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct textstyle plain = { .escape = ESCAPE_ASCII, .rule = "-", .arrow = "<-" };

struct call_case {
	const char *name;
	uint64_t args[6];
	int64_t ret;
	const char *text; /* the string argument */
	const char *expected;
};

static const struct call_case cases[] = {
	{ "mmap",
	  { 0, 2101248, 3, 0x22, UINT32_MAX, 0 },
	  0x7f12a0000000,
	  NULL,
	  "mmap(NULL, 2052 kB, rw, private|anon) = 0x7f12a0000000" },
	{ "mmap",
	  { 0x10000, 4096, 5, 0x812, 3, 0x26000 },
	  0x10000,
	  NULL,
	  "mmap(0x10000, 4 kB, rx, private|fixed|denywrite, fd 3, offset 152 kB) = 0x10000" },
	{ "mmap",
	  { 0, 1000, 0, 0x4022, 0xffffffffffffffff, 0 },
	  -ENOMEM,
	  NULL,
	  "mmap(NULL, 1000 B, none, private|anon|noreserve) = -1 ENOMEM (Cannot allocate memory)" },
	{ "mmap",
	  { 0, 0, 7, 0x21, 0, 0 },
	  -EINVAL,
	  NULL,
	  "mmap(NULL, 0 kB, rwx, shared|anon) = -1 EINVAL (Invalid argument)" },
	{ "mmap",
	  { 0, 2097152, 3, 0x40022 | 21u << 26, 0, 0 },
	  0x7f0000000000,
	  NULL,
	  "mmap(NULL, 2048 kB, rw, private|anon|hugetlb:2MB) = 0x7f0000000000" },
	{ "mmap",
	  { 0, 1073741824, 3, 0x40022 | 30u << 26, 0, 0 },
	  0x7f0000000000,
	  NULL,
	  "mmap(NULL, 1048576 kB, rw, private|anon|hugetlb:1GB) = 0x7f0000000000" },
	{ "mmap",
	  { 0, 4096, 0x1000003, 0x20130, 0, 0 },
	  0x7f0000000000,
	  NULL,
	  "mmap(NULL, 4 kB, rw|growsdown, anon|fixed|growsdown|stack) = 0x7f0000000000" },
	{ "mmap",
	  { 0, 4096, 0x100000f40, 0x800000000022, 0, 0 },
	  0x7f0000000000,
	  NULL,
	  "mmap(NULL, 4 kB, none|0x100000f40, private|anon|0x800000000000) = 0x7f0000000000" },
	{ "brk", { 0 }, 0x5581d2b00000, NULL, "brk(NULL) = 0x5581d2b00000" },
	{ "brk", { 0x5581d2b21000 }, 0x5581d2b21000, NULL, "brk(0x5581d2b21000) = 0x5581d2b21000" },
	{ "munmap", { 0x7f0000000000, 2147487744 }, 0, NULL, "munmap(0x7f0000000000, 2097156 kB) = 0" },
	{ "munmap",
	  { 0x7f0000000001, 2199023255552 },
	  -EINVAL,
	  NULL,
	  "munmap(0x7f0000000001, 2147483648 kB) = -1 EINVAL (Invalid argument)" },
	{ "mremap",
	  { 0x7f0000000000, 4096, 8192, 1, 0x1234 },
	  0x7f1000000000,
	  NULL,
	  "mremap(0x7f0000000000, 4 kB, 8 kB, maymove) = 0x7f1000000000" },
	{ "mremap",
	  { 0x7f0000000000, 4096, 8192, 3, 0x1000 },
	  0x1000,
	  NULL,
	  "mremap(0x7f0000000000, 4 kB, 8 kB, maymove|fixed, 0x1000) = 0x1000" },
	{ "mremap",
	  { 0x7f0000000000, 8192, 4096, 0, 0x1234 },
	  0x7f0000000000,
	  NULL,
	  "mremap(0x7f0000000000, 8 kB, 4 kB) = 0x7f0000000000" },
	{ "mprotect", { 0x7f0000000000, 4096, 1 }, 0, NULL, "mprotect(0x7f0000000000, 4 kB, r) = 0" },
	{ "pkey_mprotect",
	  { 0x1000, 4096, 3, 0xffffffff },
	  -EINVAL,
	  NULL,
	  "pkey_mprotect(0x1000, 4 kB, rw, -1) = -1 EINVAL (Invalid argument)" },
	{ "madvise", { 0x1000, 4096, 4 }, 0, NULL, "madvise(0x1000, 4 kB, dontneed) = 0" },
	{ "madvise", { 0x1000, 4096, 8 }, 0, NULL, "madvise(0x1000, 4 kB, free) = 0" },
	{ "madvise", { 0x1000, 4096, 25 }, 0, NULL, "madvise(0x1000, 4 kB, collapse) = 0" },
	{ "madvise", { 0x1000, 4096, 103 }, 0, NULL, "madvise(0x1000, 4 kB, guard_remove) = 0" },
	{ "madvise",
	  { 0x1000, 4096, 99 },
	  -EINVAL,
	  NULL,
	  "madvise(0x1000, 4 kB, 0x63) = -1 EINVAL (Invalid argument)" },
	{ "process_madvise",
	  { 5, 0x7ffc00000000, 2, 21, 0 },
	  8192,
	  NULL,
	  "process_madvise(fd 5, 0x7ffc00000000, 2, pageout, 0x0) = 8192" },
	{ "mlock", { 0x1000, 4096 }, -EPERM, NULL, "mlock(0x1000, 4 kB) = -1 EPERM (Operation not permitted)" },
	{ "mlock2", { 0x1000, 4096, 1 }, 0, NULL, "mlock2(0x1000, 4 kB, onfault) = 0" },
	{ "mlock2", { 0x1000, 4096, 0 }, 0, NULL, "mlock2(0x1000, 4 kB, 0) = 0" },
	{ "mlockall", { 7 }, 0, NULL, "mlockall(current|future|onfault) = 0" },
	{ "mlockall", { 8 }, -EINVAL, NULL, "mlockall(0x8) = -1 EINVAL (Invalid argument)" },
	{ "munlockall", { 0 }, 0, NULL, "munlockall() = 0" },
	{ "shmat",
	  { 42, 0, 0170000 },
	  0x7f0000000000,
	  NULL,
	  "shmat(42, NULL, rdonly|rnd|remap|exec) = 0x7f0000000000" },
	{ "shmdt", { 0x7f0000000000 }, 0, NULL, "shmdt(0x7f0000000000) = 0" },
	{ "remap_file_pages",
	  { 0x1000, 4096, 0, 1, 0x10000 },
	  0,
	  NULL,
	  "remap_file_pages(0x1000, 4 kB, none, 0x1, nonblock) = 0" },
	{ "mseal", { 0x1000, 4096, 0 }, 0, NULL, "mseal(0x1000, 4 kB, 0x0) = 0" },
	{ "execve", { 0x55, 0x66, 0x77 }, 0, "/bin/a \"b\"\n", "execve(\"/bin/a \\\"b\\\"\\n\", ...) = 0" },
	{ "execve", { 0x55, 0x66, 0x77 }, -ENOENT, NULL, "execve(?, ...) = -1 ENOENT (No such file or directory)" },
	{ "execveat",
	  { 0xffffff9c, 0x55, 0x66, 0x77, 0x1000 },
	  0,
	  "ls",
	  "execveat(cwd, \"ls\", 0x66, 0x77, 0x1000) = 0" },
	{ "fork", { 0 }, 1234, NULL, "fork() = 1234" },
	{ "clone",
	  { 0x1200011, 0, 0, 0x7f0000000a10, 0 },
	  1234,
	  NULL,
	  "clone(child_cleartid|child_settid|SIGCHLD, NULL, ...) = 1234" },
	{ "clone",
	  { 0x100, 0x7f0000010000, 0, 0, 0 },
	  -512,
	  NULL,
	  "clone(vm, 0x7f0000010000, ...) = -1 ERESTARTSYS (To be restarted if SA_RESTART is set)" },
	{ "clone", { 0x1f0, 0, 0, 0, 0 }, 5, NULL, "clone(vm|0xf0, NULL, ...) = 5" },
	{ "clone3", { 0x7ffc00000000, 88 }, 1235, NULL, "clone3(0x7ffc00000000, 88 B) = 1235" },
};

static void assert_call(const struct event_change *change, const char *expected)
{
	struct buf buf = { 0 };

	calltext_add(&buf, &plain, change);
	assert_string_equal(buf.data, expected);
	buf_free(&buf);
}

static void test_calls(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct event_change change = {
			.cause = CAUSE_SYSCALL,
			.name = cases[i].name,
			.call = memcall_by_name(cases[i].name),
			.ret = cases[i].ret,
			.has_ret = true,
			.text = cases[i].text,
			.count = 1,
		};

		assert_non_null(change.call);
		memcpy(change.args, cases[i].args, sizeof(change.args));
		assert_call(&change, cases[i].expected);
		assert_int_equal(calltext_failed(&change), strstr(cases[i].expected, " = -1 ") != NULL);
	}
}

/* Every memory call of the table is in the cases above, so that a new one comes with its text. */
static void test_every_call_has_a_case(void **state)
{
	(void)state;
	for (unsigned int i = 0; memcall_at(i); i++) {
		const char *name = memcall_at(i)->name;
		bool found = !strcmp(name, "vfork") || !strcmp(name, "munlock") || !strcmp(name, "map_shadow_stack") ||
			     !strcmp(name, "process_mrelease"); /* the same as another */

		for (size_t j = 0; j < sizeof(cases) / sizeof(cases[0]); j++)
			found |= !strcmp(cases[j].name, name);
		assert_true(found);
	}
}

static void test_other_calls(void **state)
{
	struct event_change change = {
		.cause = CAUSE_SYSCALL, .name = "read", .ret = 65536, .has_ret = true, .count = 1
	};

	(void)state;
	assert_call(&change, "read(...) = 65536");
	change.has_ret = false;
	assert_call(&change, "read(...) = ?");
	change.ret = -4096; /* no error: beyond MAX_ERRNO */
	change.has_ret = true;
	assert_call(&change, "read(...) = -4096");
	change.call = memcall_by_name("mmap");
	change.name = "mmap";
	change.count = 300;
	assert_call(&change, "mmap(...)");
}

static void test_color(void **state)
{
	const struct textstyle color = { .escape = ESCAPE_ASCII, .color = true, .rule = "-", .arrow = "<-" };
	struct event_change change = {
		.name = "munlockall", .call = memcall_by_name("munlockall"), .ret = -EPERM, .has_ret = true, .count = 1
	};
	struct buf buf = { 0 };

	(void)state;
	calltext_add(&buf, &color, &change);
	assert_string_equal(buf.data, "munlockall() = \033[31m-1 EPERM (Operation not permitted)\033[0m");
	buf_free(&buf);
}

static void test_all_bits(void **state)
{
	static const struct {
		enum arg_role role;
		uint64_t value;
		const char *expected;
	} bits[] = {
		{ ARG_PROT, 0, "none" },
		{ ARG_PROT, 2, "w" },
		{ ARG_PROT, 4, "x" },
		{ ARG_PROT, 6, "wx" },
		{ ARG_PROT, 0x2000000, "none|growsup" },
		{ ARG_MAPFLAGS, 0, "0" },
		{ ARG_MAPFLAGS, 3, "shared_validate" },
		{ ARG_MAPFLAGS, 8, "droppable" },
		{ ARG_MAPFLAGS, 4, "0x4" },
		{ ARG_MAPFLAGS, 0x1FF932 & ~0x40000u,
		  "private|anon|fixed|growsdown|denywrite|executable|locked|noreserve|populate|nonblock|stack|sync|"
		  "fixed_noreplace" },
		{ ARG_MAPFLAGS, 0x40002, "private|hugetlb" },
		{ ARG_MAPFLAGS, 0x4000022, "private|anon|uninitialized" },
		{ ARG_MAPFLAGS, 0x40001 | 16u << 26, "shared|hugetlb:64kB" },
		{ ARG_REMAPFLAGS, 15, "maymove|fixed|dontunmap|0x8" },
		{ ARG_MLOCKFLAGS, 3, "onfault|0x2" },
		{ ARG_SHMFLAGS, 0, "0" },
		{ ARG_CLONEFLAGS, 0x3d0f00, "vm|fs|files|sighand|thread|sysvsem|settls|parent_settid|child_cleartid" },
		{ ARG_CLONEFLAGS, 17, "SIGCHLD" },
		{ ARG_ADVICE, 0, "normal" },
		{ ARG_ADVICE, 5, "0x5" },
		{ ARG_ADVICE, UINT64_MAX, "0xffffffff" },
	};
	struct buf buf = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
		buf_reset(&buf);
		assert_true(flagtext_add(&buf, bits[i].role, bits[i].value));
		assert_string_equal(buf.data, bits[i].expected);
	}
	buf_reset(&buf);
	assert_false(flagtext_add(&buf, ARG_ADDR, 1));
	assert_int_equal(buf.len, 0);
	buf_free(&buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls),	    cmocka_unit_test(test_every_call_has_a_case),
		cmocka_unit_test(test_other_calls), cmocka_unit_test(test_color),
		cmocka_unit_test(test_all_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
