/* SPDX-License-Identifier: GPL-2.0-only */
/* emit: records. A row goes into its thread's batch or straight to the ring; if that has no room, into a fold; if that fails,
 * into the mm's own spill. Whichever it is, its effect arrives.
 *
 * Here and elsewhere, functions that are not static are verified once, by themselves, and not again in each state that they
 * are called in: that is what keeps loading short. They take plain numbers and memory of ours, and test what they are
 * given. */
#ifndef HEAPTRACE_EMIT_BPF_H
#define HEAPTRACE_EMIT_BPF_H

/* The head of a record that the current task sends. */
static __always_inline void head_fill(struct wire_head *head, u32 kind, u64 mm_id)
{
	head->kind = kind;
	head->cause = 0;
	head->ts_ns = bpf_ktime_get_ns();
	head->mm = mm_id;
	who_fill(head, bpf_get_current_task_btf());
}

/* Sends a built record. Returns 0, or an error when the ring is full. */
static __always_inline long ring_send(void *record, u64 size)
{
	return bpf_ringbuf_output(&ring, record, size, wakeup_flags());
}

/* An empty row; there is one at a time. */
static __always_inline struct row *row_begin(u32 cause, s32 nr)
{
	struct scratch *scratch = scratch_get();

	if (!scratch)
		return NULL;
	__builtin_memset(&scratch->row, 0, sizeof(scratch->row));
	scratch->row.cause = cause;
	scratch->row.nr = nr;
	scratch->row.count = 1;
	return &scratch->row;
}

/* Tries to say that @state's mm was opened, by the file whose path is @len bytes at the scratch's open.text. Rows before that
 * would mean nothing to the reader. */
__noinline int open_send(struct wire_mm *state, u32 len)
{
	struct scratch *scratch = scratch_get();
	struct wire_open *open;

	if (!scratch || !state)
		return 0;
	if (len > WIRE_TEXT)
		len = 0;
	open = &scratch->open;
	open->head.kind = WIRE_OPEN;
	open->head.cause = 0;
	open->head.ts_ns = bpf_ktime_get_ns();
	open->head.mm = state->id;
	open->head.pid = open->head.tid = state->pid;
	__builtin_memcpy(open->head.comm, state->comm, sizeof(open->head.comm));
	open->opening = state->opening;
	open->parent_mm = state->parent;
	open->start_brk = state->start_brk;
	open->brk = state->brk;
	open->start_stack = state->start_stack;
	open->how = state->how;
	open->text_len = len;
	if (!ring_send(open, offsetof(struct wire_open, text) + len))
		state->open_sent = 1;
	return 0;
}

/* The @index-th argument (a constant) of the syscall that @regs are of; unchanged until the syscall has returned. */
#if defined(__TARGET_ARCH_x86)
#define SYSCALL_ARG0(regs) ((regs)->di)
#define SYSCALL_ARG1(regs) ((regs)->si)
#define SYSCALL_ARG2(regs) ((regs)->dx)
#define SYSCALL_ARG3(regs) ((regs)->r10)
#define SYSCALL_ARG4(regs) ((regs)->r8)
#define SYSCALL_ARG5(regs) ((regs)->r9)
#elif defined(__TARGET_ARCH_arm64)
#define SYSCALL_ARG0(regs) ((regs)->orig_x0)
#define SYSCALL_ARG1(regs) ((regs)->regs[1])
#define SYSCALL_ARG2(regs) ((regs)->regs[2])
#define SYSCALL_ARG3(regs) ((regs)->regs[3])
#define SYSCALL_ARG4(regs) ((regs)->regs[4])
#define SYSCALL_ARG5(regs) ((regs)->regs[5])
#endif

/* The registers with which @task, the current one, entered the kernel. */
static __always_inline struct pt_regs *regs_of(struct task_struct *task)
{
	return (struct pt_regs *)bpf_task_pt_regs(task);
}

static __always_inline void args_fill(u64 *args, struct pt_regs *regs)
{
	args[0] = SYSCALL_ARG0(regs);
	args[1] = SYSCALL_ARG1(regs);
	args[2] = SYSCALL_ARG2(regs);
	args[3] = SYSCALL_ARG3(regs);
	args[4] = SYSCALL_ARG4(regs);
	args[5] = SYSCALL_ARG5(regs);
}

