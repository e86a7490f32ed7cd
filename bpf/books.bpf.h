/* SPDX-License-Identifier: GPL-2.0-only */
/* books: the double entry of one mm on the kernel side: open, what changed and who did it, close.
 *
 * RSS: rss.bpf.h says where the kernel keeps it and what has changed.
 *
 * VIRT: total_vm changes under the mmap write lock only, or right after its holder downgraded it (munmap). So what it
 * gained when that thread lets go is that thread's. */
#ifndef HEAPTRACE_BOOKS_BPF_H
#define HEAPTRACE_BOOKS_BPF_H

static __noinline int open_send(struct wire_mm *state, struct file *image)
{
	struct scratch *scratch = scratch_get();
	struct wire_open *open;
	u32 len;

	if (!scratch)
		return 0;
	open = &scratch->open;
	head_fill(&open->head, WIRE_OPEN, state->id);
	open->head.pid = open->head.tid = state->pid;
	__builtin_memcpy(open->head.comm, state->comm, sizeof(open->head.comm));
	open->opening = state->opening;
	open->parent_mm = state->parent;
	open->start_brk = state->start_brk;
	open->brk = state->brk;
	open->start_stack = state->start_stack;
	open->how = state->how;
	len = path_of_file(image, open->text);
	if (len > WIRE_TEXT)
		len = 0;
	open->text_len = len;
	if (!ring_send(open, offsetof(struct wire_open, text) + len))
		state->open_sent = 1;
	return 0;
}

/* Opens the books of @mm, seen first through @task. Returns its number, 0 where it could not be entered. */
static __noinline u64 mm_begin(struct mm_struct *mm, struct task_struct *task, u32 how, u64 parent)
{
	u64 key = (u64)mm;
	u32 zero = 0;
	struct wire_mm *blank = bpf_map_lookup_elem(&blank_mm, &zero);
	struct wire_mm *state;

	if (!blank || !mm)
		return 0;
	__builtin_memset(blank, 0, sizeof(*blank));
	blank->mm = key;
	blank->id = __sync_fetch_and_add(&shared.stats.mms, 1) + 1;
	blank->vm_shadow = blank->opening.virt = mm->total_vm;
	rss_begin(blank, mm, task, how);
	blank->start_brk = mm->start_brk;
	blank->brk = mm->brk;
	blank->start_stack = mm->start_stack;
	blank->parent = parent;
	blank->pid = task->tgid;
	blank->how = how;
	bpf_probe_read_kernel(blank->comm, sizeof(blank->comm), task->comm);
	if (bpf_map_update_elem(&mms, &key, blank, BPF_NOEXIST)) {
		__sync_fetch_and_add(&shared.stats.unwatched_mms, 1);
		return 0;
	}
	__sync_fetch_and_add(&shared.stats.live_mms, 1);
	state = bpf_map_lookup_elem(&mms, &key);
	if (!state)
		return 0;
	open_send(state, mm->exe_file);
	return state->id;
}

/* The number of the syscall that @task, which is not watched, is in; -1 if it is in none. */
static __always_inline s32 syscall_of_task(struct task_struct *task)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	s64 nr = -1;

#if defined(__TARGET_ARCH_x86)
	/* The syscall instruction leaves the return address in rcx; after a fault, orig_ax is an error code. */
	if (BPF_CORE_READ(regs, cx) == BPF_CORE_READ(regs, ip))
		nr = (s64)BPF_CORE_READ(regs, orig_ax);
#elif defined(__TARGET_ARCH_arm64)
	nr = BPF_CORE_READ(regs, syscallno);
#endif
	return nr >= 0 && nr < WIRE_SYSCALLS ? nr : -1;
}

/* The cause of what a task does to an mm that is not its own, or outside any syscall or fault of its own. */
static __noinline int foreign_book(struct wire_mm *state, struct wire_pages *delta, struct task_state *ts)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct row row = { .delta = *delta, .count = 1, .nr = -1 };

	if (ts && ts->reclaim)
		row.cause = WIRE_RECLAIM;
	else if (ts && ts->mm == state->mm && (task->flags & PF_EXITING))
		row.cause = WIRE_EXIT_FAULT;
	else if (ts && ts->mm == state->mm)
		row.cause = ts->where == IN_FLIGHT ? WIRE_IN_FLIGHT : WIRE_UNKNOWN;
	else
		row.cause = WIRE_ACTOR;
	if (row.cause == WIRE_ACTOR && ts && ts->where == IN_SYSCALL)
		row.nr = ts->nr;
	else if (row.cause == WIRE_ACTOR && !(task->flags & PF_KTHREAD) && !is_worker(task))
		row.nr = syscall_of_task(task);
	return row_emit(state, &row, NULL);
}

