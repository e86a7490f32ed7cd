/* SPDX-License-Identifier: GPL-2.0-only */
/* books: the double entry of one mm on the kernel side: open, what changed and who did it, close.
 *
 * RSS: rss.bpf.h says where the kernel keeps it and what has changed.
 *
 * VIRT: total_vm changes under the mmap write lock only, or right after its holder downgraded it (munmap). So what it
 * gained when that thread lets go is that thread's. Only the letting go is looked at: a program on the taking, too, would be
 * called as often again. */
#ifndef HEAPTRACE_BOOKS_BPF_H
#define HEAPTRACE_BOOKS_BPF_H

struct place_search {
	u64 id;
	u32 first, found;
};

/* Takes the @index-th place from the first one on, if it is free. */
static long place_step(u32 index, struct place_search *search)
{
	u32 place = (search->first + index) & (WIRE_MMS - 1);
	struct wire_virt *virt = bpf_map_lookup_elem(&virts, &place);

	if (!virt || __sync_val_compare_and_swap(&virt->id, 0, search->id))
		return 0;
	search->found = place;
	return 1;
}

/* Takes a place for the VIRT of the mm numbered @id, which is @pages. False if there is none. Mms that follow one another lie
 * apart, for they run on different CPUs. */
static __always_inline bool virt_begin(u64 id, s64 pages, u32 *ret_place)
{
	struct place_search search = { .id = id, .first = id * 40503, .found = WIRE_MMS };
	struct wire_virt *virt;

	bpf_loop(WIRE_MMS, place_step, &search, 0);
	virt = virt_at(search.found, id);
	if (!virt)
		return false;
	virt->order = 0;
	virt->shadow = pages;
	*ret_place = search.found;
	return true;
}

static __always_inline void virt_end(u32 place, u64 id)
{
	struct wire_virt *virt = virt_at(place, id);

	if (virt)
		virt->id = 0;
}

/* Opens the books of @mm, seen first through @task. Returns its number, 0 where it could not be entered. */
static __noinline u64 mm_begin(u64 key, struct task_struct *task, u32 how, u64 parent)
{
	struct mm_struct *mm = (struct mm_struct *)key;
	u32 zero = 0;
	struct wire_mm *blank = bpf_map_lookup_elem(&blank_mm, &zero);
	struct scratch *scratch = scratch_get();
	struct wire_mm *state;

	if (!blank || !scratch || !mm)
		return 0;
	__builtin_memset(blank, 0, sizeof(*blank));
	blank->mm = key;
	blank->id = __sync_fetch_and_add(&shared.stats.mms, 1) + 1;
	blank->opening.virt = BPF_CORE_READ(mm, total_vm);
	rss_begin(blank, mm, task, how);
	blank->start_brk = BPF_CORE_READ(mm, start_brk);
	blank->brk = BPF_CORE_READ(mm, brk);
	blank->start_stack = BPF_CORE_READ(mm, start_stack);
	blank->parent = parent;
	blank->pid = process_number(task);
	blank->how = how;
	bpf_probe_read_kernel(blank->comm, sizeof(blank->comm), task->comm);
	if (!virt_begin(blank->id, blank->opening.virt, &blank->place) ||
	    bpf_map_update_elem(&mms, &key, blank, BPF_NOEXIST)) {
		virt_end(blank->place, blank->id);
		__sync_fetch_and_add(&shared.stats.unwatched_mms, 1);
		return 0;
	}
	__sync_fetch_and_add(&shared.stats.live_mms, 1);
	state = bpf_map_lookup_elem(&mms, &key);
	if (!state)
		return 0;
	open_send(state, path_of_file((u64)BPF_CORE_READ(mm, exe_file), (struct path_text *)scratch->open.text));
	return state->id;
}

