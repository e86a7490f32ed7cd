/* SPDX-License-Identifier: GPL-2.0-only */
/* maps: the state of the programs: one entry per watched mm, one per watched task, and the ways out. */
#ifndef HEAPTRACE_MAPS_BPF_H
#define HEAPTRACE_MAPS_BPF_H

const volatile struct wire_config config SEC(".rodata.config") = { .cpu_count = 1, .page_shift = 12 };
struct wire_shared shared SEC(".data.shared");

/* this_cpu_ptr by hand: what to add to a percpu pointer, per CPU (per-CPU ksyms do not load everywhere). */
u64 percpu_offset[WIRE_CPUS];

/* Where on a task's stack the registers lie with which it entered the kernel. */
u64 regs_offset;

/* Percpu pointer to the address of the current task; 0: not known. */
u64 current_pointer;

/* A run of faults of one kind on contiguous pages, and what they did. */
struct run {
	u64 start, end; /* bytes */
	u64 first,
		last; /* pages of the lowest fault and of the highest: what one fills may reach further. 0: kernel mode */
	u64 ts_ns;
	u64 count;
	struct wire_pages delta;
	u64 stack; /* id */
	u32 cause;
	u32 batches; /* each has filled pages of a file around itself */
};

/* The code that took the last fault whose stack was walked. */
struct fault_code {
	u64 ip, sp;
	u64 slot, caller; /* where its return address lies, and what that is; 0: not known */
	u64 stack;	  /* id */
};

/* What a task has done and not yet sent. */
enum task_pending {
	PENDING_FAULT = 1,  /* fault: not yet in run, for its effect may grow */
	PENDING_RUN = 2,    /* run */
	PENDING_KERNEL = 4, /* kernel */
	PENDING_OWN = 8,    /* own */
	PENDING_BATCH = 16, /* batch */
};

enum task_where {
	IN_USER,
	IN_SYSCALL,
	IN_FLIGHT, /* attached to, whatever it was doing */
};

struct task_state {
	/* First what each call is about: it lies in one line of the cache. */
	u64 task; /* its address */
	u64 regs; /* that of the registers with which it entered the kernel */
	u64 mm;	  /* the address of the mm its pending rows are about */
	u64 mm_id;
	u64 order; /* of the last write-locked section */
	u64 stack; /* id of that of the syscall, once it returns */
	u32 where;
	s32 nr;		/* IN_SYSCALL */
	u32 place;	/* where the mm's struct wire_live was last found; what is there tells whether it still is */
	u8 pending;	/* enum task_pending, any of them */
	u8 watched;	/* else only here to note reclaim, or what a worker does */
	u8 worker;	/* that of a kernel's own thread, from when its cache is looked at (rss.bpf.h) */
	u8 guest;	/* a process that borrows another's mm (vfork) until its exec */
	u8 await_exec;	/* begins to be watched at its next exec */
	u8 newborn;	/* has not returned from the syscall that made it */
	u8 opened;	/* the reader knows the mm */
	u8 released;	/* has let go of the lock of its mm since its call or fault began */
	u8 reclaim;	/* inside direct reclaim */
	u8 executed;	/* its image is new, and it has not returned to it yet */
	u8 busy;	/* a program has it in hand */
	u8 gone;	/* has exited */
	u32 group_gone; /* of a leader: the end of its process was sent */
	u32 entered;	/* somebody has set watched, or is at it */
	u32 parted;	/* what it owed as all was stopped is sent, or somebody is at it */
	struct wire_pages own;	 /* effect of the syscall itself */
	s32 cache[WIRE_MEMBERS]; /* of the thread's own RSS cache, as last booked (rss.bpf.h) */
	u64 maj_flt;
	u64 tick, tick_ns; /* when the clock was last read for a fault */
	struct run fault;  /* the last user fault, whose effect may still grow */
	struct run run;	   /* user faults */
	struct run kernel; /* kernel-mode faults of the syscall */
	struct fault_code code;
	struct wire_pages batched; /* what the batch's rows change in all */
	struct wire_batch batch;   /* of what came before all the others */
	u64 born;		   /* at a desk: task_struct.start_time; 0: not said yet. In a task's storage: 0 */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, WIRE_MMS);
	__uint(key_size, sizeof(u64));
	__uint(value_size, sizeof(struct wire_mm)); /* the loader adds the per-CPU part */
} mms SEC(".maps");

/* Of as many mms as there is room for. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* the loader says how many */
	__uint(key_size, sizeof(u32));
	__uint(value_size, sizeof(struct wire_live)); /* the loader adds the per-CPU part */
} lives SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 24);
} ring SEC(".maps");

