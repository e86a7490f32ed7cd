/* SPDX-License-Identifier: GPL-2.0-only */
/* wire: the records that the BPF programs put into the ring buffer, and the switches that the loader sets. Shared by
 * both sides: fixed-width fields, no padding left to the compiler. */
#ifndef HEAPTRACE_WIRE_H
#define HEAPTRACE_WIRE_H

#ifndef __bpf__
#include <stddef.h>
#include <stdint.h>
typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;
#endif

#define WIRE_COMM     16
#define WIRE_TEXT     1024  /* bytes of a path or name */
#define WIRE_SYSCALLS 512   /* syscall numbers told apart */
#define WIRE_CPUS     4096  /* upper bound of possible CPUs */
#define WIRE_MMS      65536 /* watched at once */
#define WIRE_MEMBERS  4	    /* RSS counters, in the kernel's order: */
enum wire_member { WIRE_FILE, WIRE_ANON, WIRE_SWAP, WIRE_SHMEM };

enum wire_kind {
	WIRE_CHANGE = 1,
	WIRE_OPEN,
	WIRE_CLOSE,
	WIRE_VMA,
	WIRE_MARK,
	WIRE_PROC_EXIT,
	WIRE_PATH, /* the path that the next change of the same thread is about */
	WIRE_STACK,
	WIRE_STACK_COPY,
	WIRE_BATCH, /* rows of one thread about one mm */
};

/* What a change is; decides how name and cause read in user space. */
enum wire_cause {
	WIRE_SYSCALL,
	WIRE_FAULT_MINOR,
	WIRE_FAULT_MAJOR,
	WIRE_FAULT_STACK,
	WIRE_KERNEL_FAULT, /* of syscall nr; nr -1: delivery of a signal or another return to user mode */
	WIRE_EXIT_FAULT,   /* kernel-mode access of an exiting thread (robust list, clear_child_tid) */
	WIRE_ACTOR,	   /* another task: its syscall is nr, or it is a kernel thread (nr -1); comm is its own */
	WIRE_RECLAIM,	   /* direct reclaim by the task comm */
	WIRE_IN_FLIGHT,	   /* began before the attach, its cause was not seen */
	WIRE_UNKNOWN,
	WIRE_TEARDOWN,	/* the exit row */
	WIRE_COALESCED, /* rows of any cause, summed up where there was no room for more */
};

/* What the loader asks the seed program to do with each task it is run over. */
enum wire_seed {
	SEED_ATTACH,	 /* watch it */
	SEED_SHARERS,	 /* watch it if its mm is watched already */
	SEED_AWAIT_EXEC, /* watch it from its next exec on */
	SEED_ENTERED,	 /* all are in: make up for caches of threads that changed meanwhile */
	SEED_LOOK,	 /* sum up what threads have cached of look_mm and is not booked */
	SEED_FLUSH,	 /* send its pending rows; only once no other program is attached */
};

/* Pages, by the kernel's own order of members. */
struct wire_pages {
	s64 virt;
	s64 rss[WIRE_MEMBERS];
};

struct wire_head {
	u32 kind;
	u32 cause; /* enum wire_cause of a WIRE_CHANGE */
	u64 ts_ns;
	u64 mm; /* number of the mm, 0 = none */
	u32 pid, tid;
	char comm[WIRE_COMM];
};

struct wire_change {
	struct wire_head head;
	u64 args[6];
	s64 ret;
	u64 order;
	u64 stack; /* id of a stack or of a copy, or STACK_ID_LOST; 0 = none */
	s32 nr;
	u32 returned;
	struct wire_pages delta;
	u64 addr, len; /* fault runs, in bytes */
	u64 count;
	u64 code_order; /* of a call that mapped code: which of the mm's */
};

/* Rows of a batch, one after the other. Most are of a call that left RSS alone, and counts 1: they end behind the arguments that
 * the call has. */
struct wire_row {
	u16 bytes;
	u8 cause; /* enum wire_cause */
	u8 returned;
	s32 nr;
	u64 ts_ns, order, stack;
	s64 ret;
	s64 virt; /* pages */
};

struct wire_call_row {
	struct wire_row row;
	u64 args[6];
};

struct wire_whole_row {
	struct wire_call_row call;
	s64 rss[WIRE_MEMBERS];
	u64 addr, len, count; /* as of a wire_change */
};

