// SPDX-License-Identifier: GPL-2.0-only
/* syscalls: what a watched task asks the kernel for. A memory call is always a row; any other one is a row if it
 * changed memory. */

#define MARK_PREFIX	"heaptrace:"
#define MARK_PREFIX_LEN (sizeof(MARK_PREFIX) - 1)

/* Sends the phase label that write(-1, "heaptrace:NAME", len) carries, if it is one. */
__noinline int mark_send(struct task_state *ts, struct wire_mm *state, u64 at, u64 len)
{
	struct scratch *scratch = scratch_get();
	struct wire_mark *mark;
	long err;

	if (!scratch || !ts || !state || len < MARK_PREFIX_LEN)
		return 0;
	batch_send(ts, false);
	if (!state->open_sent)
		open_send(state, 0);
	mark = &scratch->mark;
	if (len > sizeof(mark->text))
		len = sizeof(mark->text);
	err = bpf_probe_read_user(mark->text, len, (const void *)at);
	if (!err && bpf_strncmp(mark->text, MARK_PREFIX_LEN, MARK_PREFIX))
		return 0;
	head_fill(&mark->head, WIRE_MARK, state->id);
	mark->unread = err != 0;
	mark->text_len = err ? 0 : len;
	/* A phase must not be missed: labels may use the part of the ring that rows leave free. */
	if (!state->open_sent || ring_send(mark, sizeof(*mark)))
		info_dropped();
	return 0;
}

SEC("raw_tp/sys_enter")
int BPF_PROG(on_sys_enter, u64 regs_address, long nr)
{
	struct task_state *ts = CALLS_ANNOUNCED ? state_now() : NULL;

	if (ts && ts->mm)
		call_begin(ts, nr);
	return 0;
}

/* What the current thread has done up to now is due: it is switched out, wakes somebody, or is interrupted by a timer. Who looks
 * at the books while it sleeps, or is woken by it, then sees what was before; and however long it goes on without a call, its
 * rows do not wait. Where calls are announced, what was before one is sent as it begins. An interrupt may come while another program
 * has the thread in hand. */
SEC("raw_tp/sched_switch+sched_waking+hrtimer_expire_entry")
int on_pause(void *ctx)
{
	struct task_state *ts = CALLS_ANNOUNCED ? NULL : state_now();

	if (!ts || !ts->pending || ts->busy || !ts->mm)
		return 0;
	if (flags_of(ts->task) & PF_EXITING) {
		all_flush(ts, bpf_get_current_task_btf());
		return 0;
	}
	call_seen(ts);
	batch_send(ts, false);
	return 0;
}

/* Whether a row of this call names a file that the reader could not know: a successful mmap of a descriptor. */
static __always_inline bool maps_file(s32 nr, struct pt_regs *regs, long ret)
{
	const long map_anonymous = 0x20; /* MAP_ANONYMOUS, the same on every architecture supported */

	return nr == config.nr_mmap && !(ret < 0 && ret >= -4095) && !(SYSCALL_ARG3(regs) & map_anonymous);
}

/* Whether this call has mapped code: stacks through it are not to be walked by the list of before. */
static __always_inline bool maps_code(s32 nr, struct pt_regs *regs, long ret)
{
	const long prot_exec = 4; /* PROT_EXEC */

	return nr == config.nr_mmap && !(ret < 0 && ret >= -4095) && SYSCALL_ARG2(regs) & prot_exec;
}

/* Sends the row of the call of the current task, with the state @ts, that returns @ret. */
static __always_inline void call_send(struct task_state *ts, struct pt_regs *regs, s32 nr, s64 ret)
{
	struct wire_mm *state = mm_of_pending(ts);
	u64 code_order = 0;
	struct row *row;

	if (!state)
		return;
	if (maps_file(nr, regs, ret)) {
		batch_send(ts, false);
		path_send(file_of_fd(SYSCALL_ARG4(regs)));
	}
	if (config.stacks && maps_code(nr, regs, ret)) {
		code_order = __sync_fetch_and_add(&state->code_order, 1) + 1;
		code_update(ts->mm_id, code_order);
	}
	row = own_row(ts, WIRE_SYSCALL, nr);
	if (!row)
		return;
	args_fill(row->args, regs);
	row->ret = ret;
	row->returned = 1;
	row->code_order = code_order;
	row_keep(ts, state, row);
}

