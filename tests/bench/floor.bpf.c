// SPDX-License-Identifier: GPL-2.0-only
/* floor: empty programs on the tracepoints that every memory call and every fault goes through, every switch to another
 * thread, waking of one, and timer. What they cost, no observer of these events can undercut. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define EMPTY(name)                                                 \
	SEC("tp_btf/" #name) int on_##name(unsigned long long *ctx) \
	{                                                           \
		(void)ctx;                                          \
		return 0;                                           \
	}

EMPTY(sys_exit)
EMPTY(rss_stat)
EMPTY(mmap_lock_released)
EMPTY(page_fault_user)
EMPTY(page_fault_kernel)
EMPTY(sched_switch)
EMPTY(sched_waking)
EMPTY(hrtimer_expire_entry)

char LICENSE[] SEC("license") = "GPL";
