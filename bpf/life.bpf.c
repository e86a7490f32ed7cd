// SPDX-License-Identifier: GPL-2.0-only
/* life: processes and their mms come and go. */

/* Enters @task as watched, on the mm numbered @mm_id. */
static __always_inline struct task_state *task_enter(struct task_struct *task, u64 mm, u64 mm_id)
{
	struct task_state *ts = state_make(task);

	if (!ts) {
		__sync_fetch_and_add(&shared.stats.unwatched_tasks, 1);
		return NULL;
	}
	if (__sync_lock_test_and_set(&ts->entered, 1))
		return ts;
	ts->watched = 1;
	ts->mm = mm;
	ts->mm_id = mm_id;
	ts->nr = -1;
	ts->maj_flt = task->maj_flt;
	cache_seed(ts, task);
	__sync_fetch_and_add(&shared.stats.live_tasks, 1);
	return ts;
}

/* The current task makes another one, and is marked as busy with that. Returns the number of the call that does it, -1 where that is not
 * known; WIRE_SYSCALLS where what is made is not to be watched for its sake. */
__noinline s32 fork_begin(struct task_state *ts)
{
	if (!ts)
		return -1;
	busy_set(ts, 1);
	batch_send(ts, false);
	if (ts->await_exec)
		return WIRE_SYSCALLS;
	call_seen(ts);
	return ts->where == IN_SYSCALL ? ts->nr : -1;
}

static __always_inline int forked(struct task_struct *parent, struct task_struct *child, s32 nr)
{
	u64 mm = mm_of(child), parent_mm = mm_of(parent);
	struct wire_mm *above;
	struct task_state *born;
	u64 id;

	if (!mm || !parent_mm)
		return 0;
	above = mm_find(parent_mm);
	if (!above || nr == WIRE_SYSCALLS)
		return 0;
	if (mm == parent_mm) {
		id = above->id;
	} else {
		if (!config.follow)
			return 0;
		id = mm_begin(mm, child, WIRE_HOW_FORK, above->id);
		if (!id)
			return 0;
		code_inherit(above, mm);
	}
	born = task_enter(child, mm, id);
	if (!born)
		return 0;
	born->newborn = 1;
	born->guest = mm == parent_mm && child->tgid != parent->tgid;
	born->where = IN_SYSCALL;
	born->nr = nr;
	if (child->pid == child->tgid)
		__sync_fetch_and_add(&shared.stats.processes, 1);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	s32 nr;

	if (shared.stopped)
		return 0;
	nr = fork_begin(state_of(parent));
	forked(parent, child, nr);
	busy_set(state_of(parent), 0);
	return 0;
}

/* The current task, with the state @ts, has the new image that the struct linux_binprm at @bprm tells of. */
__noinline int executed(struct task_state *ts, u64 bprm)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u64 mm = mm_of(task), id;

	if (!ts || !ts->watched || !mm)
		return 0;
	if (!ts->await_exec)
		all_flush(ts, task);
	if (!config.follow && ts->guest) {
		__sync_fetch_and_add(&shared.stats.live_tasks, -1);
		state_clear(ts);
		return 0;
	}
	id = mm_begin(mm, task, WIRE_HOW_EXEC, ts->await_exec ? 0 : ts->mm_id);
	__builtin_memset(&ts->own, 0, sizeof(ts->own));
	__builtin_memset(&ts->kernel, 0, sizeof(ts->kernel));
	__builtin_memset(&ts->run, 0, sizeof(ts->run));
	ts->pending = 0;
	ts->await_exec = 0;
	ts->newborn = 0;
	ts->executed = 1;
	ts->where = IN_SYSCALL;
	ts->nr = call_of(regs_of(task));
	ts->order = 0;
	ts->opened = 0;
	ts->released = 0;
	__builtin_memset(&ts->code, 0, sizeof(ts->code));
	ts->mm = id ? mm : 0;
	ts->mm_id = id;
	cache_seed(ts, task);
	if (!id)
		return 0;
	path_send_text(WORD_OF((struct linux_binprm *)bprm, filename), false);
	code_update(id, 0); /* first, so that one of the records may wake the reader */
	vmas_send(task, id);
	return 0;
}

/* The @index-th argument, a constant, of the tracepoint that on_turn runs at. Read as memory: a program is attached only where there
 * are as many arguments as it takes from its context. */
static __always_inline u64 turn_argument(u64 *ctx, u32 index)
{
	return word_at((u64)(ctx + index));
}

/* Whether the thread that exits is the last of its process, asked once per thread. Where the tracepoint does not say it, by @dead,
 * two threads that exit at once both see that none is left: the leader, which is still there, tells them apart. */
static __always_inline bool group_is_dead(struct task_struct *task, u64 dead)
{
	struct task_state *leader;

	if (EXIT_HAS_GROUP)
		return dead & 0xff;
	if (BPF_CORE_READ(task, signal, live.counter))
		return false;
	leader = storage_make(task->group_leader);
	return !leader || !__sync_lock_test_and_set(&leader->group_gone, 1);
}

