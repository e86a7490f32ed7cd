/* SPDX-License-Identifier: GPL-2.0-only */
/* pending: what a task has done and not yet sent: a run of user faults, kernel-mode faults, the effect of the syscall
 * it is in. A fault's effect is known only after it, so the last one stays open until the task does something else. */
#ifndef HEAPTRACE_PENDING_BPF_H
#define HEAPTRACE_PENDING_BPF_H

/* A run that stays open this long is sent when its next fault comes, so that the reader sees a long touch as it goes. */
#define RUN_MAX_NS 1000000000ull

/* @value, or 0 where it is negative; without a branch, for the verifier would go on from both of its ends. */
static __always_inline s64 not_below_zero(s64 value)
{
	s64 sign = value >> 63;

	asm volatile("" : "+r"(sign));
	return value & ~sign;
}

/* The least power of two that is not below @value, of 65536 at most. */
static __always_inline u64 pow2_at_least(s64 value)
{
	u64 bits = not_below_zero(value - 1);

	bits |= bits >> 1;
	bits |= bits >> 2;
	bits |= bits >> 4;
	bits |= bits >> 8;
	return bits + 1;
}

/* Sends @run of @ts as a row and empties it. */
__noinline int run_flush(struct task_state *ts, struct wire_mm *state, struct run *run, s32 nr)
{
	struct row *row;

	if (!ts || !state || !run)
		return 0;
	row = row_begin(run->cause, nr);
	if (!row)
		return 0;
	row->delta = run->delta;
	row->addr = run->start;
	row->len = run->end - run->start;
	row->args[WIRE_FAULT_FIRST] = run->first;
	row->args[WIRE_FAULT_LAST] = run->last;
	row->count = run->count;
	row->ts_ns = run->ts_ns;
	row->order = ts->order;
	row->stack = run->stack;
	__builtin_memset(run, 0, sizeof(*run));
	return row_keep(ts, state, row);
}

#define AROUND_BYTES (64u << 10) /* mm/memory.c: fault_around_bytes */

/* Pages that one fault filled: a huge page, a batch of a file's around the one, else one. They are aligned; that a batch does not reach
 * beyond its mapping is seen to by the reader, who knows that. */
static __always_inline void fault_extent(struct run *fault)
{
	const s64 *rss = fault->delta.rss;
	s64 of_file = not_below_zero(rss[WIRE_FILE]) + not_below_zero(rss[WIRE_SHMEM]);
	u64 bytes = pow2_at_least(of_file + not_below_zero(rss[WIRE_ANON])) << config.page_shift;

	fault->batches = of_file > 1;
	if (fault->batches && bytes < AROUND_BYTES)
		bytes = AROUND_BYTES;
	fault->first = fault->last = fault->start;
	fault->start &= ~(bytes - 1);
	fault->end = fault->start + bytes;
}

/* Begins another run with the open fault, once the one there is sent. */
static __always_inline void run_begin(struct task_state *ts)
{
	struct wire_mm *state;

	if (ts->pending & PENDING_RUN) {
		state = mm_of_pending(ts);
		if (!state)
			return;
		run_flush(ts, state, &ts->run, -1);
	}
	ts->run = ts->fault;
	ts->pending |= PENDING_RUN;
}

