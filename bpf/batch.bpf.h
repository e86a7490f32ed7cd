/* SPDX-License-Identifier: GPL-2.0-only */
/* batch: the rows of a thread about its own mm, kept together until they fill a record. To put one into the ring costs about
 * as much as all else that is done for a call: a lock, and memory that the reader's CPU had last.
 *
 * They do not stay for long. They go ahead of whatever else the thread sends; when it is switched out, ends, or wakes somebody,
 * who may then look at the books; at the next timer of its CPU, which ticks while anything runs there; and at once where the
 * reader sleeps. So what waits is what a running thread has done in the last few milliseconds, and rows of different threads
 * may be that much out of order, as their faults may. */
#ifndef HEAPTRACE_BATCH_BPF_H
#define HEAPTRACE_BATCH_BPF_H

#define BATCH_LAST (WIRE_BATCH_BYTES - sizeof(struct wire_whole_row)) /* where a row may still begin */

/* A program has @ts, the state of the current task or NULL, in hand from now on, or (@busy 0) no longer. An interrupt may come
 * meanwhile: what runs then (on_pause) is to leave it alone, and the scratch memory with it. */
static __always_inline void busy_set(struct task_state *ts, u8 busy)
{
	if (!CALLS_ANNOUNCED && ts)
		*(volatile u8 *)&ts->busy = busy;
}

/* Adds the batch of @ts, which finds no room in the ring and cannot wait any longer, to the folds as one. */
static __always_inline void batch_fold(struct task_state *ts)
{
	struct wire_mm *state = mm_of_pending(ts);
	struct scratch *scratch = scratch_get();
	struct summand *summand;

	if (!state || !scratch)
		return;
	summand = &scratch->summand;
	summand->cause = WIRE_COALESCED;
	summand->nr = -1;
	summand->pid = ts->batch.head.pid;
	summand->tid = ts->batch.head.tid;
	summand->rows = summand->count = ts->batch.rows;
	summand->errors = 0;
	summand->delta = ts->batched;
	fold_add(state, summand);
}

/* Sends the batch of @ts; to be called ahead of anything else that is sent for this thread. Where the ring has no room it stays
 * where it is; if it is the @last of its mm it takes the room that is kept for ends. */
__noinline int batch_send(struct task_state *ts, bool last)
{
	u32 bytes;
	u8 busy;

	if (!ts || !(ts->pending & PENDING_BATCH) || (!last && !ring_has_room()))
		return 0;
	busy = ts->busy;
	busy_set(ts, 1);
	bytes = ts->batch.bytes;
	if (bytes > WIRE_BATCH_BYTES) /* never */
		bytes = WIRE_BATCH_BYTES;
	if (!bpf_ringbuf_output(&ring, &ts->batch, offsetof(struct wire_batch, data) + bytes, wakeup_flags()))
		last = true;
	else if (last)
		batch_fold(ts);
	if (last) {
		ts->batch.bytes = ts->batch.rows = 0;
		__builtin_memset(&ts->batched, 0, sizeof(ts->batched));
		ts->pending &= ~PENDING_BATCH;
	}
	busy_set(ts, busy);
	return 0;
}

/* Writes down whose the rows of @ts, the state of @task, are. That stays as it is from batch to batch. */
static __always_inline void batch_begin(struct task_state *ts, struct task_struct *task)
{
	ts->batch.head.kind = WIRE_BATCH;
	ts->batch.head.mm = ts->mm_id;
	who_fill(&ts->batch.head, task);
}

/* Whether that is known. */
static __always_inline bool batch_has_begun(struct task_state *ts)
{
	return ts->batch.head.mm == ts->mm_id;
}

/* Where the next row of @ts is to be written; NULL where there is no room. */
static __always_inline struct wire_whole_row *batch_row(struct task_state *ts)
{
	u32 at = ts->batch.bytes;

	return at > BATCH_LAST ? NULL : (struct wire_whole_row *)(ts->batch.data + at);
}

static __always_inline void row_head_fill(struct wire_row *row, u32 bytes, u32 cause, s32 nr, u64 stack, u64 order)
{
	row->bytes = bytes;
	row->cause = cause;
	row->nr = nr;
	row->stack = stack;
	row->order = order;
}

/* The row that batch_row() gave the place of is written, and takes @bytes. */
static __always_inline void batch_add(struct task_state *ts, u32 bytes)
{
	ts->batch.bytes += bytes;
	ts->batch.rows++;
	ts->pending |= PENDING_BATCH;
	if (CALLS_ANNOUNCED || shared.reader_sleeps || ts->batch.bytes > BATCH_LAST)
		batch_send(ts, false);
}

#endif
