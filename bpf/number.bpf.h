/* SPDX-License-Identifier: GPL-2.0-only */
/* number: processes and threads by the numbers that the observer knows them by. In a PID namespace of its own (a container)
 * these are not the kernel's. Where the observer is in the first one, all this is dead code to the verifier. */
#ifndef HEAPTRACE_NUMBER_BPF_H
#define HEAPTRACE_NUMBER_BPF_H

#define PID_LEVELS 33 /* MAX_PID_NS_LEVEL + 1 of the kernel */

/* The number in the observer's namespace of the struct pid at @at; 0 where it has none there. */
__noinline int number_in(u64 at)
{
	struct pid *pid = (struct pid *)at;
	u32 level = BPF_CORE_READ(pid, level);
	struct upid upid;

	for (u32 i = 0; i < PID_LEVELS && i <= level; i++) {
		u64 off = bpf_core_field_offset(struct pid, numbers) + i * sizeof(upid);

		if (bpf_probe_read_kernel(&upid, sizeof(upid), (void *)(at + off)))
			break;
		if (BPF_CORE_READ(upid.ns, ns.inum) == config.pid_namespace)
			return upid.nr;
	}
	return 0;
}

static __always_inline u32 thread_number(struct task_struct *task)
{
	return config.pid_namespace ? number_in((u64)BPF_CORE_READ(task, thread_pid)) : task->pid;
}

static __always_inline u32 process_number(struct task_struct *task)
{
	return config.pid_namespace ? number_in((u64)BPF_CORE_READ(task, group_leader, thread_pid)) : task->tgid;
}

#endif
