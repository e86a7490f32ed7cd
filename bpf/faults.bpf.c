// SPDX-License-Identifier: GPL-2.0-only
/* faults: page faults, gathered into runs of one kind on contiguous pages. */

SEC("tp_btf/page_fault_user")
int BPF_PROG(on_page_fault_user, unsigned long address, struct pt_regs *regs, unsigned long error_code)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_state *ts = task_find(task);
	struct wire_mm *state;
	u64 page = address & ~((1ull << config.page_shift) - 1);

	if (!ts || !ts->mm)
		return 0;
	cache_settle(ts, task);
	if (ts->fault_open || ts->dirty || ts->kernel.count) {
		state = mm_of_pending(ts);
		if (!state)
			return 0;
		fault_settle(ts, state);
		pending_flush(ts, state);
	}
	if (ts->where != IN_USER)
		ts->where = IN_USER;
	ts->fault_open = 1;
	ts->fault.start = page;
	ts->fault.end = page + (1ull << config.page_shift);
	ts->fault.ts_ns = bpf_ktime_get_ns();
	ts->fault.count = 1;
	__builtin_memset(&ts->fault.delta, 0, sizeof(ts->fault.delta));
	ts->fault.stack = config.stacks ? fault_stack(ts, regs) : 0;
	return 0;
}

SEC("tp_btf/page_fault_kernel")
int BPF_PROG(on_page_fault_kernel, unsigned long address, struct pt_regs *regs, unsigned long error_code)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_state *ts = task_find(task);
	u64 page = address & ~((1ull << config.page_shift) - 1);
	struct run *run;

	if (!ts || !ts->mm || ts->reading)
		return 0;
	run = &ts->kernel;
	if (!run->count)
		cache_settle(ts, task);
	if (!run->count++) {
		run->start = page;
		run->end = page + (1ull << config.page_shift);
		run->ts_ns = bpf_ktime_get_ns();
		run->cause = WIRE_KERNEL_FAULT;
		return 0;
	}
	if (page < run->start)
		run->start = page;
	if (page + (1ull << config.page_shift) > run->end)
		run->end = page + (1ull << config.page_shift);
	return 0;
}
