/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/ptrace_seccomp.h"

#include "event/memcalls.h"
#include "source/ptrace_notify.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#if defined(__x86_64__)
#define NATIVE	AUDIT_ARCH_X86_64
#define FOREIGN AUDIT_ARCH_I386
#else
#define NATIVE	AUDIT_ARCH_AARCH64
#define FOREIGN AUDIT_ARCH_ARM
#endif

#define STOP (SECCOMP_RET_TRACE | PTRACE_SECCOMP_MARK)

static struct sock_filter filter[PTRACE_SECCOMP_MAX];
static unsigned int filter_len;

static struct sock_filter notifying[NOTIFY_FILTER_MAX];

/* Carries out the filter as the kernel does, for the instructions that it uses; anything else fails the test. */
static uint32_t filter_run(const struct sock_filter *steps, unsigned int len, const struct seccomp_data *data)
{
	uint32_t value = 0;

	for (unsigned int at = 0; at < len; at++) {
		const struct sock_filter *step = &steps[at];

		switch (step->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			assert_true(step->k % 4 == 0 && step->k + 4 <= sizeof(*data));
			memcpy(&value, (const char *)data + step->k, sizeof(value));
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			value &= step->k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			at += value == step->k ? step->jt : step->jf;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			at += value >= step->k ? step->jt : step->jf;
			break;
		case BPF_RET | BPF_K:
			return step->k;
		default:
			fail_msg("instruction %u: code %#x", at, step->code);
		}
	}
	fail_msg("the filter ends without a verdict");
	return 0;
}

static uint32_t verdict(uint32_t arch, int nr, uint64_t a, uint64_t b, uint64_t c)
{
	const struct seccomp_data data = { .arch = arch, .nr = nr, .args = { a, b, c } };

	return filter_run(filter, filter_len, &data);
}

static int setup(void **state)
{
	(void)state;
	filter_len = ptrace_seccomp_filter(filter);
	return filter_len && filter_len <= PTRACE_SECCOMP_MAX ? 0 : -1;
}

static void test_memory_calls_stop(void **state)
{
	const struct memcall *call;

	(void)state;
	for (unsigned int i = 0; (call = memcall_at(i)); i++)
		assert_int_equal(verdict(NATIVE, call->nr, 0, 0, 0), STOP);
	assert_int_equal(verdict(NATIVE, SYS_ftruncate, 3, 0, 0), STOP);
	assert_int_equal(verdict(NATIVE, SYS_io_setup, 1, 0, 0), STOP);
}

static void test_others_pass(void **state)
{
	static const int calls[] = { SYS_read,	    SYS_close,	     SYS_futex,
				     SYS_getpid,    SYS_exit_group,  SYS_rt_sigreturn,
				     SYS_nanosleep, SYS_epoll_pwait, SYS_restart_syscall };

	(void)state;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		assert_int_equal(verdict(NATIVE, calls[i], 0, 0, 0), SECCOMP_RET_ALLOW);
}

