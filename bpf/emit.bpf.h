/* SPDX-License-Identifier: GPL-2.0-only */
/* emit: the ways out. A row goes to the ring; if that has no room, into a fold; if that fails, into the mm's own
 * spill. Whichever it is, its effect arrives.
 *
 * Here and elsewhere, functions that are not static are verified once, by themselves, and not again in each state that they
 * are called in: that is what keeps loading short. They take plain numbers and memory of ours, and test what they are
 * given. */
#ifndef HEAPTRACE_EMIT_BPF_H
#define HEAPTRACE_EMIT_BPF_H

static __always_inline u64 wakeup_flags(void)
{
	if (!shared.reader_sleeps)
		return BPF_RB_NO_WAKEUP;
	shared.reader_sleeps = 0;
	return BPF_RB_FORCE_WAKEUP;
}

/* Who does it. The name is copied as it lies, for a helper to do so takes longer than all the rest; it ends at its NUL. */
static __always_inline void who_fill(struct wire_head *head, struct task_struct *task)
{
	const u64 *comm = (const u64 *)task->comm;

	head->pid = process_number(task);
	head->tid = thread_number(task);
	((u64 *)head->comm)[0] = comm[0];
	((u64 *)head->comm)[1] = comm[1];
}

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

/* An empty sum for @key. */
static __always_inline struct wire_fold *fold_begin(const struct wire_fold_key *key, struct task_struct *task)
{
	struct scratch *scratch = scratch_get();

	if (!scratch)
		return NULL;
	__builtin_memset(&scratch->fold, 0, sizeof(scratch->fold));
	scratch->fold.pid = process_number(task);
	scratch->fold.tid = thread_number(task);
	bpf_map_update_elem(&folds, key, &scratch->fold, BPF_NOEXIST);
	return bpf_map_lookup_elem(&folds, key);
}

static __always_inline int row_fold(struct wire_mm *mm, const struct row *row)
{
	struct wire_fold_key key = { .mm = mm->id, .cause = row->cause, .nr = row->nr };
	struct wire_fold *fold;

	__sync_fetch_and_add(&shared.stats.folded_rows, 1);
	if (row->cause == WIRE_ACTOR || row->cause == WIRE_RECLAIM)
		bpf_get_current_comm(key.comm, sizeof(key.comm));
	fold = bpf_map_lookup_elem(&folds, &key);
	if (!fold)
		fold = fold_begin(&key, bpf_get_current_task_btf());
	if (!fold) {
		pages_add_atomic(&mm->spilled, &row->delta);
		__sync_fetch_and_add(&mm->spilled_rows, 1);
		return 0;
	}
	pages_add_atomic(&fold->delta, &row->delta);
	__sync_fetch_and_add(&fold->count, row->count);
	if (row->returned && row->ret < 0 && row->ret >= -4095)
		__sync_fetch_and_add(&fold->errors, 1);
	__sync_fetch_and_add(&fold->rows, 1);
	return 0;
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
	head_fill(&open->head, WIRE_OPEN, state->id);
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

/* Whose pending rows SEED_FLUSH sends: they are not the current task's, and no other program runs then. */
struct {
	u32 pid, tid;
	char comm[WIRE_COMM];
} flushed;

/* Puts @row of the mm numbered @mm_id into the ring. False if it is full. */
static __always_inline bool row_send(u64 mm_id, const struct row *row)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct wire_change *change;

	if (!ring_has_room())
		return false;
	change = bpf_ringbuf_reserve(&ring, sizeof(*change), 0);
	if (!change)
		return false;
	change->head.kind = WIRE_CHANGE;
	change->head.cause = row->cause;
	change->head.ts_ns = row->ts_ns ? row->ts_ns : bpf_ktime_get_ns();
	change->head.mm = mm_id;
	who_fill(&change->head, task);
	if (flushed.tid) {
		change->head.pid = flushed.pid;
		change->head.tid = flushed.tid;
		__builtin_memcpy(change->head.comm, flushed.comm, sizeof(change->head.comm));
	}
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

/* Sends the row of a call that left RSS alone, as short as it can be; this is what is done most often. */
static __always_inline bool call_row_send(struct task_state *ts, struct task_struct *task, s32 nr, s64 ret,
					  struct pt_regs *regs)
{
	struct wire_change *change;

	if (!ring_has_room())
		return false;
	change = bpf_ringbuf_reserve(&ring, WIRE_CALL_BYTES, 0);
	if (!change)
		return false;
	change->head.kind = WIRE_CHANGE;
	change->head.cause = WIRE_SYSCALL;
	change->head.ts_ns = bpf_ktime_get_ns();
	change->head.mm = ts->mm_id;
	who_fill(&change->head, task);
	args_fill(change->args, regs);
	change->ret = ret;
	change->order = ts->order;
	change->stack = ts->stack;
	change->nr = nr;
	change->returned = 1;
	change->delta.virt = ts->own.virt;
	bpf_ringbuf_submit(change, wakeup_flags());
	return true;
}

/* Has @row arrive in one way or the other. */
__noinline int row_emit(struct wire_mm *mm, struct row *row)
{
	if (!mm || !row)
		return 0;
	if (!mm->open_sent)
		open_send(mm, 0);
	if (mm->open_sent && row_send(mm->id, row))
		return 0;
	return row_fold(mm, row);
}

#endif
