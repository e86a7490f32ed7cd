/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/ptrace_restart.h"

#include "base/procfs.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>

bool restart_is_due(int64_t nr, int64_t ret)
{
	/* Sockets are among them for their timeouts: without one they are restarted by the kernel. */
	static const short calls[] = {
		SYS_epoll_pwait, SYS_semop, SYS_semtimedop, SYS_rt_sigtimedwait, SYS_io_getevents, SYS_io_pgetevents,
		SYS_read,	 SYS_readv, SYS_recvfrom,   SYS_recvmsg,	 SYS_recvmmsg,	   SYS_accept,
		SYS_accept4,	 SYS_write, SYS_writev,	    SYS_sendto,		 SYS_sendmsg,	   SYS_epoll_pwait2,
#ifdef SYS_epoll_wait
		SYS_epoll_wait,
#endif
	};

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		if (calls[i] == nr)
			return ret == -EINTR;
	}
	return false;
}

#ifdef __x86_64__

#define SYSCALL_BYTES 2 /* of the instructions syscall, sysenter and int $0x80 */

/* The bits of a line "NAME:\t%016x" of /proc/PID/status. */
static uint64_t signal_set(const struct buf *status, const char *name)
{
	const char *at = strstr(status->data, name);

	return at ? strtoull(at + strlen(name), NULL, 16) : 0;
}

/* Whether a signal waits for @tid that is neither blocked nor ignored; then the call ends rightly. */
static bool signal_waits(pid_t tid)
{
	struct buf status = { 0 };
	uint64_t waiting = 1;

	if (!procfs_read(tid, "status", &status))
		waiting = (signal_set(&status, "\nSigPnd:\t") | signal_set(&status, "\nShdPnd:\t")) &
			  ~signal_set(&status, "\nSigBlk:\t") & ~signal_set(&status, "\nSigIgn:\t");
	buf_free(&status);
	return waiting;
}

bool restart_cut_call(pid_t tid)
{
	struct user_regs_struct regs;

	/* Outside a call orig_rax is negative. */
	if (ptrace(PTRACE_GETREGS, tid, 0, &regs) || !restart_is_due((int64_t)regs.orig_rax, (int64_t)regs.rax) ||
	    signal_waits(tid))
		return false;
	regs.rax = regs.orig_rax;
	regs.rip -= SYSCALL_BYTES;
	return !ptrace(PTRACE_SETREGS, tid, 0, &regs);
}

#define CS_64_BITS  0x33 /* the selector of 64-bit code */
#define RESTART_SYS 512	 /* ERESTARTSYS of include/linux/errno.h: EINTR for a handler without SA_RESTART */
#define RESTART_ALL 513	 /* ERESTARTNOINTR: made again whatever the handler says */

/* Whether the call in @regs is one of those of notify_filter(). */
static bool is_notified(const struct user_regs_struct *regs)
{
	return regs->cs == CS_64_BITS && (regs->orig_rax == SYS_munmap || regs->orig_rax == SYS_brk ||
					  (regs->orig_rax == SYS_mmap && regs->r10 & MAP_ANONYMOUS));
}

bool restart_notified(pid_t tid, struct ptrace_entry *out)
{
	struct user_regs_struct regs;
	int64_t ret;

	if (ptrace(PTRACE_GETREGS, tid, 0, &regs) || !is_notified(&regs))
		return false;
	ret = (int64_t)regs.rax;
	if (ret != -RESTART_SYS && ret != -RESTART_ALL)
		return false;
	*out = (struct ptrace_entry){
		.arch = PTRACE_NATIVE_ARCH,
		.nr = regs.orig_rax,
		.args = { regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9 },
	};
	regs.rax = (uint64_t)-RESTART_ALL;
	return ret == -RESTART_ALL || !ptrace(PTRACE_SETREGS, tid, 0, &regs);
}

bool restart_result(pid_t tid, int64_t *ret)
{
	struct user_regs_struct regs;

	if (ptrace(PTRACE_GETREGS, tid, 0, &regs))
		return false;
	*ret = (int64_t)regs.rax;
	return true;
}

bool restart_undo(pid_t tid, int signal)
{
	struct buf status = { 0 };
	struct user_regs_struct regs;
	bool caught = !procfs_read(tid, "status", &status) && signal_set(&status, "\nSigCgt:\t") >> (signal - 1) & 1;

	buf_free(&status);
	if (!caught || ptrace(PTRACE_GETREGS, tid, 0, &regs))
		return false;
	regs.rax = (uint64_t)-EINTR;
	regs.rip += SYSCALL_BYTES;
	return !ptrace(PTRACE_SETREGS, tid, 0, &regs);
}

#else

bool restart_cut_call(pid_t tid)
{
	(void)tid;
	return false;
}

bool restart_notified(pid_t tid, struct ptrace_entry *out)
{
	(void)tid;
	(void)out;
	return false;
}

bool restart_result(pid_t tid, int64_t *ret)
{
	(void)tid;
	(void)ret;
	return false;
}

bool restart_undo(pid_t tid, int signal)
{
	(void)tid;
	(void)signal;
	return false;
}

#endif