/* Sends what is known of a call beside its row: the path of an exec that has failed, and a mark. */
static __always_inline void extras_send(struct task_state *ts, struct pt_regs *regs, s32 nr)
{
	struct wire_mm *state;

	if ((nr == config.nr_execve || nr == config.nr_execveat) && !ts->executed) {
		batch_send(ts, false);
		path_send_text(nr == config.nr_execve ? SYSCALL_ARG0(regs) : SYSCALL_ARG1(regs), true);
	}
	if (nr == config.nr_prctl) { /* it may have changed the thread's name */
		batch_send(ts, false);
		batch_begin(ts, bpf_get_current_task_btf());
	}
	if (nr != config.nr_write || (s32)SYSCALL_ARG0(regs) != -1)
		return;
	state = mm_of_pending(ts);
	if (state)
		mark_send(ts, state, SYSCALL_ARG1(regs), SYSCALL_ARG2(regs));
}

/* 1 + how many arguments the memory call @nr has; 0: it is none. */
static __always_inline u32 arguments_of(s32 nr)
{
	return nr >= 0 && nr < WIRE_SYSCALLS ? config.memcalls[nr & (WIRE_SYSCALLS - 1)] : 0;
}

/* A call of the current task, with the state @ts, returns @ret. */
__noinline int call_ended(struct task_state *ts, s64 ret)
{
	struct pt_regs *regs = regs_of(bpf_get_current_task_btf());
	s32 nr = call_of(regs);
	bool listed;

	if (!ts)
		return 0;
	/* A call that has done nothing yet, or one that a filter has refused before it began. */
	if (ts->where == IN_USER || (!CALLS_ANNOUNCED && ts->where == IN_FLIGHT))
		call_begin(ts, nr);
	else if (RSS_HAS_CACHE)
		cache_settle(ts, bpf_get_current_task_btf());
	if (nr < 0 && ts->where == IN_SYSCALL)
		nr = ts->nr; /* sigreturn: its registers are those of before the signal */
	listed = !ts->newborn && arguments_of(nr);
	ts->newborn = 0;
	ts->where = IN_SYSCALL;
	ts->nr = nr;
	if (config.stacks && (listed || is_changed(ts) || ts->pending & PENDING_KERNEL))
		ts->stack = call_stack(ts, regs);
	/* User faults only of a task that was attached to in the middle of this call: all others are sent as a call begins. */
	if (ts->pending & (PENDING_FAULT | PENDING_RUN | PENDING_KERNEL))
		pending_send(ts, TASK_WORD(ts, maj_flt), false);
	extras_send(ts, regs, nr);
	if (listed || is_changed(ts))
		call_send(ts, regs, nr, ret);
	ts->executed = 0;
	ts->stack = 0;
	ts->where = IN_USER;
	return 0;
}

/* Whether a call may have something to it that takes more than a row: it is what call_ended() looks at. */
static __always_inline bool call_is_special(struct task_state *ts, struct pt_regs *regs, s32 nr, long ret)
{
	struct wire_pages *own = &ts->own;
	u8 usual = ts->where == IN_SYSCALL ? PENDING_BATCH | PENDING_OWN : PENDING_BATCH;

	return RSS_HAS_CACHE || config.stacks || nr < 0 || ts->pending & ~usual || !ts->opened || ts->newborn ||
	       ts->executed || own->rss[0] || own->rss[1] || own->rss[2] || own->rss[3] || nr == config.nr_execve ||
	       nr == config.nr_execveat || nr == config.nr_prctl ||
	       (nr == config.nr_write && (s32)SYSCALL_ARG0(regs) == -1) || maps_file(nr, regs, ret);
}

/* The same for what most calls are: one that is no row, or one that has left RSS alone. False: it is none of these. */
static __always_inline bool call_ended_plainly(struct task_state *ts, struct pt_regs *regs, long ret)
{
	s32 nr = call_of(regs);
	u32 listed = arguments_of(nr);

	if (call_is_special(ts, regs, nr, ret) || (!listed && ts->own.virt))
		return false;
	if (listed && !call_keep(ts, nr, (listed - 1) & 7, ret, regs))
		return false;
	ts->own.virt = 0;
	ts->pending &= ~PENDING_OWN;
	ts->where = IN_USER;
	ts->released = 0;
	return true;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_sys_exit, struct pt_regs *regs, long ret)
{
	u64 task = task_now();
	struct task_state *ts = desk_find(task);

	if (shared.stopped)
		return 0;
	if (ts && ts->mm) {
		busy_set(ts, 1);
		if (!call_ended_plainly(ts, regs, ret))
			call_ended(ts, ret);
		busy_set(ts, 0);
	} else if (may_have_storage(task)) {
		ts = storage_now();
		if (!ts || !ts->mm)
			return 0;
		busy_set(ts, 1);
		call_ended(ts, ret);
		busy_set(ts, 0);
	}
	return 0;
}