/* Puts @row, of whom @head says, into the ring. False if it is full. */
static __always_inline bool row_send(const struct wire_head *head, const struct row *row)
{
	struct wire_change *change;

	if (!ring_has_room())
		return false;
	change = bpf_ringbuf_reserve(&ring, sizeof(*change), 0);
	if (!change)
		return false;
	change->head = *head;
	change->delta = row->delta;
	__builtin_memcpy(change->args, row->args, sizeof(change->args));
	change->ret = row->ret;
	change->addr = row->addr;
	change->len = row->len;
	change->count = row->count;
	change->order = row->order;
	change->stack = row->stack;
	change->code_order = row->code_order;
	change->nr = row->nr;
	change->returned = row->returned;
	bpf_ringbuf_submit(change, wakeup_flags());
	return true;
}

/* Has @row arrive in one way or the other: by the thread that @who tells of, or by the current one (NULL). */
__noinline int row_emit(struct wire_mm *mm, const struct row *row, const struct wire_head *who)
{
	struct scratch *scratch = scratch_get();
	struct summand *summand;
	struct wire_head head;

	if (!mm || !row || !scratch)
		return 0;
	if (!mm->open_sent)
		open_send(mm, 0);
	/* One load from either would not pass the verifier. */
	if (who) {
		head = *who;
		asm volatile("" ::: "memory");
	} else {
		who_fill(&head, bpf_get_current_task_btf());
		asm volatile("" ::: "memory");
	}
	head.kind = WIRE_CHANGE;
	head.cause = row->cause;
	head.ts_ns = row->ts_ns ? row->ts_ns : bpf_ktime_get_ns();
	head.mm = mm->id;
	if (mm->open_sent && row_send(&head, row))
		return 0;
	summand = &scratch->summand;
	summand->cause = row->cause;
	summand->nr = row->nr;
	summand->pid = head.pid;
	summand->tid = head.tid;
	summand->rows = 1;
	summand->count = row->count;
	summand->errors = row->returned && is_error(row->ret);
	summand->delta = row->delta;
	return fold_add(mm, summand);
}

static __always_inline void whole_row_fill(struct wire_whole_row *whole, struct task_state *ts, const struct row *row)
{
	row_head_fill(&whole->call.row, sizeof(*whole), row->cause, row->nr, row->stack, row->order);
	whole->call.row.ts_ns = row->ts_ns ? row->ts_ns : row_ns(ts);
	whole->call.row.returned = row->returned;
	whole->call.row.ret = row->ret;
	whole->call.row.virt = row->delta.virt;
	__builtin_memcpy(whole->call.args, row->args, sizeof(row->args));
	__builtin_memcpy(whole->rss, row->delta.rss, sizeof(row->delta.rss));
	whole->addr = row->addr;
	whole->len = row->len;
	whole->count = row->count;
}

/* Has @row, by the thread of @ts about its own mm @mm, arrive. */
__noinline int row_keep(struct task_state *ts, struct wire_mm *mm, const struct row *row)
{
	struct wire_whole_row *whole = NULL;
	u8 busy;

	if (!ts || !mm || !row)
		return 0;
	busy = ts->busy;
	busy_set(ts, 1);
	if (ts->opened && !row->code_order)
		whole = batch_row(ts);
	if (!batch_has_begun(ts))
		batch_begin(ts, bpf_get_current_task_btf());
	if (whole) {
		whole_row_fill(whole, ts, row);
		pages_add(&ts->batched, &row->delta);
		batch_add(ts, sizeof(*whole));
	} else {
		batch_send(ts, false);
		row_emit(mm, row, &ts->batch.head);
		ts->opened = mm->open_sent;
	}
	busy_set(ts, busy);
	return 0;
}

/* The same for a call with @args arguments that left RSS alone, in as few words as can be: this is what is done most often. @ts is
 * marked as busy. False where there is no room for it. */
static __always_inline bool call_keep(struct task_state *ts, s32 nr, u32 args, s64 ret, struct pt_regs *regs)
{
	struct wire_whole_row *whole = batch_row(ts);
	struct wire_call_row *call;
	u32 bytes = sizeof(call->row) + args * sizeof(u64);

	if (!whole)
		return false;
	if (!ts->batch.bytes) /* somebody may have renamed it */
		batch_begin(ts, bpf_get_current_task_btf());
	call = &whole->call;
	row_head_fill(&call->row, bytes, WIRE_SYSCALL, nr, ts->stack, ts->order);
	call->row.ts_ns = row_ns(ts);
	call->row.returned = 1;
	call->row.ret = ret;
	call->row.virt = ts->own.virt;
	args_fill(call->args, regs);
	ts->batched.virt += ts->own.virt;
	batch_add(ts, bytes);
	return true;
}

#endif
