/* SPDX-License-Identifier: GPL-2.0-only */
/* ptrace_state: what the tracer knows of the threads that it traces and of their address spaces. */
#ifndef HEAPTRACE_PTRACE_STATE_H
#define HEAPTRACE_PTRACE_STATE_H

#include "base/map.h"
#include "event/event.h"
#include "source/perf_faults.h"
#include "source/ptrace_decode.h"
#include "source/ptrace_growing.h"
#include "source/ptrace_ring.h"
#include "source/ptrace_runstacks.h"
#include "source/ptrace_shadow.h"
#include "source/ptrace_stacks.h"
#include "source/ptrace_sure.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A syscall between its entry and its exit. */
struct ptrace_call {
	bool open;
	const char *foreign; /* the name of a call of another architecture; NULL for native ones */
	bool native;	     /* false: of another architecture; @nr is a number of that one, @memcall NULL */
	bool sure;	     /* its exit is not looked at */
	bool alone;	     /* nobody else of the mm could run since its entry */
	bool measuring;	     /* counted in @mm->measuring */
	bool has_stack;	     /* task->stack is of its entry */
	bool token;	     /* no other call may change the mm's mappings meanwhile */
	int nr;
	const struct memcall *memcall;
	uint64_t args[6];
	enum ptrace_effect effect;
	uint64_t ts_ns;

	struct page_counts counts; /* of the pages in reach at the entry, where it is not alone */
	char *text;		   /* the path of an exec; NULL for others */
};

enum task_state {
	TASK_NEW,	/* traced, its first stop is still to come, or is kept until its parent's stop has told of it */
	TASK_RUNNING,	/* or asleep: not in a stop */
	TASK_STOPPED,	/* in a stop, or a notification, that has not been answered */
	TASK_LISTENING, /* stopped for job control until it is told to go on by a signal */
	TASK_QUEUED,	/* likewise, at the entry of a call, until no other thread changes the mm */
	TASK_EXITING,	/* past its last stop */
};

struct ptrace_task {
	pid_t tid, pid;
	enum task_state state;
	struct ptrace_mm *mm; /* NULL: not watched, or no longer */
	bool filtered;	      /* our seccomp filter is on it: it stops at what matters */
	bool ignored;	      /* a child where children are not followed: kept going, no more */
	bool awaits_exec;     /* the command before its first exec */
	bool attaching;	      /* its first stop belongs to an attach */
	bool held;	      /* that stop is kept until all threads have joined */
	bool interrupted;     /* told to stop, and has not yet */
	bool repeats;	      /* next it makes a call again that this has cut short, or is at its entry to be let go */
	bool announced;	      /* its parent's stop has told of it */
	bool notified;	      /* it is in no stop, but waits for the answer to @notification, at the entry of a call */
	bool exit_due;	      /* its call has been answered, and it is told to stop when that is over */
	uint64_t notification;
	int status;	/* of a first stop that is kept, else 0 */
	int signal;	/* of a signal-delivery stop that is not answered yet */
	bool listening; /* stopped for job control */
	struct ptrace_task *queue_next;
	struct ptrace_call call;
	struct unwind_stack *stack; /* as last taken; NULL: none yet */
	uint64_t stack_page;	    /* that it was on then; 0: none */
	uint32_t arch;		    /* of the call at which it stands, AUDIT_ARCH_*; 0: it stands elsewhere */
	uint64_t pc, sp;	    /* there */
	unsigned int run_epoch;	    /* its run is mm->runs[run_index] if this is mm->epoch */
	size_t run_index;
	char comm[EVENT_COMM_LEN];
};

