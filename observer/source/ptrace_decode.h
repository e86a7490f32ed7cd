/* SPDX-License-Identifier: GPL-2.0-only */
/* ptrace_decode: what the ptrace source concludes from numbers and texts. Pure functions. */
#ifndef HEAPTRACE_PTRACE_DECODE_H
#define HEAPTRACE_PTRACE_DECODE_H

#include "event/event.h"
#include "event/memcalls.h"

#include <linux/audit.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#if defined(__x86_64__)
#define PTRACE_NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define PTRACE_NATIVE_ARCH AUDIT_ARCH_AARCH64
#else
#error "heaptrace knows the system calls of x86-64 and aarch64 only"
#endif

/* What a call does to its mm, as far as its arguments tell. */
enum ptrace_effect {
	EFFECT_NONE,	 /* changes neither VIRT nor what is resident, whatever it returns */
	EFFECT_GROWTH,	 /* VIRT grows by ptrace_growth(), and no page becomes resident */
	EFFECT_MEASURED, /* it is to be measured */
};

/* What is known of an mm when a call is judged. */
struct ptrace_view {
	uint64_t page_size;
	uint64_t start_brk; /* 0 = not known, like brk */
	uint64_t brk;	    /* what brk(2) last returned */
	bool locked;	    /* pages of it are or may be locked, so that mapping them fills them */
};

/* Judges a memory call at its entry. */
enum ptrace_effect ptrace_effect(const struct memcall *call, const uint64_t args[static 6],
				 const struct ptrace_view *view);

/* By how many bytes VIRT grew by a call of EFFECT_GROWTH that returned @ret. */
int64_t ptrace_growth(const struct memcall *call, const uint64_t args[static 6], int64_t ret,
		      const struct ptrace_view *view);

/* Whether the call locks pages, or makes later mappings locked. */
bool ptrace_locks(const struct memcall *call, const uint64_t args[static 6]);

/* Whether the call, where it succeeds, leaves no page of its ranges resident. */
bool ptrace_drops(const struct memcall *call, const uint64_t args[static 6], const struct ptrace_view *view);

/* Addresses from start up to end. */
struct ptrace_range {
	uint64_t start, end;
};

#define PTRACE_RANGES 2

/* The ranges whose pages a call may touch, whole pages, not overlapping: at its entry with @returned false; afterwards with
 * @ret. Fills at most PTRACE_RANGES and returns how many; 0 where the arguments do not tell (shmdt). */
unsigned int ptrace_ranges(const struct memcall *call, const uint64_t args[static 6], const struct ptrace_view *view,
			   bool returned, int64_t ret, struct ptrace_range out[static PTRACE_RANGES]);

/* Whether @ret is an error, -errno, of a call that has returned for good; restarts are none. */
bool ptrace_failed(int64_t ret);

/* Whether @ret says that the call will be made again, after a signal. */
bool ptrace_restarts(int64_t ret);

/* A syscall as a stop tells of it. */
struct ptrace_entry {
	uint32_t arch; /* AUDIT_ARCH_* */
	uint64_t nr;
	uint64_t args[6];
};

/* Turns a call of a 32-bit program on x86-64 into the native one, with the native order of arguments, where it has one that
 * matters here. Whether the entry is one of native numbers then. */
bool ptrace_translate(struct ptrace_entry *entry);

/* The name of a call that ptrace_translate() has left as it was; "foreign syscall" where it is not known. Static. */
const char *ptrace_foreign_name(const struct ptrace_entry *entry);

/* The first three numbers of /proc/PID/statm, in pages. 0 or -EBADMSG. */
struct ptrace_statm {
	uint64_t size, resident, shared;
};
int ptrace_parse_statm(const char *text, size_t len, struct ptrace_statm *out);

/* Field @field (as proc(5) numbers them, from 4 on) of /proc/PID/stat. 0 or -EBADMSG. */
int ptrace_parse_stat(const char *text, size_t len, unsigned int field, uint64_t *out);

#define STAT_MINOR_FAULTS 10
#define STAT_MAJOR_FAULTS 12
#define STAT_START_STACK  28
#define STAT_CPU	  39
#define STAT_START_BRK	  47

struct ptrace_run_stack;

/* Faults of one thread on contiguous pages. */
struct ptrace_run {
	uint64_t start, end; /* whole pages */
	uint64_t ts_ns;	     /* of the first */
	uint64_t count;
	int32_t pid, tid;
	char comm[EVENT_COMM_LEN];
	bool major;
	uint64_t ip;			/* of the first; 0: not known */
	struct ptrace_run_stack *stack; /* of the first; NULL: not known. The run's */
};

/* Whether a fault on the page at @page continues the run: upward, downward or on a page it has. */
bool ptrace_run_touches(const struct ptrace_run *run, uint64_t page, uint64_t page_size, bool major);

/* Adds that fault to it; false where it does not continue it. */
bool ptrace_run_extend(struct ptrace_run *run, uint64_t page, uint64_t page_size, bool major);

#endif
