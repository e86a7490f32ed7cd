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
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_state *ts = task_find(task);

	if (CALLS_ANNOUNCED && ts && ts->mm)
		call_begin(ts, task, nr);
	return 0;
}

/* What the current thread has done up to now is due: it is switched out, wakes somebody, or is interrupted by a timer. Who looks
 * at the books while it sleeps, or is woken by it, then sees what was before; and however long it goes on without a call, its
 * rows do not wait. Where calls are announced, what was before one is sent as it begins. An interrupt may come while another program
 * has the thread in hand. */
SEC("raw_tp/sched_switch+sched_waking+hrtimer_expire_entry")
int on_pause(void *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_state *ts = may_have_state(task) ? task_find(task) : NULL;

	if (CALLS_ANNOUNCED || !ts || !ts->pending || ts->busy || !ts->mm)
		return 0;
	if (task->flags & PF_EXITING) {
		all_flush(ts, task);
		return 0;
	}
	call_seen(ts, task);
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

/* Sends the row of the call that @ts returns from with @ret, if there is something special about it. */
__noinline int call_send_slowly(struct task_state *ts, s32 nr, s64 ret)
{
	struct pt_regs *regs = regs_of(bpf_get_current_task_btf());
	u64 code_order = 0;
	struct wire_mm *state;
	struct row *row;

	if (!ts)
		return 0;
	state = mm_of_pending(ts);
	if (!state)
		return 0;
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
		return 0;
	args_fill(row->args, regs);
	row->ret = ret;
	row->returned = 1;
	row->code_order = code_order;
	return row_keep(ts, state, row);
}

static __always_inline void call_send(struct task_state *ts, struct task_struct *task, s32 nr, u32 args, long ret,
				      struct pt_regs *regs)
{
	struct wire_pages *own = &ts->own;

	if (!ts->opened || own->rss[0] || own->rss[1] || own->rss[2] || own->rss[3] || maps_file(nr, regs, ret) ||
	    (config.stacks && maps_code(nr, regs, ret)) || !call_keep(ts, task, nr, args, ret, regs)) {
		call_send_slowly(ts, nr, ret);
		return;
	}
	own->virt = 0;
	ts->pending &= ~PENDING_OWN;
}

/* Sends what is known of a call beside its row: the path of an exec that has failed, and a mark. */
static __always_inline void extras_send(struct task_state *ts, s32 nr, struct pt_regs *regs)
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

static __always_inline void call_ended(struct task_struct *task, struct task_state *ts, struct pt_regs *regs, long ret)
{
	s32 nr = call_of(regs);
	u32 listed = 0; /* 1 + how many arguments it has */

	/* A call that has done nothing yet, or one that a filter has refused before it began. */
	if (ts->where == IN_USER || (!CALLS_ANNOUNCED && ts->where == IN_FLIGHT))
		call_begin(ts, task, nr);
	else if (RSS_HAS_CACHE)
		cache_settle(ts, task);
	if (nr < 0 && ts->where == IN_SYSCALL)
		nr = ts->nr; /* sigreturn: its registers are those of before the signal */
	if (nr >= 0 && nr < WIRE_SYSCALLS && !ts->newborn)
		listed = config.memcalls[nr & (WIRE_SYSCALLS - 1)];
	ts->newborn = 0;
	ts->where = IN_SYSCALL;
	ts->nr = nr;
	if (config.stacks && (listed || is_changed(ts) || ts->pending & PENDING_KERNEL))
		ts->stack = call_stack(ts, regs);
	/* User faults only of a task that was attached to in the middle of this call: all others are sent as a call begins. */
	if (ts->pending & (PENDING_FAULT | PENDING_RUN | PENDING_KERNEL))
		pending_send(ts, task->maj_flt, false);
	extras_send(ts, nr, regs);
	if (listed || is_changed(ts))
		call_send(ts, task, nr, listed ? (listed - 1) & 7 : 6, ret, regs);
	ts->executed = 0;
	ts->stack = 0;
	ts->where = IN_USER;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_sys_exit, struct pt_regs *regs, long ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_state *ts = may_have_state(task) ? task_find(task) : NULL;

	if (!ts || !ts->mm)
		return 0;
	busy_set(ts, 1);
	call_ended(task, ts, regs, ret);
	busy_set(ts, 0);
	return 0;
}
