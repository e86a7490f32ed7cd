/* SPDX-License-Identifier: GPL-2.0-only */
/* emit: the ways out. A row goes to the ring; if that has no room, into a fold; if that fails, into the mm's own
 * spill. Whichever it is, its effect arrives. */
#ifndef HEAPTRACE_EMIT_BPF_H
#define HEAPTRACE_EMIT_BPF_H

static __always_inline u64 wakeup_flags(void)
{
	if (!shared.reader_sleeps)
		return BPF_RB_NO_WAKEUP;
	shared.reader_sleeps = 0;
	return BPF_RB_FORCE_WAKEUP;
}

static __always_inline void head_fill(struct wire_head *head, u32 kind, u64 mm_id)
{
	struct task_struct *task = bpf_get_current_task_btf();

	head->kind = kind;
	head->cause = 0;
	head->ts_ns = bpf_ktime_get_ns();
	head->mm = mm_id;
	head->pid = task->tgid;
	head->tid = task->pid;
	bpf_get_current_comm(head->comm, sizeof(head->comm));
}

/* Sends a built record. Returns 0, or an error when the ring is full. */
static __always_inline long ring_send(void *record, u64 size)
{
	return bpf_ringbuf_output(&ring, record, size, wakeup_flags());
}

static __always_inline bool ring_has_room(void)
{
	return bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) < config.ring_limit;
}

static __always_inline void info_dropped(void)
{
	__sync_fetch_and_add(&shared.stats.dropped_info, 1);
}

/* What a row needs besides who and when. */
struct row {
	struct wire_pages delta;
	u64 addr, len, count, ts_ns, order;
	u64 stack, code_order;
	s64 ret;
	u32 cause;
	s32 nr;
	u32 returned;
};

static __noinline int row_fold(struct wire_mm *mm, const struct row *row)
{
	struct wire_fold_key key = { .mm = mm->id, .cause = row->cause, .nr = row->nr };
	struct task_struct *task = bpf_get_current_task_btf();
	struct wire_fold *fold;

	__sync_fetch_and_add(&shared.stats.folded_rows, 1);
	if (row->cause == WIRE_ACTOR || row->cause == WIRE_RECLAIM)
		bpf_get_current_comm(key.comm, sizeof(key.comm));
	fold = bpf_map_lookup_elem(&folds, &key);
	if (!fold) {
		struct wire_fold zero = { .pid = task->tgid, .tid = task->pid };

		bpf_map_update_elem(&folds, &key, &zero, BPF_NOEXIST);
		fold = bpf_map_lookup_elem(&folds, &key);
	}
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

/* Tries to say that @mm was opened. Rows before that would mean nothing to the reader. */
static __noinline int open_send(struct wire_mm *mm, struct file *image);

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

/* Puts @row of the mm numbered @mm_id into the ring; @regs are those of its syscall, or NULL. False if it is full. */
static __noinline bool row_send(u64 mm_id, const struct row *row, struct pt_regs *regs)
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
	if (flushed.tid) {
		change->head.pid = flushed.pid;
		change->head.tid = flushed.tid;
		__builtin_memcpy(change->head.comm, flushed.comm, sizeof(change->head.comm));
	} else {
		change->head.pid = task->tgid;
		change->head.tid = task->pid;
		bpf_get_current_comm(change->head.comm, sizeof(change->head.comm));
	}
	change->delta = row->delta;
	if (regs)
		args_fill(change->args, regs);
	else
		__builtin_memset(change->args, 0, sizeof(change->args));
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

/* Has @row arrive in one way or the other. */
static __noinline int row_emit(struct wire_mm *mm, struct row *row, struct pt_regs *regs)
{
	if (!mm->open_sent)
		open_send(mm, NULL);
	if (mm->open_sent && row_send(mm->id, row, regs))
		return 0;
	return row_fold(mm, row);
}

#endif