/* An address space. What is booked, @level, is the opening and all rows so far. */
struct ptrace_mm {
	struct ptrace_mm *next, **link;
	uint64_t id;
	pid_t pid; /* the process that it began with */
	char comm[EVENT_COMM_LEN];
	unsigned int tasks;  /* living in it */
	unsigned int halted; /* of them, in a stop or past the last one */
	pid_t fd_tid;	     /* whose files these are */
	int statm_fd;	     /* -1: none */
	int pagemap_fd;	     /* likewise */
	int maps_fd;	     /* likewise; -1 also where it cannot be asked for one mapping (procfs_map_start) */
	struct usage level;
	struct usage last; /* level as last read */
	uint64_t order;
	struct ptrace_view view;
	bool may_have_shmem;
	struct shadow shadow;
	struct sure sure;
	struct ptrace_code code;
	struct ptrace_run *runs; /* faults that are not booked yet */
	size_t run_count, run_cap;
	unsigned int epoch;
	uint64_t user_faults;	 /* recorded since @fault_base was read */
	uint64_t fault_base;	 /* what the kernel had counted then, user and kernel mode */
	uint64_t lost_faults;	 /* not booked yet */
	struct usage carried;	 /* what was left unexplained when it was last settled while it ran */
	bool had_threads;	 /* more than one task has lived in it */
	bool was_rushed;	 /* faults were booked while it ran, by pages that may have been newer */
	uint64_t doubtful_pages; /* booked to a thread's faults though another cause of the same mm is possible */
	struct growing growing;
	unsigned int measuring;	    /* calls under way that have an effect: what changes now may be theirs */
	struct ptrace_task *holder; /* of the token */
	uint64_t holder_since_ns;
	struct ptrace_task *queue; /* for the token, in order of arrival */
};

struct tracer {
	struct ptrace_shared *shared;
	struct ptrace_writer *writer;
	struct perf_faults *perf;	    /* NULL: faults are not seen one by one */
	struct ptrace_stacks *stacks;	    /* NULL: none are taken */
	struct ptrace_runstacks *runstacks; /* NULL: likewise, of faults */
	struct map tasks;		    /* struct ptrace_task by tid */
	struct ptrace_mm *mms;
	uint64_t next_mm;
	uint64_t page_size;
	bool follow;
	bool has_swap;
	uint64_t max_maps; /* that an mm may have: vm.max_map_count */
	bool letting_go;   /* stops are kept, not answered */
	int listener;	   /* for calls that notify (ptrace_notify); -1: they stop */
	int error;	   /* the first that ends the tracing, -errno */
};

/* The time now, CLOCK_MONOTONIC. */
uint64_t tracer_now_ns(void);

/* The task with this tid, or NULL. */
struct ptrace_task *task_find(const struct tracer *tracer, pid_t tid);

/* Enters a task, in state TASK_NEW. NULL on lack of memory. */
struct ptrace_task *task_add(struct tracer *tracer, pid_t tid);

/* Takes a task out of its mm (see task_leave()) and of the table, and frees it. */
void task_drop(struct tracer *tracer, struct ptrace_task *task);

/* Changes the state of @task, and so whether its mm may change now. */
void task_set_state(struct ptrace_task *task, enum task_state state);

/* Makes @task live in @mm. */
void task_join(struct ptrace_task *task, struct ptrace_mm *mm);

/* Takes @task out of its mm, if it has one; the mm stays, even without tasks. */
void task_leave(struct ptrace_task *task);

/* Any other task that lives in @mm than @except, with a preference for one that is not at its end; NULL where there is none. */
struct ptrace_task *mm_other_task(const struct tracer *tracer, const struct ptrace_mm *mm,
				  const struct ptrace_task *except);

/* Whether no task of @mm can run now. */
bool mm_is_quiet(const struct ptrace_mm *mm);

/* Reads the name of @task from /proc. */
void task_read_comm(struct ptrace_task *task);

/* A new mm with the next number, read through @task's files. NULL on lack of memory. */
struct ptrace_mm *mm_add(struct tracer *tracer, const struct ptrace_task *task);

/* Takes the mm off the list and frees it; no task may live in it. */
void mm_drop(struct ptrace_mm *mm);

/* Opens the files of @mm through thread @tid, in place of those it has. */
void mm_open_files(struct ptrace_mm *mm, pid_t tid);

/* Frees all tasks and mms, and what else the tracer holds. */
void tracer_clear(struct tracer *tracer);

#endif