/* The current task, with the state @ts, exits; @dead: what the tracepoint says of its process. */
__noinline int exited(struct task_state *ts, u64 dead)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct wire_proc_exit gone = {};

	if (!ts)
		return 0;
	ts->gone = 1;
	if (!ts->watched)
		return 0;
	if (shared.stopped) {
		if (part_begins(ts))
			all_flush(ts, task);
		return 0;
	}
	if (!ts->await_exec)
		all_flush(ts, task);
	ts->where = IN_USER;
	if (group_is_dead(task, dead)) {
		head_fill(&gone.head, WIRE_PROC_EXIT, ts->mm_id);
		gone.status = BPF_CORE_READ(task, signal, group_exit_code);
		if (ring_send(&gone, sizeof(gone)))
			info_dropped();
	}
	/* Last, so that who finds nothing alive finds the record above too. */
	__sync_fetch_and_add(&shared.stats.live_tasks, -1);
	return 0;
}

static __always_inline void close_fill(struct wire_close *close, struct wire_mm *state)
{
	struct wire_live *live = live_of(state);

	head_fill(&close->head, WIRE_CLOSE, state->id);
	close->head.pid = close->head.tid = state->pid;
	__builtin_memcpy(close->head.comm, state->comm, sizeof(close->head.comm));
	close->closing = state->closing;
	close->exit = state->exit;
	close->exit.virt -= state->closing.virt;
	close->spilled = state->spilled;
	close->spilled_rows = state->spilled_rows;
	close->swapped_pages = live ? live->swapped_pages : 0;
	close->order = live ? live->order : 0;
}

/* Keeps the books of @state where its closing did not fit the ring. */
static __noinline int grave_dig(struct wire_mm *state, const struct wire_close *close)
{
	struct scratch *scratch = scratch_get();
	struct wire_grave *grave;
	u64 id = state->id;

	if (!scratch)
		return 0;
	grave = &scratch->grave;
	grave->head = close->head;
	grave->opening = state->opening;
	grave->closing = close->closing;
	grave->exit = close->exit;
	grave->residue = close->residue;
	grave->spilled = close->spilled;
	grave->spilled_rows = close->spilled_rows;
	grave->swapped_pages = close->swapped_pages;
	grave->parent_mm = state->parent;
	grave->how = state->how;
	grave->open_sent = state->open_sent;
	if (bpf_map_update_elem(&graves, &id, grave, BPF_NOEXIST))
		__sync_fetch_and_add(&shared.stats.buried_mms, 1);
	else
		__sync_fetch_and_add(&shared.stats.graves, 1);
	return 0;
}

/* The mm at the address @key ends, by the current task, with the state @ts or NULL. */
__noinline int mm_ended(struct task_state *ts, u64 key)
{
	struct wire_mm *state = mm_find(key);
	struct scratch *scratch = scratch_get();
	struct wire_close *close;

	if (!state || !scratch)
		return 0;
	if (ts && ts->mm == key && ts->mm_id == state->id) {
		all_flush(ts, bpf_get_current_task_btf());
		ts->mm = 0;
	}
	if (!state->open_sent)
		open_send(state, 0);
	if (!state->closing_read)
		closing_read(state);
	close = &scratch->close;
	close_fill(close, state);
	kernel_read(state, &close->residue);
	close->residue.virt = 0;
	if (!state->open_sent || ring_send(close, sizeof(*close)))
		grave_dig(state, close);
	place_leave(state);
	bpf_map_delete_elem(&mms, &key);
	__sync_fetch_and_add(&shared.stats.live_mms, -1);
	return 0;
}

/* An mm ends, or the current task does, or it has a new image. Which it is the first argument tells: the address of the mm, or that of
 * the task. Three programs would each take their own copy of what all of them need through the verifier. */
SEC("raw_tp/exit_mmap+sched_process_exit+sched_process_exec")
int on_turn(u64 *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_state *ts = state_of(task);

	busy_set(ts, 1);
	if (ctx[0] != address_of(task))
		mm_ended(ts, ctx[0]);
	else if (task->flags & PF_EXITING)
		exited(ts, EXIT_HAS_GROUP ? turn_argument(ctx, 1) : 0);
	else if (!shared.stopped)
		executed(ts, turn_argument(ctx, 2));
	busy_set(ts, 0);
	leave_if_done(ts);
	return 0;
}

/* Direct reclaim takes pages from any mm, the reclaimer's own among them: what happens between these two is no effect
 * of the fault or syscall that was short of memory. Any task that reclaims gets a state to say so. */
static __always_inline int reclaim_set(u32 on)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_state *ts = state_of(task);

	if (!ts && on)
		ts = storage_make(task);

	if (ts)
		ts->reclaim = on;
	return 0;
}

SEC("raw_tp/mm_vmscan_direct_reclaim_begin+mm_vmscan_memcg_reclaim_begin")
int on_reclaim_begin(void *ctx)
{
	return reclaim_set(1);
}

SEC("raw_tp/mm_vmscan_direct_reclaim_end+mm_vmscan_memcg_reclaim_end")
int on_reclaim_end(void *ctx)
{
	return reclaim_set(0);
}
