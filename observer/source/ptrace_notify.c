/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/ptrace_notify.h"

#include "source/ptrace_seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Linux 5.19 and 6.6; headers may be older. */
#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS	   SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

#define FILTER_FLAGS \
	(SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_SPEC_ALLOW | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)

/* What the child says is the length of a write to descriptor -1, which fails: a word in the upper half, a descriptor in the
 * lower one. The answer is written to where its buffer is. */
#define SAYS_PROBE 0x4854505200000000u
#define SAYS_TAKE  0x4854544b00000000u
#define SAYS_MASK  0xffffffff00000000u

/* Flags of mmap that make no difference to what is mapped, and protections that are not execution. */
#define FLAGS_IDLE (MAP_NORESERVE | MAP_STACK)
#define PROT_PLAIN (PROT_READ | PROT_WRITE)

/* The kernel's own structures may have grown. */
#define RECORD_MAX 256

static struct sock_filter statement(uint16_t code, uint32_t k)
{
	return (struct sock_filter)BPF_STMT(code, k);
}

static struct sock_filter load(uint32_t at)
{
	return statement(BPF_LD | BPF_W | BPF_ABS, at);
}

/* The half of an argument; the low one comes first on both architectures, which are little-endian. */
static struct sock_filter load_argument(unsigned int arg, bool high)
{
	return load((uint32_t)offsetof(struct seccomp_data, args) + 8 * arg + (high ? 4 : 0));
}

static struct sock_filter jump_if_equal(uint32_t k, unsigned int yes, unsigned int no)
{
	return (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, k, (uint8_t)yes, (uint8_t)no);
}

/* A tracer that stops at the calls of other architectures has their numbers to itself. */
unsigned int notify_filter(struct sock_filter out[static NOTIFY_FILTER_MAX])
{
	/* Of mmap: a half of an argument, under a mask, has to have a value. */
	static const struct {
		unsigned int arg;
		bool high;
		uint32_t mask, value;
	} conditions[] = {
		{ 3, false, ~(uint32_t)FLAGS_IDLE, MAP_PRIVATE | MAP_ANONYMOUS },
		{ 2, false, ~(uint32_t)PROT_PLAIN, 0 },
		{ 0, false, 0xffffffff, 0 },
		{ 0, true, 0xffffffff, 0 },
		{ 5, false, 0xffffffff, 0 },
	};
	const unsigned int count = sizeof(conditions) / sizeof(conditions[0]);
	unsigned int n = 0, pass = 6 + 3 * count, notify = pass + 1;

	out[n++] = load(offsetof(struct seccomp_data, arch));
	out[n] = jump_if_equal(PTRACE_NATIVE_ARCH, 0, pass - n - 1);
	n++;
	out[n++] = load(offsetof(struct seccomp_data, nr));
	out[n] = jump_if_equal(SYS_munmap, notify - n - 1, 0);
	n++;
	out[n] = jump_if_equal(SYS_brk, notify - n - 1, 0);
	n++;
	out[n] = jump_if_equal(SYS_mmap, 0, pass - n - 1);
	n++;
	for (unsigned int i = 0; i < count; i++) {
		out[n++] = load_argument(conditions[i].arg, conditions[i].high);
		out[n++] = statement(BPF_ALU | BPF_AND | BPF_K, conditions[i].mask);
		out[n] = jump_if_equal(conditions[i].value, i + 1 < count ? 0 : notify - n - 1, pass - n - 1);
		n++;
	}
	out[n++] = statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	out[n++] = statement(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
	return n;
}

bool notify_is_handshake(const struct ptrace_entry *entry)
{
	uint64_t word = entry->args[2] & SAYS_MASK;

	return entry->arch == PTRACE_NATIVE_ARCH && entry->nr == SYS_write && (int32_t)entry->args[0] == -1 &&
	       (word == SAYS_PROBE || word == SAYS_TAKE);
}

#ifdef __x86_64__

/* Says @word of descriptor @fd. Whether the tracer answers that it could take it, or has. */
static bool say(uint64_t word, int fd)
{
	volatile uint64_t answer = 0;

	syscall(SYS_write, -1, &answer, word | (uint32_t)fd);
	return answer == word;
}

static int listener_new(void)
{
	struct sock_filter filter[NOTIFY_FILTER_MAX];
	struct sock_fprog program = { .len = (unsigned short)notify_filter(filter), .filter = filter };

	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, FILTER_FLAGS, &program);
}

int notify_in_child(void)
{
	struct seccomp_notif_sizes sizes;
	int fd = eventfd(0, EFD_CLOEXEC), err = 0;
	bool usable = fd >= 0 && say(SAYS_PROBE, fd);

	if (fd >= 0)
		close(fd);
	if (!usable || syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) || sizes.seccomp_notif > RECORD_MAX ||
	    sizes.seccomp_notif_resp > RECORD_MAX)
		return 0;
	/* EBUSY: somebody else listens already, as the manager of a container may. EINVAL: the kernel is older. */
	fd = listener_new();
	if (fd < 0)
		return 0;
	if (!say(SAYS_TAKE, fd))
		err = -EIO;
	close(fd);
	return err;
}

#else

int notify_in_child(void)
{
	return 0;
}

#endif

/* A copy of descriptor @fd of process @pid, or -1. */
static int fd_take(pid_t pid, int fd)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), taken = -1;

	if (pidfd < 0)
		return -1;
	taken = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	close(pidfd);
	return taken;
}

int notify_shake_hands(pid_t tid, const struct ptrace_entry *entry)
{
	uint64_t word = entry->args[2] & SAYS_MASK;
	int fd = fd_take(tid, (int)(uint32_t)entry->args[2]);

	if (fd < 0)
		return -1;
	if (ptrace(PTRACE_POKEDATA, tid, (void *)(uintptr_t)entry->args[1], (void *)(uintptr_t)word) ||
	    word != SAYS_TAKE) {
		close(fd);
		return -1;
	}
	/* Where the kernel cannot do that (before 6.6), a notification is no dearer than a stop. */
	(void)ioctl(fd, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
	return fd;
}

int notify_receive(int listener, struct notification *out)
{
	union {
		struct seccomp_notif notif;
		char bytes[RECORD_MAX];
	} record;

	memset(&record, 0, sizeof(record)); /* the kernel insists */
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &record))
		return errno == ENOENT || errno == EINTR ? -EAGAIN : -errno;
	*out = (struct notification){
		.id = record.notif.id,
		.tid = (pid_t)record.notif.pid,
		.entry = { .arch = record.notif.data.arch, .nr = (uint64_t)record.notif.data.nr },
	};
	memcpy(out->entry.args, record.notif.data.args, sizeof(out->entry.args));
	return 0;
}

int notify_answer(int listener, uint64_t id)
{
	union {
		struct seccomp_notif_resp resp;
		char bytes[RECORD_MAX];
	} record;

	memset(&record, 0, sizeof(record));
	record.resp.id = id;
	record.resp.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	while (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &record)) {
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

void notify_pass_all(int listener)
{
	struct pollfd fd = { .fd = listener, .events = POLLIN };
	struct notification notification = { 0 };

	while (poll(&fd, 1, 0) > 0 && fd.revents & POLLIN) {
		int err = notify_receive(listener, &notification);

		if (err == -EAGAIN)
			continue;
		if (err)
			break;
		(void)notify_answer(listener, notification.id);
	}
}
