/* SPDX-License-Identifier: GPL-2.0-only */
/* event: the one currency. Sources produce events, the model keeps the books with them, reports print them.
 *
 * Sizes are in bytes, times in ns of CLOCK_MONOTONIC. Pointers in an event are valid during its delivery only,
 * unless they are said to be static. */
#ifndef HEAPTRACE_EVENT_H
#define HEAPTRACE_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct memcall;

#define EVENT_COMM_LEN 16

/* Memory of one mm, as a level or as a change. RSS is anon + file + shmem; swap is no part of it. */
struct usage {
	int64_t virt;
	int64_t anon;
	int64_t file;
	int64_t shmem;
	int64_t swap;
};

/* What a source is able to see. Reports print it; nothing is guessed for what is missing. */
enum cap {
	CAP_SYSCALLS = 1 << 0, /* each memory syscall with arguments and result */
	CAP_FAULTS = 1 << 1,   /* user page faults with their addresses */
	CAP_KERNEL = 1 << 2,   /* kernel-mode faults and foreign actors (khugepaged, reclaim, other processes) */
	CAP_STACKS = 1 << 3,   /* the call chain of an event */
};

enum cause {
	CAUSE_SYSCALL,	    /* one syscall instance; or, coalesced, @count of the same name */
	CAUSE_FAULT,	    /* a run of user-mode page faults: name "minor", "major" or "stack" */
	CAUSE_KERNEL_FAULT, /* page faults taken in kernel mode; name is the syscall, or "signal" and the like */
	CAUSE_KERNEL,	    /* a kernel actor or another process; name says which */
	CAUSE_FORK,	    /* the mm began as a copy; changes nothing */
	CAUSE_EXEC,	    /* the mm began by exec; changes nothing */
	CAUSE_EXIT,	    /* the kernel tore the mm down; changes by -closing */
};
#define CAUSE_COUNT 7

enum event_kind {
	EVENT_CHANGE,	 /* a timeline row: a cause and its effect */
	EVENT_MM_OPEN,	 /* an mm begins to be watched; its books open */
	EVENT_MM_CLOSE,	 /* an mm is gone or is let go; its books close */
	EVENT_VMA,	 /* one mapping that the mm had when it was opened (follows its EVENT_MM_OPEN) */
	EVENT_MARK,	 /* the target's phase label */
	EVENT_SAMPLE,	 /* what /proc said */
	EVENT_PROC_EXIT, /* the last thread of a process has ended */
	EVENT_LOST,	 /* records that did not arrive; the totals are not touched by it */
};

/* One frame of a call chain, innermost first. A source gives addr and exact; the model adds the names. Strings are NULL
 * where unknown; line is 0 where unknown. */
struct frame {
	uint64_t addr;
	uint64_t offset; /* from the symbol's start; without a symbol, the object's own address, 0 where unknown */
	const char *symbol;
	const char *object;
	const char *file;
	unsigned int line;
	bool exact; /* addr is that of the instruction itself: the innermost frame, or one that a signal interrupted;
		     * else it is a return address, and the call is before it */
	bool inlined;
};

struct event_change {
	enum cause cause;
	const char *name; /* syscall, fault kind or actor; never NULL. Static but for an actor's, and in a replay */
	const struct memcall *call; /* the syscall's description, NULL where it is none of the memory calls */
	uint64_t args[6];	    /* of a syscall; unused ones are 0 */
	int64_t ret;		    /* of a syscall: the value, or -errno */
	bool has_ret;		    /* false for coalesced rows, and for syscalls that never returned */
	const char *text;	    /* a string argument: the path of execve, of a mapped file; else NULL */
	uint64_t addr, len;	    /* a fault run's range; 0, 0 where there is none */
	uint64_t first, last;	    /* a fault run's lowest and highest page that faulted; 0, 0 where not known */
	uint64_t count;		    /* 1 for a syscall; faults in a run; instances of a coalesced row */
	uint64_t folded;	    /* rows coalesced into this one by the kernel side, else 0 */
	uint64_t order;		    /* ascending in the order in which the mm's mappings changed; 0 = unknown */
	struct usage delta;
	bool attributed;	   /* false: the cause is not known, the name is "unattributed" */
	const struct frame *stack; /* innermost first */
	unsigned int stack_len;	   /* 0: no stack was taken */
	bool stack_complete;	   /* the walk reached the thread's start routine */
	bool stack_lost;	   /* one was to be taken, and did not arrive */
	uint64_t stack_id;	   /* rows of one mm with the same id have the same addresses; 0: not known to */
};

