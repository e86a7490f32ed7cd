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

#define PLACE_TRIES 16

/* Whether @task is a thread that the kernel made for itself in a process: a worker of io_uring, or of vhost. */
static __always_inline bool is_worker(struct task_struct *task)
{
	return task->flags & (PF_IO_WORKER | PF_USER_WORKER);
}

/* Whether the task at the address @task, which has no state, can have anything to do with the watched mm at @mm: members of a watched mm
 * have state, except kernel threads that borrow it, and workers. */
static __always_inline bool maybe_foreign(u64 task, u64 mm)
{
	return mm != mm_of((struct task_struct *)task) || flags_of(task) & (PF_KTHREAD | PF_IO_WORKER | PF_USER_WORKER);
}

/* Takes the next place for what is live of the new books in @context, if it is free. */
static long place_step(u32 index, struct wire_mm *const *context)
{
	struct wire_mm *books = *context;
	u32 place = (u32)(books->id * 40503 + index) & (config.places - 1);
	struct wire_live *live = bpf_map_lookup_elem(&lives, &place);

	if (!live || __sync_val_compare_and_swap(&live->id, 0, books->id))
		return 0;
	books->place = place;
	bpf_map_update_elem(&lives, &place, &books->live, BPF_ANY);
	return 1;
}

/* Finds a place for it. Mms that follow one another lie apart, for they run on different CPUs. */
static __always_inline void place_take(struct wire_mm *books)
{
	books->place = WIRE_NO_PLACE;
	bpf_loop(PLACE_TRIES, place_step, &books, 0);
}

