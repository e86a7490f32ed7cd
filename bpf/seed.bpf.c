// SPDX-License-Identifier: GPL-2.0-only
/* seed: entering what runs already, and letting go. These programs run when the loader asks, over the tasks of one
 * process at a time. */

/* A look at the caches of RSS, or the end of it: @ts is the state of @task, or NULL. */
static __noinline int seed_caches(struct task_struct *task, struct task_state *ts)
{
	u64 key = mm_of(task);
	struct wire_head who;
	struct wire_mm *state;
	struct row *row;

	if (shared.seed_mode == SEED_LOOK) {
		cache_look(ts, task);
		return 0;
	}
	state = bpf_map_lookup_elem(&mms, &key);
	if (!state)
		return 0;
	if (shared.seed_mode == SEED_ENTERED && ts && ts->mm == key) {
		cache_entered(state, ts);
	} else if (shared.seed_mode == SEED_FLUSH && (!ts || !ts->watched)) {
		ts = storage_make(task);
		row = row_begin(WIRE_ACTOR, -1);
		if (!ts || !row)
			return 0;
		worker_take(state, ts, task, &row->delta);
		who_fill(&who, task);
		if (!pages_are_zero(&row->delta))
			row_emit(state, row, &who);
	}
	return 0;
}

/* What is asked of tasks once they are in. */
static __always_inline int seed_later(struct task_struct *task)
{
	struct task_state *ts = state_of(task);

	if (shared.seed_mode == SEED_FLUSH && ts && part_begins(ts)) {
		if (!batch_has_begun(ts))
			batch_begin(ts, task);
		all_flush(ts, task);
	}
	if (RSS_HAS_CACHE)
		seed_caches(task, ts);
	return 0;
}

/* Workers are not watched; at an attach the cache of one was a part of the opening. */
static __noinline int worker_enter(struct task_struct *task, u64 mm)
{
	struct wire_mm *state = mm_find(mm);
	struct task_state *ts;

	if (!RSS_HAS_CACHE || !state || state_of(task))
		return 0;
	ts = storage_make(task);
	if (!ts)
		return 0;
	ts->worker = 1;
	cache_seed(ts, task);
	cache_enter(state, ts);
	return 0;
}

SEC("iter/task")
int seed_task(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct task_state *ts;
	struct wire_mm *state;
	u64 mm, id;

	if (!task)
		return 0;
	if (shared.seed_mode >= SEED_ENTERED)
		return seed_later(task);
	mm = mm_of(task);
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
	if (is_worker(task))
		return worker_enter(task, mm);
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
	ts = shared.stopped ? NULL : state_of(task);
	if (ts && ts->watched)
		return 0;
	ts = task_enter(task, mm, id);
	if (!ts) {
		shared.seed_errors++;
		return 0;
	}
	cache_enter(state ? state : mm_find(mm), ts);
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
	state = mm_find((u64)BPF_CORE_READ(vma, vm_mm));
	if (state)
		vma_send((u64)vma, state->id, process_number(task));
	return 0;
}

/* Finds where the kernel keeps its pointer to the current task of each CPU, as one of its per-CPU variables. Another one is the run queue,
 * and the task @current knows that of the CPU that it runs on. What lies at the place is looked at before it is believed. */
static __always_inline void current_find(struct task_struct *current)
{
	u64 offset = percpu_offset[bpf_get_smp_processor_id() & (WIRE_CPUS - 1)];
	u64 at, found = 0;

	if (!config.current_known || !bpf_core_field_exists(struct cfs_rq, rq))
		return;
	at = (u64)BPF_CORE_READ(current, se.cfs_rq, rq) + config.current_distance;
	bpf_probe_read_kernel(&found, sizeof(found), (void *)at);
	if (found != bpf_get_current_task())
		return;
	current_pointer = at - offset;
	shared.found |= WIRE_FOUND_CURRENT;
}

/* Finds where RSS is kept, where the registers of a task lie, and what to add to a percpu pointer for each CPU: a per-CPU array's value
 * for that CPU, less the percpu pointer itself. The detour over memory makes plain numbers of pointers. */
SEC("syscall")
int percpu_find(void *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u32 zero = 0;
	u64 *cell = bpf_map_lookup_percpu_elem(&percpu_probe, &zero, 0);
	u64 map, base;

	shared.rss_kind = RSS_HAS_CACHE ? WIRE_RSS_CACHED : RSS_IS_ATOMIC ? WIRE_RSS_ATOMIC : WIRE_RSS_PERCPU;
	if (config.vma_iterator)
		shared.found |= WIRE_FOUND_VMA_ITER;
	if (bpf_core_field_exists(struct mm_struct, mm_mt))
		shared.found |= WIRE_FOUND_MAPLE;
	if (LOCK_HAS_PATH)
		shared.found |= WIRE_FOUND_LOCK_PATH;
	if (EXIT_HAS_GROUP)
		shared.found |= WIRE_FOUND_EXIT_GROUP;
	if (CALLS_ANNOUNCED)
		shared.found |= WIRE_FOUND_ANNOUNCED;
	if (config.word_type)
		shared.found |= WIRE_FOUND_LOADS;
	if (!cell)
		return 1;
	*(volatile u64 *)cell = bpf_task_pt_regs(task);
	regs_offset = *(volatile u64 *)cell - (u64)BPF_CORE_READ(task, stack);
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
	current_find(task);
	return 0;
}
