// SPDX-License-Identifier: GPL-2.0-only
/* syscalls: what a watched task asks the kernel for. A memory call is always a row; any other one is a row if it
 * changed memory. */

#define MARK_PREFIX	"heaptrace:"
#define MARK_PREFIX_LEN (sizeof(MARK_PREFIX) - 1)

/* Sends the phase label that write(-1, "heaptrace:NAME", len) carries, if it is one. */
static __noinline int mark_send(struct task_state *ts, struct wire_mm *state, u64 at, u64 len)
{
	struct scratch *scratch = scratch_get();
	struct wire_mark *mark;
	long err;

	if (!scratch || len < MARK_PREFIX_LEN)
		return 0;
	mark = &scratch->mark;
	if (len > sizeof(mark->text))
		len = sizeof(mark->text);
	ts->reading = 1;
	err = bpf_probe_read_user(mark->text, len, (const void *)at);
	ts->reading = 0;
	if (!err && bpf_strncmp(mark->text, MARK_PREFIX_LEN, MARK_PREFIX))
		return 0;
	head_fill(&mark->head, WIRE_MARK, state->id);
	mark->unread = err != 0;
	mark->text_len = err ? 0 : len;
	if (!state->open_sent || !ring_has_room() || ring_send(mark, sizeof(*mark)))
		info_dropped();
	return 0;
}

static __always_inline void exec_path_send(struct task_state *ts, struct pt_regs *regs, s32 nr)
{
	if (nr == config.nr_execve)
		path_send_user(ts, SYSCALL_ARG0(regs));
	else if (nr == config.nr_execveat)
		path_send_user(ts, SYSCALL_ARG1(regs));
}

SEC("tp_btf/sys_enter")
int BPF_PROG(on_sys_enter, struct pt_regs *regs, long nr)
{
	struct task_state *ts = task_find(bpf_get_current_task_btf());
	struct wire_mm *state;

	if (!ts || !ts->watched)
		return 0;
	if (ts->await_exec) {
		ts->nr = nr;
		exec_path_send(ts, regs, nr);
		return 0;
	}
	/* Here, so that a thread that sleeps owes nothing: whoever looks at the books then sees what it touched. */
	if (ts->fault_open || ts->run.count || ts->dirty || ts->kernel.count)
		all_flush(ts);
	ts->where = IN_SYSCALL;
	ts->nr = nr;
	if (nr == config.nr_write && (s32)SYSCALL_ARG0(regs) == -1) {
		state = mm_of_pending(ts);
		if (state)
			mark_send(ts, state, SYSCALL_ARG1(regs), SYSCALL_ARG2(regs));
	}
	exec_path_send(ts, regs, nr);
	return 0;
}

/* Whether a row of this call names a file that the reader could not know: a successful mmap of a descriptor. */
static __always_inline bool maps_file(s32 nr, struct pt_regs *regs, long ret)
{
	const long map_anonymous = 0x20; /* MAP_ANONYMOUS, the same on every architecture supported */

	return nr == config.nr_mmap && !(ret < 0 && ret >= -4095) && !(SYSCALL_ARG3(regs) & map_anonymous);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_sys_exit, struct pt_regs *regs, long ret)
{
	struct task_state *ts = task_find(bpf_get_current_task_btf());
	struct row row = {};
	struct wire_mm *state;
	bool listed;
	s32 nr;

	if (!ts || !ts->watched || ts->await_exec || ts->where == IN_USER)
		return 0;
	nr = ts->where == IN_SYSCALL ? ts->nr : syscall_of_task(bpf_get_current_task_btf());
	listed = nr >= 0 && nr < WIRE_SYSCALLS && config.memcalls[nr & (WIRE_SYSCALLS - 1)];
	if (ts->newborn) {
		ts->newborn = 0;
		listed = false;
	}
	if (!listed && !ts->dirty && !ts->kernel.count) {
		ts->where = IN_USER;
		return 0;
	}
	state = mm_of_pending(ts);
	if (!state) {
		ts->where = IN_USER;
		return 0;
	}
	faults_flush(ts, state); /* only of a task that was attached to in the middle of this call */
	ts->where = IN_SYSCALL;
	ts->nr = nr;
	kernel_faults_flush(ts, state);
	ts->where = IN_USER;
	if (!listed && !ts->dirty)
		return 0;
	row.delta = ts->own;
	row.cause = WIRE_SYSCALL;
	row.nr = nr;
	row.ret = ret;
	row.returned = 1;
	row.count = 1;
	row.order = ts->order;
	__builtin_memset(&ts->own, 0, sizeof(ts->own));
	ts->dirty = 0;
	if (listed && maps_file(nr, regs, ret))
		path_send(file_of_fd(SYSCALL_ARG4(regs)));
	return row_emit(state, &row, regs);
}