/* Frees it. */
static __always_inline void place_leave(struct wire_mm *books)
{
	struct wire_live *live = live_at(books->place, books->id);

	if (live)
		live->id = 0;
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
	blank->id = blank->live.id = __sync_fetch_and_add(&shared.stats.mms, 1) + 1;
	blank->opening.virt = blank->live.vm_shadow = BPF_CORE_READ(mm, total_vm);
	rss_begin(blank, task, how);
	blank->start_brk = BPF_CORE_READ(mm, start_brk);
	blank->brk = BPF_CORE_READ(mm, brk);
	blank->start_stack = BPF_CORE_READ(mm, start_stack);
	blank->parent = parent;
	blank->pid = process_number(task);
	blank->how = how;
	bpf_probe_read_kernel(blank->comm, sizeof(blank->comm), task->comm);
	place_take(blank);
	if (bpf_map_update_elem(&mms, &key, blank, BPF_NOEXIST)) {
		place_leave(blank);
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
	batch_send(ts, false);
	cause = foreign_cause(state, ts, task);
	row = row_begin(cause, -1);
	if (!row)
		return 0;
	if (cause == WIRE_ACTOR && !(task->flags & PF_KTHREAD) && !is_worker(task))
		row->nr = call_now(regs_at(task));
	*part_of(&row->delta, part) = pages;
	return row_emit(state, row, NULL);
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

/* Books that @part of @state's mm has changed by @pages where that is not what the current task is doing to its own. */
static __always_inline void other_book(struct wire_mm *state, struct task_state *ts, u32 part, s64 pages)
{
	if (state->closing_read)
		__sync_fetch_and_add(part_of(&state->exit, part), pages);
	else
		foreign_book(state, part, pages, ts);
}

/* Books that @part of @state's mm has changed by @pages to what the current task is doing. */
static __always_inline void book(struct wire_mm *state, struct task_state *ts, u32 part, s64 pages)
{
	bool own = ts && ts->mm == state->mm && !ts->reclaim && !state->closing_read;

	if (!own || !own_book(ts, part, pages))
		other_book(state, ts, part, pages);
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

/* What is live of the mm that @state is about, or NULL; a thread of that mm, with the state @ts, finds it by itself from then on. */
static __always_inline struct wire_live *live_find(struct wire_mm *state, struct task_state *ts)
{
	if (ts && ts->mm_id == state->id)
		ts->place = state->place;
	return live_of(state);
}

/* Books a change of @member of the mm at the address @at, which the current task, with the state @ts or NULL, may be no thread
 * of, or may not have looked for yet. */
__noinline int rss_book(struct task_state *ts, u64 at, u32 member)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct wire_mm *state = mm_find(at);
	struct wire_live *live = state ? live_find(state, ts) : NULL;
	bool first;
	s64 pages;

	if (ts)
		call_seen(ts);
	if (!live)
		return 0;
	member &= WIRE_MEMBERS - 1;
	/* The first change of a dead mm: its tear-down has begun, and what the counters held before it is the closing. */
	first = !state->closing_read && !half_word_at(at + bpf_core_field_offset(struct mm_struct, mm_users.counter));
	if (first)
		closing_read(state);
	pages = rss_take(live, at, member, ts);
	if (first)
		state->closing.rss[member] -= pages;
	if (!pages)
		return 0;
	if (RSS_HAS_CACHE && ts && ts->worker && mm_of(task) == at)
		ts->own.rss[member] += pages; /* it hands over: its cache goes down next */
	else
		book(state, ts, PART_RSS + member, pages);
	return 0;
}

/* The same where the current task, which sits at its desk, is a thread of that mm and has looked for it. False: it is not so. */
static __always_inline bool rss_book_own(struct task_state *ts, u64 at, u32 member)
{
	struct wire_live *live;
	struct wire_mm *state;
	s64 pages;

	if (ts->mm != at)
		return false;
	live = live_at(ts->place, ts->mm_id);
	if (!live)
		return false;
	call_seen(ts);
	member &= WIRE_MEMBERS - 1;
	pages = rss_take(live, at, member, ts);
	if (!pages || (!ts->reclaim && own_book(ts, PART_RSS + member, pages)))
		return true;
	state = mm_find_still(at);
	if (state)
		other_book(state, ts, PART_RSS + member, pages);
	return true;
}

SEC("raw_tp/rss_stat")
int BPF_PROG(on_rss_stat, u64 mm, int member)
{
	u64 task = task_now();
	struct task_state *ts = desk_find(task);

	if (shared.stopped)
		return 0;
	if (ts) {
		busy_set(ts, 1);
		if (!rss_book_own(ts, mm, member))
			rss_book(ts, mm, member);
		busy_set(ts, 0);
	} else if (may_have_storage(task) || maybe_foreign(task, mm)) {
		ts = storage_now();
		busy_set(ts, 1);
		rss_book(ts, mm, member);
		busy_set(ts, 0);
	}
	return 0;
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
static __always_inline bool has_downgraded(struct task_state *ts, u64 mm, bool first, s64 pages)
{
	if (bpf_core_field_exists(struct mm_struct, mmap_lock.count) &&
	    (s64)WORD_OF((struct mm_struct *)mm, mmap_lock.count.counter) >> RWSEM_READER_SHIFT == 1)
		return true;
	if (!ts || ts->mm != mm)
		return false;
	if (ts->where == IN_USER || ts->pending & PENDING_KERNEL)
		return !first && pages > 0;
	return first &&
	       call_downgrades(bpf_get_current_task_btf(), ts->where == IN_SYSCALL ? ts->nr : call_now(ts->regs));
}

/* Books what the current task, a worker on the mm of @state, has done to it. */
static __noinline int worker_settle(struct wire_mm *state, struct task_struct *task)
{
	struct task_state *ts = storage_make(task);
	struct wire_pages delta;

	if (!ts || ts->watched)
		return 0;
	ts->worker = 1;
	worker_take(state, ts, task, &delta);
	pages_book(state, ts, &delta);
	return 0;
}

/* What is live of @mm, whose lock the current task, with the state @ts, lets go of; NULL where it is not watched. */
static __noinline struct wire_live *live_of_other(struct task_state *ts, u64 mm, bool own)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct wire_mm *state = mm_find(mm);

	if (!state)
		return NULL;
	/* One that exits is none any more by its flags. */
	if (RSS_HAS_CACHE && !own && (is_worker(task) || (ts && ts->worker)))
		worker_settle(state, task);
	return live_find(state, ts);
}

/* Books what total_vm of the mm at the address @mm, of which @live is, has gained until the current task, with the state @ts, lets go of
 * its lock. */
static __always_inline void lock_book(struct task_state *ts, struct wire_live *live, u64 mm, bool write)
{
	bool own = ts && ts->mm == mm, first = true;
	u64 total = WORD_OF((struct mm_struct *)mm, total_vm);
	s64 pages = total - live->vm_shadow;
	struct wire_mm *state;

	if (own) {
		first = !ts->released;
		ts->released = 1;
	}
	if (!write && (!pages || !has_downgraded(ts, mm, first, pages)))
		return;
	pages = total - __sync_lock_test_and_set(&live->vm_shadow, total);
	live->order++;
	if (own)
		ts->order = live->order;
	if (!pages || (own && !ts->reclaim && own_book(ts, PART_VIRT, pages)))
		return;
	state = mm_find_still(mm);
	if (state)
		other_book(state, ts, PART_VIRT, pages);
}

/* The current task, with the state @ts or NULL, lets go of the lock of the mm at the address @mm. */
__noinline int lock_released(struct task_state *ts, u64 mm, bool write)
{
	bool own = ts && ts->mm == mm;
	struct wire_live *live;

	/* A thread that exits, or execs, takes and lets go of the lock as it lets go of the mm: what it owes is due now, as
	 * the mm may end before the thread is heard of again. */
	if (own)
		call_seen(ts);
	if (own && !write && TASK_WORD(ts, mm) != mm) {
		all_flush(ts, bpf_get_current_task_btf());
		ts->mm = 0;
		return 0;
	}
	live = live_of_other(ts, mm, own);
	if (live)
		lock_book(ts, live, mm, write);
	return 0;
}

/* The same where the task, which sits at its desk, is a thread of that mm, goes on to be one, and has looked for it. False: it is not
 * so. */
static __always_inline bool lock_released_own(struct task_state *ts, u64 mm, bool write)
{
	struct wire_live *live;

	if (ts->mm != mm || (!write && TASK_WORD(ts, mm) != mm))
		return false;
	live = live_at(ts->place, ts->mm_id);
	if (!live)
		return false;
	call_seen(ts);
	lock_book(ts, live, mm, write);
	return true;
}

SEC("raw_tp/mmap_lock_released")
int on_mmap_lock_released(u64 *ctx)
{
	u64 task = task_now(), mm = ctx[0];
	struct task_state *ts = desk_find(task);
	bool write = LOCK_WRITE(ctx);

	if (shared.stopped)
		return 0;
	if (ts) {
		busy_set(ts, 1);
		if (lock_released_own(ts, mm, write)) {
			busy_set(ts, 0);
			return 0;
		}
		lock_released(ts, mm, write);
		busy_set(ts, 0);
		leave_if_done(ts);
	} else if (may_have_storage(task) || maybe_foreign(task, mm)) {
		ts = storage_now();
		busy_set(ts, 1);
		lock_released(ts, mm, write);
		busy_set(ts, 0);
	}
	return 0;
}

#endif