/* In the arguments of a row of faults of a user: the pages of the lowest one and of the highest. */
#define WIRE_FAULT_FIRST 0
#define WIRE_FAULT_LAST	 1

#define WIRE_BATCH_BYTES 512

/* Head's cause and ts_ns mean nothing. */
struct wire_batch {
	struct wire_head head;
	u32 bytes, rows;
	u8 data[WIRE_BATCH_BYTES];
};

enum wire_how { WIRE_HOW_EXEC, WIRE_HOW_FORK, WIRE_HOW_ATTACH };

struct wire_open {
	struct wire_head head;
	struct wire_pages opening;
	u64 parent_mm;
	u64 start_brk, brk, start_stack;
	u32 how;
	u32 text_len;	      /* bytes of text, path components from the leaf up, each NUL-terminated */
	char text[WIRE_TEXT]; /* the executable */
};

struct wire_close {
	struct wire_head head;
	struct wire_pages closing; /* read from the kernel's counters as tear-down began */
	struct wire_pages exit;	   /* effect of the tear-down: the exit row */
	struct wire_pages residue; /* what the counters still held when it was over: 0 */
	struct wire_pages spilled; /* rows that found neither ring nor fold: sums only */
	u64 spilled_rows;
	u64 swapped_pages;
	u64 order;
};

struct wire_vma {
	struct wire_head head;
	u64 start, end, offset, inode;
	u64 vm_flags;
	u64 vdso; /* where the vDSO of the mm starts, 0 = unknown */
	u32 dev;  /* the kernel's dev_t */
	u32 text_len;
	char text[WIRE_TEXT];
};

struct wire_mark {
	struct wire_head head;
	u32 text_len;
	u32 unread; /* the label's page was not in memory */
	char text[256];
};

struct wire_proc_exit {
	struct wire_head head;
	s32 status; /* as wait(2) gives it */
	u32 pad;
};

struct wire_path {
	struct wire_head head;
	u64 inode; /* of an open file, else 0 */
	u32 dev;   /* the kernel's dev_t */
	u32 text_len;
	u32 reversed; /* components from the leaf up; else a plain string */
	u32 pad;
	char text[WIRE_TEXT];
};

/* The part of an mm's books that changes with what is booked. The shadows are what the kernel's counters held when they were last
 * booked: a change is always the difference from them, so that the sum telescopes and nothing is lost or counted twice. */
struct wire_live {
	u64 id;				 /* of the mm; 0 in an array: the place is free */
	u64 order;			 /* of write-locked sections */
	u64 swapped_pages;		 /* see swap_count */
	s64 vm_shadow;			 /* total_vm */
	s64 count_shadow[WIRE_MEMBERS];	 /* percpu_counter.count */
	s32 slot_shadow[][WIRE_MEMBERS]; /* one per possible CPU; where threads have caches, [0] is their sum */
};

#define WIRE_NO_PLACE (~0u)

/* The books of one mm. */
struct wire_mm {
	u64 id;
	u64 mm;			/* its address */
	struct wire_pages exit; /* effect of the tear-down */
	struct wire_pages closing;
	struct wire_pages opening;
	struct wire_pages spilled;
	u64 spilled_rows;
	u64 parent;
	u64 start_brk, brk, start_stack;
	u32 pid;
	u32 how;
	u32 open_sent;
	u32 closing_read;
	u64 code_order; /* calls that mapped code */
	char comm[WIRE_COMM];
	s32 unentered[WIRE_MEMBERS]; /* of the opening: caches of threads that have not been entered yet */
	u32 place; /* in the array of what is live, which a thread can look up in a fraction of the time */
	u32 pad;
	struct wire_live live; /* where there was no place: WIRE_NO_PLACE */
};

/* Rows that the ring could not take, summed per (mm, cause, syscall or actor). Values only grow: the reader keeps
 * what it has seen and takes the difference, so that nothing is lost between reading and adding. */
struct wire_fold_key {
	u64 mm;
	u32 cause;
	s32 nr;
	char comm[WIRE_COMM]; /* actors only, else zero */
};

struct wire_fold {
	struct wire_pages delta;
	u64 rows, count, errors;
	u32 pid, tid; /* of the first */
};

/* An mm whose opening or closing did not fit the ring: its books, kept until they are fetched. */
struct wire_grave {
	struct wire_head head;
	struct wire_pages opening, closing, exit, residue, spilled;
	u64 spilled_rows, swapped_pages, parent_mm;
	u32 how, open_sent;
};