/* The cause of what the current task does to an mm that is not its own, or outside any syscall or fault of its own. */
static __always_inline u32 foreign_cause(struct wire_mm *state, struct task_state *ts, struct task_struct *task)
{
	if (ts && ts->reclaim)
		return WIRE_RECLAIM;
	if (!ts || ts->mm != state->mm)
		return WIRE_ACTOR;
	if (task->flags & PF_EXITING)
		return WIRE_EXIT_FAULT;
	return ts->where == IN_FLIGHT ? WIRE_IN_FLIGHT : WIRE_UNKNOWN;
}

/* Sends that @part of @state's mm has changed by @pages as a row of its own. @ts: of the current task, or NULL. */
__noinline int foreign_book(struct wire_mm *state, u32 part, s64 pages, struct task_state *ts)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct row *row;
	u32 cause;

	if (!state)
		return 0;
	cause = foreign_cause(state, ts, task);
	row = row_begin(cause, -1);
	if (!row)
		return 0;
	if (cause == WIRE_ACTOR && !(task->flags & PF_KTHREAD) && !is_worker(task))
		row->nr = call_now(task);
	*part_of(&row->delta, part) = pages;
	return row_emit(state, row);
}

/* Books that @part of the current task's own mm has changed by @pages to what it is doing. False if that is not known. */
static __always_inline bool own_book(struct task_state *ts, u32 part, s64 pages)
{
	if (ts->pending & PENDING_KERNEL) {
		*part_of(&ts->kernel.delta, part) += pages;
	} else if (ts->where == IN_SYSCALL || ts->where == IN_FLIGHT) {
		*part_of(&ts->own, part) += pages;
		ts->pending |= PENDING_OWN;
	} else if (ts->pending & PENDING_FAULT) {
		*part_of(&ts->fault.delta, part) += pages;
	} else {
		return false;
	}
	return true;
}

/* Books that @part of @state's mm has changed by @pages to what the current task is doing. */
static __always_inline void book(struct wire_mm *state, struct task_state *ts, u32 part, s64 pages)
{
	if (state->closing_read) {
		__sync_fetch_and_add(part_of(&state->exit, part), pages);
		return;
	}
	if (!ts || ts->mm != state->mm || ts->reclaim) {
		foreign_book(state, part, pages, ts);
		return;
	}
	if (!own_book(ts, part, pages))
		foreign_book(state, part, pages, ts);
}

/* The same of what caches of RSS have gained. */
static __always_inline void pages_book(struct wire_mm *state, struct task_state *ts, const struct wire_pages *delta)
{
	for (u32 member = 0; member < WIRE_MEMBERS; member++)
		if (delta->rss[member])
			book(state, ts, PART_RSS + member, delta->rss[member]);
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
	pages_book(state, ts, &delta);
	return 0;
}

/* What the counters hold is the closing. */
static __always_inline void closing_read(struct wire_mm *state)
{
	kernel_read(state, &state->closing);
	state->closing_read = 1;
}

SEC("tp_btf/rss_stat")
int BPF_PROG(on_rss_stat, struct mm_struct *mm, int member)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u64 own_mm = (u64)task->mm;
	struct task_state *ts = task_find(task);
	struct wire_mm *state;
	bool first;
	s64 pages;

	if (!ts && !maybe_foreign(task, own_mm, mm))
		return 0;
	state = mm_find((u64)mm);
	if (!state)
		return 0;
	/* The first change of a dead mm: its tear-down has begun, and what the counters held before it is the closing. */
	first = !mm->mm_users.counter && !state->closing_read;
	if (first)
		closing_read(state);
	if (ts)
		call_seen(ts, task);
	pages = rss_take(state, mm, member, ts);
	if (first)
		state->closing.rss[member & (WIRE_MEMBERS - 1)] -= pages;
	if (!pages)
		return 0;
	if (RSS_HAS_CACHE && ts && ts->worker && own_mm == (u64)mm)
		ts->own.rss[member & (WIRE_MEMBERS - 1)] += pages; /* it hands over: its cache goes down next */
	else
		book(state, ts, PART_RSS + (member & (WIRE_MEMBERS - 1)), pages);
	return 0;
}