enum open_how { OPEN_EXEC, OPEN_FORK, OPEN_ATTACH };

struct event_open {
	enum open_how how;
	uint64_t parent_mm; /* OPEN_FORK: the mm this one is a copy of (0 = not watched); its VMAs are inherited */
	struct usage opening;
	uint64_t start_brk, brk, start_stack;
	const char *image; /* path of the executable, NULL where unknown */
};

struct event_close {
	struct usage closing; /* what the kernel's own counters say at this moment, read apart from the events */
	bool closing_known;   /* false: no such reading; the books close on the sum of the events */
	struct usage proc;    /* what /proc said at the closing */
	bool proc_known;
	const char *judge;	/* the file that proc is of, as procfs_judge() has it; NULL: not said */
	bool detached;		/* the mm lives on (detach) */
	uint64_t swapped_pages; /* pages that may stand on another thread's row of the same mm: zero-sum */
};

/* One mapping. prot and flags use PROT_* and MAP_* of mmap(2) (MAP_GROWSDOWN and MAP_SHARED among them). */
struct event_vma {
	uint64_t start, end, offset;
	uint32_t prot, flags;
	uint64_t dev, inode;
	const char *path; /* NULL: anonymous; "[vdso]" and the like as in /proc/PID/maps */
};

struct event_mark {
	const char *name; /* not NUL-free, not trusted; at most 255 bytes */
};

struct event_sample {
	struct usage usage;
};

struct event_proc_exit {
	int code;   /* exit code, valid where signal is 0 */
	int signal; /* 0, or the signal that ended it */
};

struct event_lost {
	uint64_t records;
	const char *what; /* static */
	bool detail;	  /* they were no part of the books */
	bool books;	  /* each was the books of an mm, or a part of them: without, the totals stay exact */
};

struct event {
	enum event_kind kind;
	uint64_t ts_ns;
	int32_t pid, tid;
	uint64_t mm; /* numbered from 1 in the order of opening; 0 = none (EVENT_PROC_EXIT, EVENT_LOST) */
	char comm[EVENT_COMM_LEN];
	const int *code_fd; /* what it maps as code, open for reading; NULL: it maps none, or it could not be opened */
	union {
		struct event_change change;
		struct event_open open;
		struct event_close close;
		struct event_vma vma;
		struct event_mark mark;
		struct event_sample sample;
		struct event_proc_exit proc_exit;
		struct event_lost lost;
	};
};

/* Takes one event; returns 0, or -errno to stop the source. */
typedef int (*event_fn)(void *ctx, const struct event *event);

/* RSS as VmRSS has it. */
static inline int64_t usage_rss(const struct usage *usage)
{
	return usage->anon + usage->file + usage->shmem;
}

static inline void usage_add(struct usage *sum, const struct usage *delta)
{
	sum->virt += delta->virt;
	sum->anon += delta->anon;
	sum->file += delta->file;
	sum->shmem += delta->shmem;
	sum->swap += delta->swap;
}

static inline void usage_sub(struct usage *sum, const struct usage *delta)
{
	sum->virt -= delta->virt;
	sum->anon -= delta->anon;
	sum->file -= delta->file;
	sum->shmem -= delta->shmem;
	sum->swap -= delta->swap;
}

static inline bool usage_is_zero(const struct usage *usage)
{
	return !usage->virt && !usage->anon && !usage->file && !usage->shmem && !usage->swap;
}

/* The name that outputs use: "syscall", "kernel-fault", ... Static. */
const char *cause_name(enum cause cause);

#endif