/* Moves the open fault, if there is one, into the run that it continues or begins. The task has had @maj_flt major ones. */
static __always_inline void fault_settle(struct task_state *ts, u64 maj_flt)
{
	struct run *run = &ts->run;
	struct run *fault = &ts->fault;

	if (!(ts->pending & PENDING_FAULT))
		return;
	ts->pending &= ~PENDING_FAULT;
	if (fault->delta.virt > 0)
		fault->cause = WIRE_FAULT_STACK;
	else if (maj_flt != ts->maj_flt)
		fault->cause = WIRE_FAULT_MAJOR;
	else
		fault->cause = WIRE_FAULT_MINOR;
	ts->maj_flt = maj_flt;
	fault_extent(fault);
	if (!(ts->pending & PENDING_RUN) || run->cause != fault->cause || run->stack != fault->stack ||
	    run->batches != fault->batches || fault->start > run->end || fault->end < run->start ||
	    fault->ts_ns - run->ts_ns > RUN_MAX_NS) {
		run_begin(ts);
		return;
	}
	if (fault->start < run->start)
		run->start = fault->start;
	if (fault->end > run->end)
		run->end = fault->end;
	if (fault->first < run->first)
		run->first = fault->first;
	if (fault->last > run->last)
		run->last = fault->last;
	run->count++;
	pages_add(&run->delta, &fault->delta);
}

/* Sends what kernel-mode faults did. */
static __always_inline void kernel_faults_flush(struct task_state *ts, struct wire_mm *state)
{
	if (!(ts->pending & PENDING_KERNEL))
		return;
	ts->pending &= ~PENDING_KERNEL;
	ts->kernel.stack = ts->stack;
	run_flush(ts, state, &ts->kernel, ts->where == IN_SYSCALL ? ts->nr : -1);
}

/* Whether the call of @ts has changed memory: what it took and gave back within itself is no change, nor is a cache of RSS
 * that it handed over. */
static __always_inline bool is_changed(struct task_state *ts)
{
	if (ts->pending & PENDING_OWN && pages_are_zero(&ts->own))
		ts->pending &= ~PENDING_OWN;
	return ts->pending & PENDING_OWN;
}

/* A row of what calls of @ts have changed, which is then no longer pending. NULL where there is no room for it. */
static __always_inline struct row *own_row(struct task_state *ts, u32 cause, s32 nr)
{
	struct row *row = row_begin(cause, nr);

	if (!row)
		return NULL;
	row->delta = ts->own;
	row->order = ts->order;
	row->stack = ts->stack;
	__builtin_memset(&ts->own, 0, sizeof(ts->own));
	ts->pending &= ~PENDING_OWN;
	return row;
}

/* Sends what calls and kernel-mode faults did, as rows of @state: for when the thread, or its mm, ends, or it goes on to
 * something else. */
__noinline int pending_flush(struct task_state *ts, struct wire_mm *state)
{
	struct row *row;

	if (!ts || !state)
		return 0;
	kernel_faults_flush(ts, state);
	if (!is_changed(ts))
		return 0;
	row = ts->where == IN_SYSCALL ? own_row(ts, WIRE_SYSCALL, ts->nr) : own_row(ts, WIRE_IN_FLIGHT, -1);
	return row ? row_keep(ts, state, row) : 0;
}

/* Sends the faults that @ts has not sent yet, and with @call what its call has changed. */
__noinline int pending_send(struct task_state *ts, u64 maj_flt, bool call)
{
	struct wire_mm *state;

	if (!ts)
		return 0;
	state = mm_of_pending(ts);
	if (!state)
		return 0;
	fault_settle(ts, maj_flt);
	if (ts->pending & PENDING_RUN) {
		ts->pending &= ~PENDING_RUN;
		run_flush(ts, state, &ts->run, -1);
	}
	if (call)
		return pending_flush(ts, state);
	kernel_faults_flush(ts, state);
	return 0;
}

/* Has nothing of @ts, the state of @task, wait any longer. */
static __always_inline void all_flush(struct task_state *ts, struct task_struct *task)
{
	if (RSS_HAS_CACHE)
		cache_settle(ts, task);
	pending_send(ts, task->maj_flt, true);
	batch_send(ts, true);
}

/* Whether the caller is the one to send what @ts owed as all was stopped: it is asked for of each thread, but one that ends before
 * does so itself. */
static __always_inline bool part_begins(struct task_state *ts)
{
	return ts->mm && !__sync_lock_test_and_set(&ts->parted, 1);
}

#endif
