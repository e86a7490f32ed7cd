/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/ptrace_seccomp.h"

#include "event/memcalls.h"
#include "source/ptrace_notify.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define X32_FIRST 0x40000000u /* calls of x32 have the architecture of x86-64 and numbers from here on */
#define STOP	  (SECCOMP_RET_TRACE | PTRACE_SECCOMP_MARK)

/* ioctls of userfaultfd, which fill pages, have 0xAA for their type: _IOWR(0xAA, ...) */
#define IOCTL_TYPE_MASK 0xff00u
#define IOCTL_TYPE_UFFD 0xaa00u

/* The tracer may need a moment, and under Yama the permission that this child gives it. */
#define TRACER_WAIT_MS 10000

/* Calls that are none of the memory calls, but change what is mapped or resident. */
static const int stray_calls[] = {
	SYS_truncate, SYS_ftruncate, SYS_fallocate, SYS_io_setup, SYS_io_destroy,
#ifdef SYS_creat
	SYS_creat,
#endif
};

/* Calls that stop if the low half of one argument, under a mask, has a value. */
static const struct {
	int nr;
	unsigned int arg;
	uint32_t mask, value;
} argument_calls[] = {
	{ SYS_write, 0, 0xffffffff, 0xffffffff }, /* a mark goes to descriptor -1 */
	{ SYS_prctl, 0, 0xffffffff, PR_SET_NAME },
	{ SYS_ioctl, 1, IOCTL_TYPE_MASK, IOCTL_TYPE_UFFD },
	{ SYS_openat, 2, O_TRUNC, O_TRUNC },
	{ SYS_seccomp, 1, SECCOMP_FILTER_FLAG_NEW_LISTENER, SECCOMP_FILTER_FLAG_NEW_LISTENER },
#ifdef SYS_open
	{ SYS_open, 1, O_TRUNC, O_TRUNC },
#endif
};

#define STRAY_CALLS    (sizeof(stray_calls) / sizeof(stray_calls[0]))
#define ARGUMENT_CALLS (sizeof(argument_calls) / sizeof(argument_calls[0]))

/* Each of these takes four instructions at the filter's end: load, mask, compare, pass. */
#define ARGUMENT_LEN 4

static struct sock_filter statement(uint16_t code, uint32_t k)
{
	return (struct sock_filter)BPF_STMT(code, k);
}

static struct sock_filter jump_if_equal(uint32_t k, unsigned int yes, unsigned int no)
{
	return (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, k, (uint8_t)yes, (uint8_t)no);
}

/*
 *   architecture, number
 *   one comparison for each call that always stops        -> stop
 *   one comparison for each call that may stop            -> its block
 *   pass
 *   blocks: load the argument, mask, compare (-> stop), pass
 *   stop
 */
unsigned int ptrace_seccomp_filter(struct sock_filter out[static PTRACE_SECCOMP_MAX])
{
	unsigned int calls = STRAY_CALLS, n = 0, blocks, stop;

	while (memcall_at(calls - STRAY_CALLS))
		calls++;
	blocks = 4 + calls + ARGUMENT_CALLS + 1;
	stop = blocks + ARGUMENT_LEN * ARGUMENT_CALLS;
	out[n++] = statement(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
	out[n] = jump_if_equal(PTRACE_NATIVE_ARCH, 0, stop - n - 1);
	n++;
	out[n++] = statement(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	out[n] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_FIRST, (uint8_t)(stop - n - 1), 0);
	n++;
	for (unsigned int i = 0; i < calls; i++, n++) {
		int nr = i < STRAY_CALLS ? stray_calls[i] : memcall_at(i - STRAY_CALLS)->nr;

		out[n] = jump_if_equal((uint32_t)nr, stop - n - 1, 0);
	}
	for (unsigned int i = 0; i < ARGUMENT_CALLS; i++, n++)
		out[n] = jump_if_equal((uint32_t)argument_calls[i].nr, blocks + ARGUMENT_LEN * i - n - 1, 0);
	out[n++] = statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	for (unsigned int i = 0; i < ARGUMENT_CALLS; i++) {
		/* The low half comes first on both architectures, which are little-endian. */
		out[n++] = statement(BPF_LD | BPF_W | BPF_ABS,
				     (uint32_t)offsetof(struct seccomp_data, args) + 8 * argument_calls[i].arg);
		out[n++] = statement(BPF_ALU | BPF_AND | BPF_K, argument_calls[i].mask);
		out[n] = jump_if_equal(argument_calls[i].value, stop - n - 1, 0);
		n++;
		out[n++] = statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	}
	out[n++] = statement(BPF_RET | BPF_K, STOP);
	return n;
}

bool ptrace_seccomp_is_stray(int nr)
{
	for (unsigned int i = 0; i < STRAY_CALLS; i++) {
		if (stray_calls[i] == nr)
			return true;
	}
	return false;
}

bool ptrace_seccomp_wants_listener(const struct ptrace_entry *entry)
{
	return entry->arch == PTRACE_NATIVE_ARCH && entry->nr == SYS_seccomp &&
	       entry->args[0] == SECCOMP_SET_MODE_FILTER && entry->args[1] & SECCOMP_FILTER_FLAG_NEW_LISTENER;
}

/* Whether /proc/self/status names a tracer; stdio is not async-signal-safe. */
static bool is_traced(void)
{
	char text[4096], *at;
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	ssize_t got;

	if (fd < 0)
		return false;
	got = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[got > 0 ? got : 0] = '\0';
	at = strstr(text, "\nTracerPid:\t");
	return at && at[12] != '0';
}

/* Waits until this process is traced. False where that does not come. */
static bool tracer_wait(void)
{
	const struct timespec moment = { .tv_nsec = 1000000 };

	/* Yama lets only ancestors trace; the tracer is a sibling. Where there is no Yama this fails, and is not needed. */
	prctl(PR_SET_PTRACER, (unsigned long)getppid(), 0, 0, 0);
	for (int i = 0; i < TRACER_WAIT_MS && !is_traced(); i++)
		nanosleep(&moment, NULL);
	return is_traced();
}

/* Whether the filter is on. */
static bool filter_put_on(void)
{
	struct sock_filter filter[PTRACE_SECCOMP_MAX];
	struct sock_fprog program = { .len = (unsigned short)ptrace_seccomp_filter(filter), .filter = filter };

	/* SPEC_ALLOW: a filter must not slow the target down by mitigations that it did not ask for. */
	if (!syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program))
		return true;
	return errno == EACCES && !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
	       !syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program);
}

int ptrace_seccomp_in_child(void)
{
	if (tracer_wait())
		(void)filter_put_on();
	return 0;
}

int ptrace_seccomp_in_child_notifying(void)
{
	return tracer_wait() && filter_put_on() ? notify_in_child() : 0;
}

int ptrace_seccomp_in_child_without(void)
{
	(void)tracer_wait();
	return 0;
}
