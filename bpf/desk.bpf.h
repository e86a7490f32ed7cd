/* SPDX-License-Identifier: GPL-2.0-only */
/* desk: where the state of a watched task lies, and how the current one finds its own. Task storage would be the place for it, but to
 * ask for that is a call of a helper for each event, a good part of what an event costs. So states lie in an array, at desks that are
 * taken and left; a task's storage has a note of the number of its desk; and each CPU remembers the desk that it has last looked up, and
 * the stack of whose it is. */
#ifndef HEAPTRACE_DESK_BPF_H
#define HEAPTRACE_DESK_BPF_H

#define DESK_TRIES 256

/* Of a task; also of one that is not watched, to say that it reclaims. */
struct task_note {
	u32 desk; /* 0: it has none */
	u32 reclaim;
	u32 group_gone; /* of a leader: the end of its process was sent */
	u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct task_note);
} notes SEC(".maps");

/* The first is nobody's. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* the loader says how many */
	__type(key, u32);
	__type(value, struct task_state);
} desks SEC(".maps");

/* What this CPU has found last. */
struct seat {
	u64 stack; /* the address of the stack of the task, 0: none */
	u32 round; /* that desk_round had then */
	u32 desk;
	u64 at; /* for the moment */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct seat);
} seats SEC(".maps");

/* Goes up whenever a task gets a desk or leaves it: what CPUs have found is no longer so. */
u32 desk_round = 1;

static __always_inline struct task_state *desk_at(u32 desk)
{
	return desk ? bpf_map_lookup_elem(&desks, &desk) : NULL;
}

struct desk_search {
	u32 first, found;
};

static long desk_step(u32 index, struct desk_search *search)
{
	u32 desk = (search->first + index) & (config.desks - 1);
	struct task_state *ts = desk_at(desk);

	if (!ts || __sync_val_compare_and_swap(&ts->taken, 0, 1))
		return 0;
	search->found = desk;
	return 1;
}

/* Leaves it as new. */
static __noinline int desk_leave(u32 desk)
{
	struct task_state *ts = desk_at(desk);

	if (!ts)
		return 0;
	__builtin_memset(ts, 0, offsetof(struct task_state, batch.data));
	__sync_lock_test_and_set(&ts->taken, 0);
	return 0;
}

/* Gives the task numbered @pid, whose note is @note, a desk, if there is one and it has none. */
__noinline int desk_take(struct task_note *note, u32 pid)
{
	struct desk_search search = { .first = pid };
	struct task_state *ts;

	if (!note)
		return 0;
	bpf_loop(DESK_TRIES, desk_step, &search, 0);
	ts = desk_at(search.found);
	if (!ts)
		return 0;
	ts->reclaim = note->reclaim;
	if (__sync_val_compare_and_swap(&note->desk, 0, search.found))
		desk_leave(search.found); /* somebody else was at it */
	else
		__sync_fetch_and_add(&desk_round, 1);
	return 0;
}

/* The state of @task, NULL where it has none. */
static __always_inline struct task_state *state_of(struct task_struct *task)
{
	struct task_note *note = bpf_task_storage_get(&notes, task, 0, 0);

	return note ? desk_at(note->desk) : NULL;
}

/* The note of @task, which is made where it has none. NULL where there is no memory. */
static __always_inline struct task_note *note_make(struct task_struct *task)
{
	struct task_note *note = bpf_task_storage_get(&notes, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);

	/* Else somebody else is making it: a fork may meet an attach. */
	return note ?: bpf_task_storage_get(&notes, task, 0, 0);
}

/* The state of @task, which is made where it has none. NULL where there is no room. */
static __always_inline struct task_state *state_make(struct task_struct *task)
{
	struct task_note *note = note_make(task);

	if (note && !note->desk)
		desk_take(note, task->pid);
	return note ? desk_at(note->desk) : NULL;
}

/* @task has no state any more. */
static __always_inline void state_leave(struct task_struct *task)
{
	struct task_note *note = bpf_task_storage_get(&notes, task, 0, 0);
	u32 desk = note ? note->desk : 0;

	if (!desk)
		return;
	note->desk = 0;
	__sync_fetch_and_add(&desk_round, 1);
	desk_leave(desk);
}

/* Has the current task, with the state @ts or NULL, leave its desk, if it is watched no more and has let go of its mm. To be called when
 * nothing more is done with @ts. */
static __always_inline void leave_if_done(struct task_state *ts)
{
	if (ts && ts->gone && !ts->mm)
		state_leave(bpf_get_current_task_btf());
}

/* Whether @task reclaims, which may have no state. */
static __always_inline bool is_reclaiming(struct task_struct *task)
{
	struct task_note *note = bpf_task_storage_get(&notes, task, 0, 0);

	return note && note->reclaim;
}

/* Finds the desk of the current task anew. Who looks at @seat meanwhile, in an interrupt, finds nobody there; and as an interrupt may have
 * a stack of its own, which says nothing about the task, what lies at @at must be on that of the task to be remembered. */
static __noinline u32 seat_take(struct seat *seat, u64 at)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u32 round = *(volatile u32 *)&desk_round;
	struct task_note *note = bpf_task_storage_get(&notes, task, 0, 0);
	u64 stack = WORD_OF(task, stack);
	u32 desk = note ? note->desk : 0;

	*(volatile u64 *)&seat->stack = 0;
	*(volatile u32 *)&seat->desk = desk;
	*(volatile u32 *)&seat->round = round;
	if (at - stack < regs_offset)
		*(volatile u64 *)&seat->stack = stack;
	return desk;
}

/* The state of the current task, NULL where it has none or nothing is watched any more. The task is known by its stack, on which the @ctx
 * of a program lies: to ask for the task is a call of a helper, too. For what is done for each event; all else asks for state_of() the
 * task. */
static __always_inline struct task_state *state_now(void *ctx)
{
	u32 zero = 0, desk;
	struct seat *seat;
	u64 at;

	if (shared.stopped)
		return NULL;
	seat = bpf_map_lookup_elem(&seats, &zero);
	if (!seat)
		return NULL;
	*(volatile u64 *)&seat->at = (u64)ctx; /* makes a number of it */
	at = *(volatile u64 *)&seat->at;
	desk = *(volatile u32 *)&seat->desk;
	if (at - *(volatile u64 *)&seat->stack >= regs_offset ||
	    *(volatile u32 *)&seat->round != *(volatile u32 *)&desk_round)
		desk = seat_take(seat, at);
	return desk_at(desk);
}

/* A task that is gone for good leaves its desk, if it has not done so: that has no mm, or not one that was watched. */
SEC("tp_btf/sched_process_free")
int BPF_PROG(on_free, struct task_struct *task)
{
	if (may_have_state(task))
		state_leave(task);
	return 0;
}

#endif
