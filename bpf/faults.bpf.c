// SPDX-License-Identifier: GPL-2.0-only
/* faults: page faults, gathered into runs of one kind on contiguous pages. */

static __always_inline int fault_of_user(u64 address)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_state *ts = task_find(task);
	struct wire_mm *state;
	u64 page = address & ~((1ull << config.page_shift) - 1);

	if (!ts || !ts->mm)
		return 0;
	if (RSS_HAS_CACHE)
		cache_settle(ts, task);
	fault_settle(ts, task->maj_flt);
	if (ts->pending & (PENDING_OWN | PENDING_KERNEL)) {
		state = mm_of_pending(ts);
		if (!state)
			return 0;
		pending_flush(ts, state);
	}
	ts->where = IN_USER;
	ts->released = 0;
	ts->pending |= PENDING_FAULT;
	ts->fault.start = page;
	ts->fault.end = page + (1ull << config.page_shift);
	/* A run has the time of its first; for one that seems to go on with a run the tick will do. */
	ts->fault.ts_ns = ts->pending & PENDING_RUN && page == ts->run.end ? tick_ns(ts) : row_ns(ts);
	ts->fault.count = 1;
	__builtin_memset(&ts->fault.delta, 0, sizeof(ts->fault.delta));
	ts->fault.stack = config.stacks ? fault_stack(ts, regs_of(task)) : 0;
	return 0;
}

static __always_inline int fault_of_kernel(u64 address)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_state *ts = task_find(task);
	u64 page = address & ~((1ull << config.page_shift) - 1);
	struct run *run;

	/* Somebody reads user memory and takes what is there: we, or a profiler that walks the stack. No page comes of it. */
	if (!ts || !ts->mm || task->pagefault_disabled)
		return 0;
	busy_set(ts, 1);
	call_seen(ts, task);
	busy_set(ts, 0);
	ts->released = 0;
	run = &ts->kernel;
	if (!(ts->pending & PENDING_KERNEL)) {
		if (RSS_HAS_CACHE)
			cache_settle(ts, task);
		ts->pending |= PENDING_KERNEL;
		run->count = 1;
		run->start = page;
		run->end = page + (1ull << config.page_shift);
		run->ts_ns = row_ns(ts);
		run->cause = WIRE_KERNEL_FAULT;
		return 0;
	}
	run->count++;
	if (page < run->start)
		run->start = page;
	if (page + (1ull << config.page_shift) > run->end)
		run->end = page + (1ull << config.page_shift);
	return 0;
}

#if defined(__TARGET_ARCH_x86)

SEC("raw_tp/page_fault_user")
int BPF_PROG(on_page_fault_user, unsigned long address)
{
	return fault_of_user(address);
}

SEC("raw_tp/page_fault_kernel")
int BPF_PROG(on_page_fault_kernel, unsigned long address)
{
	return fault_of_kernel(address);
}

#elif defined(__TARGET_ARCH_arm64)

/* struct bpf_perf_event_data. */
struct fault_event {
	u64 regs[31], sp, pc, pstate;
	u64 sample_period, addr;
};

#define PSTATE_MODE 0xf /* 0: the user's */

/* There are no such tracepoints; the software event of page faults has the same to say. The loader opens it on each CPU. */
SEC("perf_event")
int on_page_fault(struct fault_event *event)
{
	return event->pstate & PSTATE_MODE ? fault_of_kernel(event->addr) : fault_of_user(event->addr);
}

#endif