static void test_arguments_decide(void **state)
{
	(void)state;
	assert_int_equal(verdict(NATIVE, SYS_write, UINT64_MAX, 0, 0), STOP);
	assert_int_equal(verdict(NATIVE, SYS_write, 0xffffffff, 0, 0), STOP); /* an int in a register */
	assert_int_equal(verdict(NATIVE, SYS_write, 1, 0, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(verdict(NATIVE, SYS_prctl, PR_SET_NAME, 0, 0), STOP);
	assert_int_equal(verdict(NATIVE, SYS_prctl, PR_GET_NAME, 0, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(verdict(NATIVE, SYS_openat, 0, 0, O_WRONLY | O_CREAT | O_TRUNC), STOP);
	assert_int_equal(verdict(NATIVE, SYS_openat, 0, 0, O_RDONLY | O_CLOEXEC), SECCOMP_RET_ALLOW);
	assert_int_equal(verdict(NATIVE, SYS_ioctl, 3, 0xc028aa03 /* UFFDIO_COPY */, 0), STOP);
	assert_int_equal(verdict(NATIVE, SYS_ioctl, 3, 0x5413 /* TIOCGWINSZ */, 0), SECCOMP_RET_ALLOW);
#ifdef SYS_open
	assert_int_equal(verdict(NATIVE, SYS_open, 0, O_TRUNC, 0), STOP);
	assert_int_equal(verdict(NATIVE, SYS_open, 0, O_RDWR, O_TRUNC), SECCOMP_RET_ALLOW);
#endif
}

static void expect_notification(const struct seccomp_data *data, bool want)
{
	assert_int_equal(filter_run(notifying, notify_filter(notifying), data),
			 want ? SECCOMP_RET_USER_NOTIF : SECCOMP_RET_ALLOW);
}

/* Calls whose effect may be known without their exit. */
static void test_notifications(void **state)
{
	const struct seccomp_data plain = { .arch = NATIVE,
					    .nr = SYS_mmap,
					    .args = { 0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
						      UINT64_MAX, 0 } };
	static const uint64_t other_flags[] = { MAP_POPULATE, MAP_LOCKED,	   MAP_HUGETLB, MAP_GROWSDOWN,
						MAP_FIXED,    MAP_FIXED_NOREPLACE, MAP_32BIT };
	struct seccomp_data data = plain;
	const struct memcall *call;

	(void)state;
	assert_true(notify_filter(notifying) <= NOTIFY_FILTER_MAX);
	expect_notification(&data, true);
	data.args[2] = PROT_NONE;
	data.args[3] |= MAP_NORESERVE | MAP_STACK;
	expect_notification(&data, true);
	for (size_t i = 0; i < sizeof(other_flags) / sizeof(other_flags[0]); i++) {
		data = plain;
		data.args[3] |= other_flags[i];
		expect_notification(&data, false);
	}
	data = plain;
	data.args[3] = MAP_PRIVATE; /* a file */
	expect_notification(&data, false);
	data.args[3] = MAP_SHARED | MAP_ANONYMOUS;
	expect_notification(&data, false);
	data = plain;
	data.args[2] |= PROT_EXEC;
	expect_notification(&data, false);
	data = plain;
	data.args[0] = 4096;
	expect_notification(&data, false);
	data.args[0] = 1ull << 32;
	expect_notification(&data, false);
	data = plain;
	data.args[5] = 4096;
	expect_notification(&data, false);
	data = plain;
	data.arch = FOREIGN;
	expect_notification(&data, false);
	for (unsigned int i = 0; (call = memcall_at(i)); i++) {
		if (call->nr == SYS_mmap)
			continue;
		data = (struct seccomp_data){ .arch = NATIVE, .nr = call->nr };
		expect_notification(&data, call->nr == SYS_munmap || call->nr == SYS_brk);
		data.arch = FOREIGN;
		expect_notification(&data, false);
	}
}

static void test_listener_of_others(void **state)
{
	struct ptrace_entry entry = { .arch = NATIVE,
				      .nr = SYS_seccomp,
				      .args = { SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER } };

	(void)state;
	assert_int_equal(verdict(NATIVE, SYS_seccomp, entry.args[0], entry.args[1], 0), STOP);
	assert_true(ptrace_seccomp_wants_listener(&entry));
	entry.args[1] = SECCOMP_FILTER_FLAG_TSYNC;
	assert_int_equal(verdict(NATIVE, SYS_seccomp, entry.args[0], entry.args[1], 0), SECCOMP_RET_ALLOW);
	assert_false(ptrace_seccomp_wants_listener(&entry));
}

/* Their numbers mean something else: all of them stop. */
static void test_foreign_calls_stop(void **state)
{
	(void)state;
	for (int nr = 0; nr < 470; nr++)
		assert_int_equal(verdict(FOREIGN, nr, 0, 0, 0), STOP);
	assert_int_equal(verdict(NATIVE, 0x40000000 | SYS_read, 0, 0, 0), STOP);
}

static void test_strays(void **state)
{
	(void)state;
	assert_true(ptrace_seccomp_is_stray(SYS_ftruncate));
	assert_true(ptrace_seccomp_is_stray(SYS_io_destroy));
	assert_false(ptrace_seccomp_is_stray(SYS_read));
	assert_false(ptrace_seccomp_is_stray(SYS_mmap));
}

/* Without a tracer what stops fails with ENOSYS: so the kernel's own verdict can be seen. Exit status: the first that was not
 * as expected. */
static _Noreturn void probe_in_child(void)
{
	struct sock_fprog program = { .len = (unsigned short)filter_len, .filter = filter };
	int fds[2];

	if (pipe(fds) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		_exit(1);
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program))
		_exit(2);
	if (syscall(SYS_mmap, NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != -1 || errno != ENOSYS)
		_exit(3);
	if (syscall(SYS_write, -1, "heaptrace:x", 11) != -1 || errno != ENOSYS)
		_exit(4);
	if (write(fds[1], "x", 1) != 1)
		_exit(5);
	if (openat(AT_FDCWD, "/dev/null", O_RDONLY) < 0 || openat(AT_FDCWD, "/dev/null", O_WRONLY | O_TRUNC) != -1)
		_exit(6);
	if (prctl(PR_SET_NAME, "x") != -1 || errno != ENOSYS)
		_exit(7);
	_exit(0);
}

static void test_kernel_agrees(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	assert_true(pid >= 0);
	if (!pid)
		probe_in_child();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory_calls_stop),
		cmocka_unit_test(test_others_pass),
		cmocka_unit_test(test_arguments_decide),
		cmocka_unit_test(test_notifications),
		cmocka_unit_test(test_listener_of_others),
		cmocka_unit_test(test_foreign_calls_stop),
		cmocka_unit_test(test_strays),
		cmocka_unit_test(test_kernel_agrees),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
