/* SPDX-License-Identifier: GPL-2.0-only */
/* filter: the filter of the empty tracer and of the empty supervisor, which differ in what it answers for memory calls only. */
#ifndef HEAPTRACE_BENCH_FILTER_H
#define HEAPTRACE_BENCH_FILTER_H

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FILTER_CALLS 6

/* Puts a filter on this process that answers @action (SECCOMP_RET_*) for memory calls and lets all others pass; @flags are those of
 * seccomp(2) beside SPEC_ALLOW. What seccomp(2) returns, or -1. */
static inline int filter_set(uint32_t action, unsigned long flags)
{
	static const int calls[FILTER_CALLS] = { SYS_mmap, SYS_munmap, SYS_mremap, SYS_mprotect, SYS_madvise, SYS_brk };
	struct sock_filter filter[FILTER_CALLS + 3] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
								 offsetof(struct seccomp_data, nr)) };
	struct sock_fprog program = { FILTER_CALLS + 3, filter };

	for (unsigned int i = 0; i < FILTER_CALLS; i++)
		filter[1 + i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)calls[i],
							     FILTER_CALLS - i, 0);
	filter[FILTER_CALLS + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	filter[FILTER_CALLS + 2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW | flags, &program);
}

#endif