/* Rows that this CPU may still send before it looks at the ring's fill again. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} room SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, struct wire_fold_key);
	__type(value, struct wire_fold);
} folds SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, WIRE_MMS);
	__type(key, u64);
	__type(value, struct wire_grave);
} graves SEC(".maps");

/* Room to build what the stack (512 bytes) cannot hold. Programs do not nest with one another while they use it: they
 * run with preemption off, and what can interrupt them (on_page_fault inside the kernel, on_pause) does not use it meanwhile. */
#define MAPLE_LEVELS 4

struct maple_level {
	u64 node, max;
	u32 index; /* of the next entry */
	u32 pad;
};

struct maple_walk { /* vma.bpf.h */
	u64 mm_id;
	u32 tgid, level;
	u32 code, pad; /* for the list of code (code.bpf.h) */
	struct maple_level levels[MAPLE_LEVELS];
};

/* What a row needs besides who and when. */
struct row {
	struct wire_pages delta;
	u64 args[6];
	u64 addr, len, count, ts_ns, order;
	u64 stack, code_order;
	s64 ret;
	u32 cause;
	s32 nr;
	u32 returned;
};

/* A row or several, as far as a sum of rows tells of them. */
struct summand {
	u32 cause;
	s32 nr;
	u32 pid, tid;
	u64 rows, count, errors;
	struct wire_pages delta;
};

struct scratch {
	u64 address;
	struct row row;
	struct maple_walk maple;
	struct wire_close close;
	union {
		struct wire_open open;
		struct wire_vma vma;
		struct wire_path path;
		struct wire_mark mark;
		struct wire_grave grave;
	};
	struct summand summand;
	struct wire_fold fold;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

/* A new mm's first state, whose size is known at load only. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(u32));
	__uint(value_size, sizeof(struct wire_mm));
} blank_mm SEC(".maps");

/* Its values' addresses tell each CPU's offset. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} percpu_probe SEC(".maps");

static __always_inline struct scratch *scratch_get(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&scratches, &zero);
}

/* The address of what @pointer points to as a plain number, as functions that are verified by themselves take it. */
static __always_inline u64 address_of(const void *pointer)
{
	struct scratch *scratch = scratch_get();

	if (!scratch)
		return 0;
	*(volatile u64 *)&scratch->address = (u64)pointer;
	return *(volatile u64 *)&scratch->address;
}

/* The books of the mm at the address @mm; NULL where it has none or nothing is watched any more. */
static __always_inline struct wire_mm *mm_find(u64 mm)
{
	return shared.stopped ? NULL : bpf_map_lookup_elem(&mms, &mm);
}

/* The same where a change is in hand that must not be lost: nothing is begun any more, but what has begun is finished. */
static __always_inline struct wire_mm *mm_find_still(u64 mm)
{
	return bpf_map_lookup_elem(&mms, &mm);
}

/* The state of the mm that @ts has pending rows about, NULL if it is gone. */
static __always_inline struct wire_mm *mm_of_pending(struct task_state *ts)
{
	u64 key = ts->mm;
	struct wire_mm *state = bpf_map_lookup_elem(&mms, &key);

	return state && state->id == ts->mm_id ? state : NULL;
}

/* What is live of the mm numbered @id, if it is at @place; else NULL. */
static __always_inline struct wire_live *live_at(u32 place, u64 id)
{
	struct wire_live *live = bpf_map_lookup_elem(&lives, &place);

	return live && live->id == id ? live : NULL;
}

/* What is live of the mm that @state is about. */
static __always_inline struct wire_live *live_of(struct wire_mm *state)
{
	return state->place == WIRE_NO_PLACE ? &state->live : live_at(state->place, state->id);
}

/* The numbers of a struct wire_pages in a row. */
#define PART_VIRT 0
#define PART_RSS  1 /* and the member */

static __always_inline s64 *part_of(struct wire_pages *pages, u32 part)
{
	return &pages->virt + (part & 7); /* for the verifier: it is 4 at most, and nothing ends so near */
}

static __always_inline bool pages_are_zero(const struct wire_pages *pages)
{
	return !pages->virt && !pages->rss[0] && !pages->rss[1] && !pages->rss[2] && !pages->rss[3];
}

static __always_inline void pages_add(struct wire_pages *sum, const struct wire_pages *pages)
{
	sum->virt += pages->virt;
	sum->rss[0] += pages->rss[0];
	sum->rss[1] += pages->rss[1];
	sum->rss[2] += pages->rss[2];
	sum->rss[3] += pages->rss[3];
}

static __always_inline void pages_add_atomic(struct wire_pages *sum, const struct wire_pages *pages)
{
	if (pages->virt)
		__sync_fetch_and_add(&sum->virt, pages->virt);
	for (int i = 0; i < WIRE_MEMBERS; i++)
		if (pages->rss[i])
			__sync_fetch_and_add(&sum->rss[i], pages->rss[i]);
}

#endif
