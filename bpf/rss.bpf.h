/* SPDX-License-Identifier: GPL-2.0-only */
/* rss: where the kernel keeps an mm's RSS counters, and what they gained since they were last booked. Shadows are
 * exchanged: each page is booked once, by somebody.
 *
 * Since 6.2 each counter is a common count plus one slot per CPU; a slot is moved into the count when it grows past a
 * batch. rss_stat fires right after an addition, on the CPU that made it, so the change is what this slot gained since;
 * where the slot reads 0 it was just flushed, and what the count gained is booked too.
 *
 * Before, it is one atomic count in the mm, plus in each thread what that thread's own faults changed (its cache); it is
 * handed over every 64 faults, and whenever the thread unmaps something, execs or exits. rss_stat fires only when the
 * count changes. The cache is the thread's own: nobody else writes it. So it is looked at wherever the thread goes from
 * one cause to the next, and what it gained by then is the effect of the one that ends. A cache that is handed over moves
 * the count up and the cache down under the same cause, which is no change. A worker of io_uring makes no calls and no
 * faults of a user: it is asked whenever it lets go of the mmap lock, as each of its faults does in the end. */
#ifndef HEAPTRACE_RSS_BPF_H
#define HEAPTRACE_RSS_BPF_H

#define RSS_IS_ATOMIC bpf_core_field_exists(struct mm_struct___atomic, rss_stat.count)

struct counter {
	s64 count;
	u64 slots; /* percpu pointer, 0: none */
};

/* The @member-th counter of the mm at the address @mm, which is kept as one. */
static __always_inline s64 atomic_of(u64 mm, u32 member)
{
	return word_at(mm + bpf_core_field_offset(struct mm_struct___atomic, rss_stat.count) +
		       (member & (WIRE_MEMBERS - 1)) * sizeof(u64));
}

/* The @member-th counter of the mm at the address @mm, which is kept for each CPU. */
static __always_inline struct counter percpu_of(u64 mm, u32 member)
{
	struct percpu_counter *at = (void *)(mm + bpf_core_field_offset(struct mm_struct, rss_stat) +
					     member * bpf_core_type_size(struct percpu_counter));

	return (struct counter){ WORD_OF(at, count), WORD_OF(at, counters) };
}

static __always_inline u64 slot_address(u64 slots, u32 cpu)
{
	return slots + percpu_offset[cpu & (WIRE_CPUS - 1)];
}

/* Two CPUs that flush the same counter at once may take each other's pages into their rows: the sum stays true, the
 * rows do not. It shows where the effect is known apart from that: a user fault on anonymous memory brings one page, or
 * a large folio of a power of two. */
static __always_inline void swap_count(struct wire_live *live, struct task_state *ts, u32 member, s64 delta)
{
	if (member != WIRE_ANON || !ts || !(ts->pending & PENDING_FAULT) || ts->where != IN_USER)
		return;
	if (delta <= 0 || (delta & (delta - 1)))
		__sync_fetch_and_add(&live->swapped_pages, delta < 1 ? 1 - delta : delta - 1);
}

/* What the atomic count of @member gained. Who has written the shadow last looks once more, so that an older value never
 * stays in it. */
static __always_inline s64 atomic_take(struct wire_live *live, u64 mm, u32 member)
{
	s64 delta = 0;

	for (int i = 0; i < 3; i++) {
		s64 count = atomic_of(mm, member);
		s64 gained = count - __sync_lock_test_and_set(&live->count_shadow[member & (WIRE_MEMBERS - 1)], count);

		if (!gained)
			break;
		delta += gained;
	}
	return delta;
}

/* What @member of the mm at the address @mm gained on this CPU since it was last booked; books it. */
static __always_inline s64 rss_take(struct wire_live *live, u64 mm, u32 member, struct task_state *ts)
{
	u32 cpu = bpf_get_smp_processor_id();
	struct counter counter;
	s64 delta;
	s32 slot;

	if (RSS_IS_ATOMIC)
		return atomic_take(live, mm, member);
	if (cpu >= config.cpu_count)
		return 0;
	member &= WIRE_MEMBERS - 1;
	counter = percpu_of(mm, member);
	slot = half_word_at(slot_address(counter.slots, cpu));
	delta = slot - live->slot_shadow[cpu][member];
	live->slot_shadow[cpu][member] = slot;
	if (slot == 0) {
		delta += counter.count - __sync_lock_test_and_set(&live->count_shadow[member], counter.count);
		swap_count(live, ts, member, delta);
	}
	return delta;
}