/* Whether @mm is the one that the task with the state @ts is watched on. */
static __always_inline bool is_own(struct task_state *ts, struct mm_struct *mm)
{
	return ts && ts->mm == (u64)mm;
}

/* Whether the call @nr of @task may keep its lock for reading after it had it for writing, before anything else it does
 * with it. */
static __always_inline bool call_downgrades(struct task_struct *task, s32 nr)
{
#if defined(__TARGET_ARCH_x86)
	if (task->thread_info.status & TS_COMPAT)
		return nr == 91 || nr == 45 || nr == 163; /* munmap, brk, mremap */
#endif
	return nr == config.nr_munmap || nr == config.nr_brk || nr == config.nr_mremap;
}

/* Whether the current task, which lets go of the lock that it has for reading, is the one that has changed total_vm since the
 * last writer: it had the lock for writing and kept it for reading. There is at most one such among those that hold the lock.
 * Where others hold it too, it is known by what it is doing: a call that does so as the first thing, or a fault that has
 * let go of the lock once before, to have it for writing as a stack must grow. */
static __always_inline bool has_downgraded(struct task_struct *task, struct task_state *ts, struct mm_struct *mm,
					   bool first, s64 pages)
{
	if (bpf_core_field_exists(mm->mmap_lock.count) && mm->mmap_lock.count.counter >> RWSEM_READER_SHIFT == 1)
		return true;
	if (!ts || ts->mm != (u64)mm)
		return false;
	if (ts->where == IN_USER || ts->pending & PENDING_KERNEL)
		return !first && pages > 0;
	return first && call_downgrades(task, ts->where == IN_SYSCALL ? ts->nr : call_now(task));
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
	pages_book(state, ts, &delta);
	return 0;
}

/* The books of the VIRT of @mm, whose lock the current task, with the state @ts, lets go of; NULL where it is not watched. */
static __noinline struct wire_virt *virt_of_other(struct task_struct *task, struct task_state *ts, u64 mm, bool own)
{
	struct wire_mm *state = mm_find(mm);

	if (!state)
		return NULL;
	if (own && ts->mm_id == state->id)
		ts->place = state->place;
	/* One that exits is none any more by its flags. */
	if (RSS_HAS_CACHE && !own && (is_worker(task) || (ts && ts->worker)))
		worker_settle(state, task);
	return virt_at(state->place, state->id);
}

SEC("tp_btf/mmap_lock_released")
int on_mmap_lock_released(u64 *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct mm_struct *mm = (struct mm_struct *)ctx[0];
	u64 own_mm = (u64)task->mm;
	struct task_state *ts = task_find(task);
	bool own = is_own(ts, mm), write = LOCK_WRITE(ctx), first = true;
	struct wire_virt *virt = NULL;
	struct wire_mm *state;
	s64 pages;

	/* A thread that exits, or execs, takes and lets go of the lock as it lets go of the mm: what it owes is due now, as
	 * the mm may end before the thread is heard of again. */
	if (own)
		call_seen(ts, task);
	if (own && own_mm != (u64)mm) {
		all_flush(ts, task);
		ts->mm = 0;
		return 0;
	}
	if (own) {
		first = !ts->released;
		ts->released = 1;
		virt = virt_at(ts->place, ts->mm_id);
	} else if (!ts && !maybe_foreign(task, own_mm, mm)) {
		return 0;
	}
	if (!virt)
		virt = virt_of_other(task, ts, (u64)mm, own);
	if (!virt)
		return 0;
	pages = mm->total_vm - virt->shadow;
	if (!write && (!pages || !has_downgraded(task, ts, mm, first, pages)))
		return 0;
	pages = mm->total_vm - __sync_lock_test_and_set(&virt->shadow, mm->total_vm);
	virt->order++;
	if (own)
		ts->order = virt->order;
	if (!pages || (own && !ts->reclaim && own_book(ts, PART_VIRT, pages)))
		return 0;
	state = mm_find((u64)mm);
	if (state)
		book(state, ts, PART_VIRT, pages);
	return 0;
}

#endif
