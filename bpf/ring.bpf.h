/* SPDX-License-Identifier: GPL-2.0-only */
/* ring: the way out, and the sums for what finds no room in it. */
#ifndef HEAPTRACE_RING_BPF_H
#define HEAPTRACE_RING_BPF_H

static __always_inline u64 wakeup_flags(void)
{
	if (!shared.reader_sleeps)
		return BPF_RB_NO_WAKEUP;
	shared.reader_sleeps = 0;
	return BPF_RB_FORCE_WAKEUP;
}

/* That @task does it. The name is copied as it lies, for a helper to do so takes longer than all the rest; it
 * ends at its NUL. */
static __always_inline void who_fill(struct wire_head *head, struct task_struct *task)
{
	const u64 *comm = (const u64 *)task->comm;

	head->pid = process_number(task);
	head->tid = thread_number(task);
	((u64 *)head->comm)[0] = comm[0];
	((u64 *)head->comm)[1] = comm[1];
}

/* Whether rows may fill the ring further. Looked at every so many rows: what all CPUs send in between is a small part of
 * what is left beyond the limit. */
static __always_inline bool ring_has_room(void)
{
	u32 zero = 0, *left = bpf_map_lookup_elem(&room, &zero);

	if (!left)
		return false;
	if (*left) {
		*left -= 1;
		return true;
	}
	if (bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) >= config.ring_limit)
		return false;
	*left = config.room_rows;
	return true;
}

static __always_inline void info_dropped(void)
{
	__sync_fetch_and_add(&shared.stats.dropped_info, 1);
}

/* The time, to the tick: reading the clock is a good part of what a call or a fault costs. Not before the run that there is, which
 * may have begun later in the same tick than the clock was read. */
static __always_inline u64 tick_ns(struct task_state *ts)
{
	u64 tick = bpf_jiffies64();

	if (ts->tick != tick) {
		ts->tick = tick;
		ts->tick_ns = bpf_ktime_get_ns();
	}
	return ts->tick_ns > ts->run.ts_ns ? ts->tick_ns : ts->run.ts_ns;
}

/* The time for a row of @ts. */
static __always_inline u64 row_ns(struct task_state *ts)
{
	return config.rough_times ? tick_ns(ts) : bpf_ktime_get_ns();
}

/* Whether what a call returned is an error. */
static __always_inline bool is_error(s64 ret)
{
	return ret < 0 && ret >= -4095;
}

/* An empty sum for @key, of which @first is the first. */
static __always_inline struct wire_fold *fold_begin(const struct wire_fold_key *key, const struct summand *first)
{
	struct scratch *scratch = scratch_get();

	if (!scratch)
		return NULL;
	__builtin_memset(&scratch->fold, 0, sizeof(scratch->fold));
	scratch->fold.pid = first->pid;
	scratch->fold.tid = first->tid;
	bpf_map_update_elem(&folds, key, &scratch->fold, BPF_NOEXIST);
	return bpf_map_lookup_elem(&folds, key);
}

/* Adds @row about @mm to the sum of those like it; to the mm's own spill where there is no room for one more sum. */
__noinline int fold_add(struct wire_mm *mm, const struct summand *row)
{
	struct wire_fold_key key = {};
	struct wire_fold *fold;

	if (!mm || !row)
		return 0;
	key.mm = mm->id;
	key.cause = row->cause;
	key.nr = row->nr;
	if (key.cause == WIRE_ACTOR || key.cause == WIRE_RECLAIM)
		bpf_get_current_comm(key.comm, sizeof(key.comm));
	fold = bpf_map_lookup_elem(&folds, &key);
	if (!fold)
		fold = fold_begin(&key, row);
	if (fold) {
		pages_add_atomic(&fold->delta, &row->delta);
		__sync_fetch_and_add(&fold->count, row->count);
		if (row->errors)
			__sync_fetch_and_add(&fold->errors, row->errors);
		__sync_fetch_and_add(&fold->rows, row->rows);
	} else {
		pages_add_atomic(&mm->spilled, &row->delta);
		__sync_fetch_and_add(&mm->spilled_rows, row->rows);
	}
	/* Last: the reader looks at the sums again when this has changed. */
	__sync_fetch_and_add(&shared.stats.folded_rows, row->rows);
	return 0;
}

#endif