struct slot_walk {
	u64 slots;
	s64 sum;
};

static long slot_step(u32 cpu, struct slot_walk *walk)
{
	walk->sum += half_word_at(slot_address(walk->slots, cpu));
	return 0;
}

/* A counter of the mm at the address @mm, with all its slots. */
static __always_inline s64 percpu_sum(u64 mm, u32 member)
{
	struct counter counter = percpu_of(mm, member);
	struct slot_walk walk = { counter.slots, counter.count };

	bpf_loop(config.cpu_count, slot_step, &walk, 0);
	return walk.sum;
}

/* The kernel's own sums now of the mm that @state is about, apart from any shadow; caches of threads left out. */
__noinline int kernel_read(struct wire_mm *state, struct wire_pages *out)
{
	u64 mm;

	if (!state || !out)
		return 0;
	mm = state->mm;
	out->virt = WORD_OF((struct mm_struct *)mm, total_vm);
	/* A loop of each kind: what a kernel lacks must not be moved out of the one that it is not for. */
	if (RSS_IS_ATOMIC) {
		for (u32 member = 0; member < WIRE_MEMBERS; member++)
			out->rss[member] = atomic_of(mm, member);
		return 0;
	}
	for (u32 member = 0; member < WIRE_MEMBERS; member++)
		out->rss[member] = percpu_sum(mm, member);
	return 0;
}

#define CACHE_OF(task, member) (((struct task_struct___cached *)(task))->rss_stat.count[member])

static __always_inline void cache_read(struct task_struct *task, s32 *out)
{
	out[0] = CACHE_OF(task, 0);
	out[1] = CACHE_OF(task, 1);
	out[2] = CACHE_OF(task, 2);
	out[3] = CACHE_OF(task, 3);
}

/* What @task, that @ts is the state of, has cached of the mm that @ts is about: nothing where the task has left that mm, as
 * it handed everything over before. */
static __always_inline void cache_now(struct task_state *ts, struct task_struct *task, s32 *out)
{
	if (ts->mm == mm_of(task))
		cache_read(task, out);
	else
		__builtin_memset(out, 0, WIRE_MEMBERS * sizeof(*out));
}

/* Whether that is not what is booked. */
static __always_inline bool cache_differs(struct task_state *ts, struct task_struct *task)
{
	s32 now[WIRE_MEMBERS];

	if (!RSS_HAS_CACHE)
		return false;
	cache_now(ts, task, now);
	return now[0] != ts->cache[0] || now[1] != ts->cache[1] || now[2] != ts->cache[2] || now[3] != ts->cache[3];
}

static __always_inline void cache_add(struct wire_mm *state, u32 member, s32 gained, struct wire_pages *delta)
{
	struct wire_live *live = gained ? live_of(state) : NULL;

	if (!live)
		return;
	delta->rss[member] += gained;
	__sync_fetch_and_add(&live->slot_shadow[0][member], gained);
}

/* Adds to @delta what the cache of @task gained, and books it. */
static __always_inline void cache_take(struct wire_mm *state, struct task_state *ts, struct task_struct *task,
				       struct wire_pages *delta)
{
	s32 now[WIRE_MEMBERS];

	if (!RSS_HAS_CACHE)
		return;
	cache_now(ts, task, now);
	for (int i = 0; i < WIRE_MEMBERS; i++)
		cache_add(state, i, now[i] - __sync_lock_test_and_set(&ts->cache[i], now[i]), delta);
}

/* Adds to @delta what @task, a worker on the mm of @state, gained since it was last asked, and books it: what it handed over,
 * and what it has cached. */
static __always_inline void worker_take(struct wire_mm *state, struct task_state *ts, struct task_struct *task,
					struct wire_pages *delta)
{
	s32 now[WIRE_MEMBERS] = {};

	if (mm_of(task) == state->mm)
		cache_read(task, now);
	*delta = ts->own;
	__builtin_memset(&ts->own, 0, sizeof(ts->own));
	for (int i = 0; i < WIRE_MEMBERS; i++)
		cache_add(state, i, now[i] - __sync_lock_test_and_set(&ts->cache[i], now[i]), delta);
}

/* Adds to the sums that the reader asked for what @task, whose state is @ts or NULL, has cached and nobody booked. */
static __always_inline void cache_look(struct task_state *ts, struct task_struct *task)
{
	s32 now[WIRE_MEMBERS];

	if (!RSS_HAS_CACHE || mm_of(task) != shared.look_mm)
		return;
	cache_read(task, now);
	for (int i = 0; i < WIRE_MEMBERS; i++)
		shared.look[i] += now[i] - (ts && (ts->mm == shared.look_mm || !ts->watched) ? ts->cache[i] : 0);
}

