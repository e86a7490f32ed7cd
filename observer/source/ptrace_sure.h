/* SPDX-License-Identifier: GPL-2.0-only */
/* ptrace_sure: calls whose exit need not be seen, of a thread that has its mm, or the token of it, for itself. A stop costs more
 * than all that is done at it.
 *
 * malloc's way of giving big blocks back is munmap of exactly what mmap has made. That cannot fail, and what it takes off VIRT
 * and RSS is known beforehand:
 *
 *   - the range is mapped: it is one that an anonymous mmap has returned, and no call has touched it since;
 *   - cutting it out of a larger mapping does not exceed the limit of mappings: there have not been enough calls for that;
 *   - every page that is resident is anonymous and this mm's alone, as pagemap says.
 *
 * That the call was made is known at the thread's next stop, unless that is its last one: so the row waits until then.
 *
 * What mmap of private anonymous memory has returned is told by perf, in order of time with the faults: as it makes the mapping
 * the kernel records from where to where that reaches, its neighbours included that it has become one with. What of that was not
 * mapped before (ptrace_mapped) is what the call has returned. Where nothing is recorded it has failed: where no page is locked, the
 * kernel chooses the address and nothing is to be executed, that can only be ENOMEM (do_mmap, get_unmapped_area, may_expand_vm,
 * security_vm_enough_memory_mm; the security modules look at files and at memory to be executed).
 *
 * brk returns where the heap ends then: where the caller wanted, or as before. That it has grown is told by perf, that it has shrunk
 * by VIRT when the thread comes to its next call. */
#ifndef HEAPTRACE_PTRACE_SURE_H
#define HEAPTRACE_PTRACE_SURE_H

#include "event/event.h"
#include "source/perf_faults.h"
#include "source/ptrace_decode.h"
#include "source/ptrace_mapped.h"

#include <stdbool.h>
#include <stdint.h>

struct tracer;
struct ptrace_mm;
struct ptrace_task;
struct ptrace_call;

#define SURE_RANGES 32

/* What of an mm is known well enough. */
struct sure {
	struct ptrace_range fresh[SURE_RANGES]; /* mapped, and not touched by a call since */
	unsigned int next;			/* to be overwritten next */
	uint64_t maps_at_most;
	struct mapped mapped;
	uint64_t read_after, calls; /* maps are read again when so many calls have come since the last time */
	bool waits;		    /* a row, for its confirmation */
	struct event_change change;
	uint64_t ts_ns;
	int32_t tid;
};

/* An anonymous mapping has been made at a free place. */
void sure_mapped(struct ptrace_mm *mm, uint64_t start, uint64_t len);

/* A call of @mm may have split mappings. */
void sure_split(struct ptrace_mm *mm);

/* A call of @mm may change the mappings in @ranges; in no known ones: everywhere. */
void sure_changed(struct ptrace_mm *mm, const struct ptrace_range *ranges, unsigned int count);

/* A call of @mm whose exit is seen has returned @ret, and has made VIRT grow by @virt. */
void sure_returned(struct ptrace_mm *mm, const struct ptrace_call *call, int64_t ret, int64_t virt);

/* Whether the call at whose entry @task stands is one whose exit need not be seen; if so its row waits. */
bool sure_call(struct tracer *tracer, struct ptrace_task *task);

/* perf tells of a mapping in @mm: books the row of an mmap that waits for it. */
void sure_seen(struct tracer *tracer, struct ptrace_mm *mm, const struct perf_fault *mapping);

/* Books the row that waits, if any: if it is of thread @gone_on, which has done something else since, or (NULL for nobody in
 * particular) if the level or perf say that the call has been made. The call is over then. */
void sure_confirm(struct tracer *tracer, struct ptrace_mm *mm, const struct ptrace_task *gone_on);

/* The thread is about to make @cut again, as it was not made the first time. Is that the call whose row waits, that row is
 * forgotten; else it is certain. */
void sure_cut(struct tracer *tracer, struct ptrace_task *task, const struct ptrace_entry *cut);

/* The call of @task that has begun is not made: forgets its row, if that waits. */
void sure_forget(struct ptrace_task *task);

#endif
