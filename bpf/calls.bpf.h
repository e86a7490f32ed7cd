/* SPDX-License-Identifier: GPL-2.0-only */
/* calls: whether a task is in a syscall, and in which, told by the registers with which it has entered the kernel. So no program
 * runs as a call begins: it would run for each call of each process.
 *
 * On x86 the entry of a call leaves its number in orig_ax and -ENOSYS in ax, which the call's result takes the place of just
 * before sys_exit; an exception or an interrupt leaves -1 in orig_ax. (What is done for a signal on the way out of a call that
 * itself returned -ENOSYS looks like that call.) On aarch64 nothing tells a call from the way out of it. */
#ifndef HEAPTRACE_CALLS_BPF_H
#define HEAPTRACE_CALLS_BPF_H

#define NO_SUCH_CALL (-38) /* -ENOSYS */

/* The number of the call that the task with @regs is in or on its way out of; negative where it came in by no call. */
static __always_inline s32 call_of(struct pt_regs *regs)
{
#if defined(__TARGET_ARCH_x86)
	return regs->orig_ax;
#elif defined(__TARGET_ARCH_arm64)
	return regs->syscallno;
#endif
}

/* The number of the call that the current task, with its registers at @at, is in; -1 where it is in none. */
static __always_inline s32 call_now(u64 at)
{
	struct pt_regs *regs = (struct pt_regs *)at;
	s32 nr;

#if defined(__TARGET_ARCH_x86)
	if ((s32)WORD_OF(regs, ax) != NO_SUCH_CALL)
		return -1;
	nr = WORD_OF(regs, orig_ax);
#elif defined(__TARGET_ARCH_arm64)
	nr = half_word_at(at + bpf_core_field_offset(regs->syscallno));
#endif
	return nr >= 0 ? nr : -1;
}

/* The current task, with the state @ts, has begun the call @nr. What it did before is due. */
static __always_inline void call_begin(struct task_state *ts, s32 nr)
{
	if (RSS_HAS_CACHE)
		cache_settle(ts, bpf_get_current_task_btf());
	if (ts->pending & ~PENDING_BATCH)
		pending_send(ts, TASK_WORD(ts, maj_flt), true);
	ts->where = IN_SYSCALL;
	ts->released = 0;
	ts->nr = nr;
}

/* To be asked ahead of anything that depends on where the current task, with the state @ts, is. */
static __always_inline void call_seen(struct task_state *ts)
{
	s32 nr;

	if (CALLS_ANNOUNCED || !ts->mm || ts->where == IN_SYSCALL)
		return;
	nr = call_now(ts->regs);
	/* A thread that exits is in its last call by its registers for as long as it lasts. */
	if (nr >= 0 && !(flags_of(ts->task) & PF_EXITING))
		call_begin(ts, nr);
}

#endif
