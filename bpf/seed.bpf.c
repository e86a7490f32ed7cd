// SPDX-License-Identifier: GPL-2.0-only
/* seed: entering what runs already, and letting go. These programs run when the loader asks, over the tasks of one
 * process at a time. */

SEC("iter/task")
int seed_task(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct task_state *ts;
	struct mm_struct *mm;
	struct wire_mm *state;
	u64 id;

	if (!task)
		return 0;
	if (shared.seed_mode == SEED_FLUSH) {
		ts = bpf_task_storage_get(&tasks, task, 0, 0);
		if (!ts || !ts->mm)
			return 0;
		flushed.pid = task->tgid;
		flushed.tid = task->pid;
		bpf_probe_read_kernel(flushed.comm, sizeof(flushed.comm), task->comm);
		all_flush(ts);
		return 0;
	}
	mm = task->mm;
	if (!mm)
		return 0;
	if (shared.seed_mode == SEED_AWAIT_EXEC) {
		ts = task_enter(task, 0, 0);
		if (ts)
			ts->await_exec = 1;
		else
			shared.seed_errors++;
		__sync_fetch_and_add(&shared.stats.processes, 1);
		return 0;
	}
	state = mm_find(mm);
	if (state) {
		id = state->id;
	} else if (shared.seed_mode == SEED_SHARERS) {
		return 0;
	} else {
		id = mm_begin(mm, task, WIRE_HOW_ATTACH, 0);
		if (!id) {
			shared.seed_errors++;
			return 0;
		}
	}
	ts = task_find(task);
	if (ts && ts->watched)
		return 0;
	ts = task_enter(task, (u64)mm, id);
	if (!ts) {
		shared.seed_errors++;
		return 0;
	}
	ts->where = IN_FLIGHT;
	if (task->pid == task->tgid)
		__sync_fetch_and_add(&shared.stats.processes, 1);
	return 0;
}

SEC("iter/task_vma")
int seed_vma(struct bpf_iter__task_vma *ctx)
{
	struct vm_area_struct *vma = ctx->vma;
	struct task_struct *task = ctx->task;
	struct wire_mm *state;

	if (!task || !vma)
		return 0;
	state = mm_find(vma->vm_mm);
	if (state)
		vma_send(vma, state->id, task);
	return 0;
}

/* Finds what to add to a percpu pointer for each CPU: a per-CPU array's value for that CPU, less the percpu pointer
 * itself. The detour over memory makes plain numbers of pointers. */
SEC("syscall")
int percpu_find(void *ctx)
{
	u32 zero = 0;
	u64 *cell = bpf_map_lookup_percpu_elem(&percpu_probe, &zero, 0);
	u64 map, base;

	if (!cell)
		return 1;
	*(volatile u64 *)cell = (u64)&percpu_probe;
	map = *(volatile u64 *)cell;
	base = (u64)BPF_CORE_READ((struct bpf_array *)map, pptrs[0]);
	for (u32 cpu = 0; cpu < config.cpu_count; cpu++) {
		cell = bpf_map_lookup_percpu_elem(&percpu_probe, &zero, cpu);
		if (!cell)
			return 1;
		*(volatile u64 *)cell = (u64)cell;
		percpu_offset[cpu & (WIRE_CPUS - 1)] = *(volatile u64 *)cell - base;
	}
	return 0;
}