/* Counters of the programs, in memory shared with the loader. All only grow, but for the two that say "alive". */
struct wire_stats {
	s64 live_tasks, live_mms;
	u64 mms, processes, rows;
	u64 folded_rows;   /* rows put into folds or spilled */
	u64 graves;	   /* entries ever put into the graves map */
	u64 buried_mms;	   /* mms of which not even a grave could be kept */
	u64 dropped_info;  /* records without effect on the books (marks, VMAs, paths) that did not fit */
	u64 unwatched_mms; /* mms that could not be watched for lack of memory */
	u64 unwatched_tasks;
	u64 dropped_stacks; /* stacks that did not fit: their rows say none */
	u64 copied_stacks;  /* sent to be walked in user space */
	u64 copies;	    /* ids of copies given away */
};

enum wire_stacks { WIRE_STACKS_NONE, WIRE_STACKS_FP, WIRE_STACKS_CFI };

/* Functions of the kernel that not every kernel has. The programs call them by these numbers, for which the loader puts the
 * kernel's own. */
enum wire_call {
	WIRE_CALL_FIRST = 0x7fff0000,
	WIRE_CALL_VMA_NEW = WIRE_CALL_FIRST,
	WIRE_CALL_VMA_NEXT,
	WIRE_CALL_VMA_DESTROY,
	WIRE_CALL_RDONLY_CAST,
};

/* Set by the loader before load, constant for the verifier after that. */
struct wire_config {
	u64 stack_seed;
	u64 ring_limit; /* bytes that rows may fill of the ring; the rest is for marks, births and ends */
	u32 cpu_count;	/* possible CPUs */
	u32 page_shift;
	u32 follow;	   /* watch children that have an mm of their own */
	u32 stacks;	   /* enum wire_stacks */
	u32 rough_times;   /* of rows: to the tick */
	u32 pid_namespace; /* inode of the observer's; 0: the first one, whose numbers are the kernel's */
	u32 room_rows;	   /* that a CPU may send before it looks at the ring's fill again */
	u32 places;	   /* in the array of what is live: a power of two */
	u32 vma_iterator;  /* the kernel has one of mappings for programs: WIRE_CALL_VMA_* */
	u32 word_type; /* BTF id of a struct timespec64, as which memory is read; 0: without WIRE_CALL_RDONLY_CAST */
	u32 current_known;    /* the next is */
	s64 current_distance; /* bytes from a CPU's run queue to its pointer to the current task */
	s32 nr_write, nr_prctl, nr_execve, nr_execveat, nr_mmap, nr_munmap, nr_brk, nr_mremap;
	u8 memcalls[WIRE_SYSCALLS]; /* not 0: each call is a row; 1 + how many arguments it has */
};

#define WIRE_FOUND_VMA_ITER   1u  /* an iterator of mappings for programs */
#define WIRE_FOUND_MAPLE      2u  /* mappings lie in a maple tree */
#define WIRE_FOUND_LOCK_PATH  4u  /* mmap_lock tracepoints carry the path of a memory cgroup */
#define WIRE_FOUND_EXIT_GROUP 8u  /* sched_process_exit says whether the process ends */
#define WIRE_FOUND_ANNOUNCED  16u /* calls must be seen as they begin: their registers do not tell all */
#define WIRE_FOUND_CURRENT    32u /* where the current task of each CPU is */
#define WIRE_FOUND_LOADS      64u /* memory of the kernel is read by loads */

enum wire_rss { WIRE_RSS_PERCPU, WIRE_RSS_ATOMIC, WIRE_RSS_CACHED };

/* Shared at run time. */
struct wire_shared {
	struct wire_stats stats;
	u32 reader_sleeps; /* the next record wakes the reader, which otherwise looks by itself: set by the reader before it
			    * sleeps, and by programs that wait for it */
	u32 seed_mode;	   /* enum wire_seed */
	u32 stopped;	   /* set at the detach: from now on nothing is booked, on any CPU */
	u32 seed_errors; /* tasks and mms that the seed program could not enter */
	u32 rss_kind;	 /* enum wire_rss: where this kernel keeps RSS */
	u32 found;	 /* WIRE_FOUND_*: what this kernel has */
	u64 look_mm;
	s64 look[WIRE_MEMBERS]; /* what SEED_LOOK found; set to 0 before */
};

#endif
