/* SPDX-License-Identifier: GPL-2.0-only */
#include "event/memcalls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include <cmocka.h>

/* Names of the manual pages, but for mmap's, which are fixed; one line a call. */
static const struct {
	const char *name, *args;
} expected[] = {
	{ "brk", "addr" },
	{ "mmap", "addr,len,prot,flags,fd,off" },
	{ "munmap", "addr,len" },
	{ "mremap", "old_address,old_size,new_size,flags,new_address" },
	{ "mprotect", "addr,len,prot" },
	{ "pkey_mprotect", "addr,len,prot,pkey" },
	{ "madvise", "addr,length,advice" },
	{ "process_madvise", "pidfd,iovec,vlen,advice,flags" },
	{ "mlock", "addr,len" },
	{ "mlock2", "addr,len,flags" },
	{ "munlock", "addr,len" },
	{ "mlockall", "flags" },
	{ "munlockall", "" },
	{ "shmat", "shmid,shmaddr,shmflg" },
	{ "shmdt", "shmaddr" },
	{ "remap_file_pages", "addr,size,prot,pgoff,flags" },
	{ "map_shadow_stack", "addr,size,flags" },
	{ "mseal", "addr,len,flags" },
	{ "process_mrelease", "pidfd,flags" },
	{ "execve", "pathname,argv,envp" },
	{ "execveat", "dirfd,pathname,argv,envp,flags" },
	{ "fork", "" },
	{ "vfork", "" },
#ifdef __aarch64__
	{ "clone", "flags,stack,parent_tid,tls,child_tid" },
#else
	{ "clone", "flags,stack,parent_tid,child_tid,tls" },
#endif
	{ "clone3", "cl_args,size" },
};

#define EXPECTED (sizeof(expected) / sizeof(expected[0]))

static void test_argument_names(void **state)
{
	(void)state;
	for (size_t i = 0; i < EXPECTED; i++) {
		const struct memcall *call = memcall_by_name(expected[i].name);
		char args[128] = "";

		assert_non_null(call);
		for (unsigned int j = 0; j < 6 && call->args[j].role != ARG_NONE; j++) {
			strcat(args, j ? "," : "");
			strcat(args, call->args[j].name);
		}
		assert_string_equal(args, expected[i].args);
	}
}

static void test_walk_has_every_call_once(void **state)
{
	unsigned int index = 0;
	size_t known = 0;

	(void)state;
	for (size_t i = 0; i < EXPECTED; i++)
		known += memcall_by_name(expected[i].name)->nr >= 0;
	for (; memcall_at(index); index++) {
		const struct memcall *call = memcall_at(index);

		assert_true(call->nr >= 0);
		assert_ptr_equal(memcall_by_nr(call->nr), call);
		assert_ptr_equal(memcall_by_name(call->name), call);
		assert_string_equal(syscall_name(call->nr), call->name);
		assert_true(call->flags != 0);
	}
	assert_int_equal(index, known);
}

static void test_numbers(void **state)
{
	(void)state;
	assert_string_equal(memcall_by_nr(SYS_mmap)->name, "mmap");
	assert_string_equal(memcall_by_nr(SYS_munmap)->name, "munmap");
	assert_null(memcall_by_nr(SYS_read));
	assert_null(memcall_by_nr(-1));
	assert_null(memcall_by_nr(511));
	assert_null(memcall_by_nr(512));
	assert_null(memcall_by_nr(1 << 30));
	assert_null(memcall_by_name("read"));
}

static void test_effects(void **state)
{
	(void)state;
	assert_int_equal(memcall_by_name("mmap")->flags, MEMCALL_MAP | MEMCALL_RSS);
	assert_int_equal(memcall_by_name("mprotect")->flags, MEMCALL_PROT);
	assert_int_equal(memcall_by_name("madvise")->flags, MEMCALL_RSS);
	assert_int_equal(memcall_by_name("process_madvise")->flags, MEMCALL_RSS | MEMCALL_OTHER);
	assert_int_equal(memcall_by_name("clone3")->flags, MEMCALL_LIFE);
	assert_int_equal(memcall_by_name("brk")->ret, RET_ADDR);
	assert_int_equal(memcall_by_name("munmap")->ret, RET_ZERO);
	assert_int_equal(memcall_by_name("process_madvise")->ret, RET_COUNT);
	assert_int_equal(memcall_by_name("clone")->ret, RET_PID);
}

static void test_syscall_names(void **state)
{
	char name[32];

	(void)state;
	assert_string_equal(syscall_name(SYS_read), "read");
	assert_string_equal(syscall_name(SYS_openat), "openat");
	assert_string_equal(syscall_name(SYS_io_uring_enter), "io_uring_enter");
	/* Newer than some headers. */
	assert_string_equal(syscall_name(462), "mseal");
	assert_string_equal(syscall_name(9999), "syscall_9999");
	assert_ptr_equal(syscall_name(9999), syscall_name(9999));
	assert_string_equal(syscall_name(-3), "syscall_-3");
	/* A target that makes up numbers does not fill the memory. */
	for (int nr = 10000; nr < 20000; nr++) {
		snprintf(name, sizeof(name), "syscall_%d", nr);
		if (strcmp(syscall_name(nr), name) != 0)
			break;
	}
	assert_string_equal(syscall_name(19999), "syscall_unknown");
	assert_string_equal(syscall_name(9999), "syscall_9999");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_argument_names), cmocka_unit_test(test_walk_has_every_call_once),
		cmocka_unit_test(test_numbers),	       cmocka_unit_test(test_effects),
		cmocka_unit_test(test_syscall_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
