// SPDX-License-Identifier: GPL-2.0-only
/* faults: page faults, gathered into runs of one kind on contiguous pages. */

static __always_inline void fault_of_user(struct task_state *ts, u64 address)
{
	struct wire_mm *state;
	u64 page = address & ~((1ull << config.page_shift) - 1);

	if (RSS_HAS_CACHE)
		cache_settle(ts, bpf_get_current_task_btf());
	fault_settle(ts, TASK_WORD(ts, maj_flt));
	if (ts->pending & (PENDING_OWN | PENDING_KERNEL)) {
		state = mm_of_pending(ts);
		if (!state)
			return;
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
	ts->fault.stack = config.stacks ? fault_stack(ts, regs_of(bpf_get_current_task_btf())) : 0;
}

static __always_inline void fault_of_kernel(struct task_state *ts, u64 address)
{
	u64 page = address & ~((1ull << config.page_shift) - 1);
	struct run *run = &ts->kernel;

	/* Somebody reads user memory and takes what is there: we, or a profiler that walks the stack. No page comes of it. Not
	 * half_word_at: a helper that reads has disabled faults itself. */
	if (bpf_get_current_task_btf()->pagefault_disabled)
		return;
	busy_set(ts, 1);
	call_seen(ts);
	busy_set(ts, 0);
	ts->released = 0;
	if (!(ts->pending & PENDING_KERNEL)) {
		if (RSS_HAS_CACHE)
			cache_settle(ts, bpf_get_current_task_btf());
		ts->pending |= PENDING_KERNEL;
		run->count = 1;
		run->start = page;
		run->end = page + (1ull << config.page_shift);
		run->ts_ns = row_ns(ts);
		run->cause = WIRE_KERNEL_FAULT;
		return;
	}
	run->count++;
	if (page < run->start)
		run->start = page;
	if (page + (1ull << config.page_shift) > run->end)
		run->end = page + (1ull << config.page_shift);
}

/* The current task, with the state @ts, takes a fault. */
static __always_inline void faulted(struct task_state *ts, u64 address, bool user)
{
	if (!ts->mm)
		return;
	if (user)
		fault_of_user(ts, address);
	else
		fault_of_kernel(ts, address);
}

/* The same where its state is not at a desk. */
__noinline int faulted_slowly(struct task_state *ts, u64 address, bool user)
{
	if (ts)
		faulted(ts, address, user);
	return 0;
}

static __always_inline void fault(u64 address, bool user)
{
	u64 task = task_now();
	struct task_state *ts = desk_find(task);

	if (shared.stopped)
		return;
	if (ts)
		faulted(ts, address, user);
	else if (may_have_storage(task))
		faulted_slowly(storage_now(), address, user);
}

#if defined(__TARGET_ARCH_x86)

/* One program for both, as each would take its own copy of what they need through the verifier. */
SEC("raw_tp/page_fault_user+page_fault_kernel")
int BPF_PROG(on_page_fault, unsigned long address, u64 regs)
{
	fault(address, WORD_OF((struct pt_regs *)regs, cs) & SEGMENT_RPL);
	return 0;
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
	fault(event->addr, !(event->pstate & PSTATE_MODE));
	return 0;
}

#endif