/* From here on the cache of @task is what it is now. */
static __always_inline void cache_seed(struct task_state *ts, struct task_struct *task)
{
	if (RSS_HAS_CACHE)
		cache_read(task, ts->cache);
}

/* @ts has entered at an attach: its cache was a part of the opening, or makes up for another that was. */
static __always_inline void cache_enter(struct wire_mm *state, struct task_state *ts)
{
	if (!RSS_HAS_CACHE || !state)
		return;
	for (int i = 0; i < WIRE_MEMBERS; i++)
		if (ts->cache[i])
			__sync_fetch_and_add(&state->unentered[i], -ts->cache[i]);
}

/* All have entered: by what their caches differ from those of the opening is booked with the next of @ts. */
static __always_inline void cache_entered(struct wire_mm *state, struct task_state *ts)
{
	if (!RSS_HAS_CACHE)
		return;
	for (int i = 0; i < WIRE_MEMBERS; i++)
		if (state->unentered[i])
			__sync_fetch_and_add(&ts->cache[i], __sync_lock_test_and_set(&state->unentered[i], 0));
}

/* Books what the current task has cached to what it has been doing up to now. */
static __noinline int cache_settle(struct task_state *ts, struct task_struct *task);

#define THREADS_MAX 65536

struct cache_walk {
	u64 head, node;
	s32 sum[WIRE_MEMBERS];
};

/* Adds the cache of one thread. */
static long cache_step(u32 index, struct cache_walk *walk)
{
	u64 node = walk->node;
	struct task_struct___cached *cached = (void *)(node - bpf_core_field_offset(struct task_struct, thread_node));
	struct list_head *next;

	if (!node || node == walk->head)
		return 1;
	walk->sum[0] += BPF_CORE_READ(cached, rss_stat.count[0]);
	walk->sum[1] += BPF_CORE_READ(cached, rss_stat.count[1]);
	walk->sum[2] += BPF_CORE_READ(cached, rss_stat.count[2]);
	walk->sum[3] += BPF_CORE_READ(cached, rss_stat.count[3]);
	next = BPF_CORE_READ((struct list_head *)node, next);
	walk->node = (u64)next;
	return 0;
}

/* The caches of all threads of the process of @task. */
static __noinline int caches_sum(struct task_struct *task, struct cache_walk *walk)
{
	struct signal_struct *signal = BPF_CORE_READ(task, signal);

	walk->head = (u64)signal + bpf_core_field_offset(struct signal_struct, thread_head);
	walk->node = (u64)BPF_CORE_READ(signal, thread_head.next);
	bpf_loop(THREADS_MAX, cache_step, walk, 0);
	return 0;
}

static __always_inline void percpu_begin(struct wire_mm *books, u64 mm, u32 member)
{
	struct counter counter = percpu_of(mm, member);

	books->opening.rss[member] = books->live.count_shadow[member] = counter.count;
	for (u32 cpu = 0; cpu < config.cpu_count; cpu++) {
		s32 slot = 0;

		/* Not half_word_at: 6.1 refuses a loop in which two ways meet at its head. */
		bpf_probe_read_kernel(&slot, sizeof(slot), (void *)slot_address(counter.slots, cpu));
		books->live.slot_shadow[cpu][member] = slot;
		books->opening.rss[member] += slot;
	}
}

/* Sets the shadows and the opening of new books of the mm at the address @mm. */
static __always_inline void rss_begin(struct wire_mm *books, struct task_struct *task, u32 how)
{
	u64 mm = books->mm;
	struct cache_walk walk = {};

	if (RSS_IS_ATOMIC) {
		for (u32 member = 0; member < WIRE_MEMBERS; member++)
			books->opening.rss[member] = books->live.count_shadow[member] = atomic_of(mm, member);
	} else {
		for (u32 member = 0; member < WIRE_MEMBERS; member++)
			percpu_begin(books, mm, member);
	}
	if (!RSS_HAS_CACHE)
		return;
	/* At an attach the threads enter one by one, after this: what they have cached then makes up for it. */
	caches_sum(task, &walk);
	for (int i = 0; i < WIRE_MEMBERS; i++) {
		books->opening.rss[i] += walk.sum[i];
		books->live.slot_shadow[0][i] = walk.sum[i];
		books->unentered[i] = how == WIRE_HOW_ATTACH ? walk.sum[i] : 0;
	}
}

#endif
