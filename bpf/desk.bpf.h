/* SPDX-License-Identifier: GPL-2.0-only */
/* desk: where the state of a task lies. Its storage would be the place for it, but to ask for that is a call of a helper for each event,
 * a good part of what an event costs. So there are desks in an array, of which the address of a task tells which one is meant for it.
 * Where another task has that one already, or where a task is not watched itself, the state is in the task's storage. */
#ifndef HEAPTRACE_DESK_BPF_H
#define HEAPTRACE_DESK_BPF_H

#define DESK_BITS 10

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << DESK_BITS);
	__type(key, u32);
	__type(value, struct task_state);
} desks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct task_state);
} tasks SEC(".maps");

/* The desk that is meant for the task at the address @at. Addresses that follow one another at one distance have different ones. */
static __always_inline struct task_state *desk_for(u64 at)
{
	u32 desk = at * 0x9e3779b97f4a7c15ull >> (64 - DESK_BITS);

	return bpf_map_lookup_elem(&desks, &desk);
}

/* The state of the task at the address @at, if it is at its desk. */
static __always_inline struct task_state *desk_find(u64 at)
{
	struct task_state *ts = desk_for(at);

	return ts && ts->task == at ? ts : NULL;
}

/* It is as new, but for whose it is. */
static __always_inline void state_clear(struct task_state *ts)
{
	__builtin_memset(&ts->mm, 0, offsetof(struct task_state, batch.data) - offsetof(struct task_state, mm));
}

/* Whose state @ts is leaves its desk as it was. Nobody may use @ts after that. */
static __always_inline void desk_leave(struct task_state *ts)
{
	state_clear(ts);
	*(volatile u64 *)&ts->born = 0;
	__sync_lock_test_and_set(&ts->task, 0);
}

/* Has the current task, with the state @ts or NULL, leave its desk if it has exited and has let go of its mm. That the kernel frees a task
 * would say it for all, but in the context of any other, where a program may be left out. */
static __always_inline void leave_if_done(struct task_state *ts)
{
	if (ts && ts->gone && !ts->mm && ts->born)
		desk_leave(ts);
}

/* The state of @task, NULL where it has none. That a task has not left, and the kernel has given its memory to another one, is told by
 * when that one began: later. (A thread that execs takes the time over from its leader, which began before it.) What is left there is about
 * no mm, so who looks at nothing but the address does nothing with it. */
static __always_inline struct task_state *state_of(struct task_struct *task)
{
	struct task_state *ts = desk_find(address_of(task));
	u64 born = ts ? *(volatile u64 *)&ts->born : 0;

	if (!born || task->start_time <= born)
		return ts ?: bpf_task_storage_get(&tasks, task, 0, 0);
	if (__sync_val_compare_and_swap(&ts->born, born, 0) == born)
		desk_leave(ts);
	return NULL;
}

/* That of the current task, if it is in its storage. */
static __always_inline struct task_state *storage_now(void)
{
	return bpf_task_storage_get(&tasks, bpf_get_current_task_btf(), 0, 0);
}

/* That of the current task; NULL also where nothing is watched any more. What runs for each event looks at the desk by itself, and has the
 * rest done by a function of its own: what follows here is verified once for each place where the state may lie. */
static __always_inline struct task_state *state_now(void)
{
	u64 task = task_now();
	struct task_state *ts = desk_find(task);

	if (shared.stopped)
		return NULL;
	return ts || !may_have_storage(task) ? ts : storage_now();
}

/* The state of @task in its storage, which is made if it has none. NULL where there is no memory. */
static __always_inline struct task_state *storage_make(struct task_struct *task)
{
	struct task_state *ts = bpf_task_storage_get(&tasks, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (!ts) /* somebody else is making it: a fork may meet an attach */
		ts = bpf_task_storage_get(&tasks, task, 0, 0);
	if (ts) {
		ts->task = address_of(task);
		ts->regs = regs_at(task);
	}
	return ts;
}

/* The state of @task, which is to be watched; made if it has none, at its desk if that is free. NULL where there is no memory. */
static __always_inline struct task_state *state_make(struct task_struct *task)
{
	struct task_state *ts = state_of(task);
	u64 at = address_of(task), whose;

	if (ts)
		return ts;
	ts = desk_for(at);
	if (!ts)
		return NULL;
	whose = __sync_val_compare_and_swap(&ts->task, 0, at);
	if (whose && whose != at)
		return storage_make(task);
	ts->regs = regs_at(task);
	ts->born = task->start_time;
	return ts;
}

#endif