/* Books @delta of @state's mm to what the current task is doing. */
static __always_inline void book(struct wire_mm *state, struct task_state *ts, struct wire_pages *delta)
{
	if (state->closing_read) {
		pages_add_atomic(&state->exit, delta);
		return;
	}
	if (!ts || ts->mm != state->mm || ts->reclaim) {
		foreign_book(state, delta, ts);
		return;
	}
	if (ts->kernel.count) {
		pages_add(&ts->kernel.delta, delta);
	} else if (ts->where == IN_SYSCALL || ts->where == IN_FLIGHT) {
		pages_add(&ts->own, delta);
		ts->dirty = 1;
	} else if (ts->fault_open) {
		pages_add(&ts->fault.delta, delta);
	} else {
		foreign_book(state, delta, ts);
	}
}

static __noinline int cache_settle(struct task_state *ts, struct task_struct *task)
{
	struct wire_pages delta = {};
	struct wire_mm *state;

	if (!cache_differs(ts, task))
		return 0;
	state = mm_of_pending(ts);
	if (!state)
		return 0;
	cache_take(state, ts, task, &delta);
	book(state, ts, &delta);
	return 0;
}

SEC("tp_btf/rss_stat")
int BPF_PROG(on_rss_stat, struct mm_struct *mm, int member)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_state *ts = task_find(task);
	struct wire_pages delta = {};
	struct wire_mm *state;
	s64 pages;

	if (!ts && !maybe_foreign(task, mm))
		return 0;
	state = mm_find(mm);
	if (!state)
		return 0;
	pages = rss_take(state, mm, member, ts);
	if (!pages)
		return 0;
	if (RSS_HAS_CACHE && ts && ts->worker && task->mm == mm) {
		ts->own.rss[member & (WIRE_MEMBERS - 1)] += pages; /* it hands over: its cache goes down next */
		return 0;
	}
	delta.rss[member & (WIRE_MEMBERS - 1)] = pages;
	book(state, ts, &delta);
	return 0;
}

/* Whether @mm is the one that the task with the state @ts is watched on. */
static __always_inline bool is_own(struct task_state *ts, struct mm_struct *mm)
{
	return ts && ts->mm == (u64)mm;
}

SEC("tp_btf/mmap_lock_acquire_returned")
int on_mmap_lock_acquired(u64 *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct mm_struct *mm = (struct mm_struct *)ctx[0];
	bool write = LOCK_WRITE(ctx), success = LOCK_DONE(ctx);
	struct wire_mm *state;
	struct task_state *ts;

	/* Of readers only the first of a dead mm counts: its tear-down begins (exit_mmap), and what the counters hold
	 * now is the closing. */
	if (!success || (!write && mm->mm_users.counter))
		return 0;
	ts = task_find(task);
	if (is_own(ts, mm) && mm->mm_users.counter) {
		ts->holds = 1;
		return 0;
	}
	if (!ts && !maybe_foreign(task, mm))
		return 0;
	state = mm_find(mm);
	if (!state)
		return 0;
	if (!mm->mm_users.counter && !state->closing_read) {
		kernel_read(mm, &state->closing);
		state->closing_read = 1;
	}
	if (write)
		state->writer = task->pid;
	return 0;
}

/* Books what the current task, a worker on the mm of @state, has done to it. */
static __noinline int worker_settle(struct wire_mm *state, struct task_struct *task)
{
	struct task_state *ts = bpf_task_storage_get(&tasks, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct wire_pages delta;

	if (!ts || ts->watched)
		return 0;
	ts->worker = 1;
	worker_take(state, ts, task, &delta);
	if (!pages_are_zero(&delta))
		book(state, ts, &delta);
	return 0;
}

SEC("tp_btf/mmap_lock_released")
int BPF_PROG(on_mmap_lock_released, struct mm_struct *mm)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_state *ts = task_find(task);
	bool own = is_own(ts, mm);
	struct wire_pages delta = {};
	struct wire_mm *state;

	/* A thread that exits, or execs, takes and lets go of the lock as it lets go of the mm: what it owes is due now, as
	 * the mm may end before the thread is heard of again. */
	if (own && task->mm != mm) {
		all_flush(ts, task);
		ts->mm = 0;
		return 0;
	}
	/* A thread that was attached to in the middle of a call may hold the lock without our having seen it taken. */
	if (own ? !ts->holds && ts->where != IN_FLIGHT : !ts && !maybe_foreign(task, mm))
		return 0;
	state = mm_find(mm);
	if (!state)
		return 0;
	/* One that exits is none any more by its flags. */
	if (RSS_HAS_CACHE && !own && (is_worker(task) || (ts && ts->worker)))
		worker_settle(state, task);
	if (!own && state->writer != task->pid)
		return 0;
	delta.virt = mm->total_vm - state->vm_shadow;
	state->vm_shadow = mm->total_vm;
	state->order++;
	if (own) {
		ts->holds = 0;
		ts->order = state->order;
	} else {
		state->writer = 0;
	}
	if (delta.virt)
		book(state, ts, &delta);
	return 0;
}

#endif
