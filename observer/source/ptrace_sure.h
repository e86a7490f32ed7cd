/* SPDX-License-Identifier: GPL-2.0-only */
/* ptrace_sure: calls whose exit need not be seen. A stop costs more than all that is done at it, and malloc's way of giving
 * big blocks back is munmap of exactly what mmap has made. That cannot fail, and what it takes off VIRT and RSS is known
 * beforehand:
 *
 *   - the range is mapped: it is one that an anonymous mmap has returned, and no call has touched it since;
 *   - cutting it out of a larger mapping does not exceed the limit of mappings: there have not been enough calls for that;
 *   - every page that is resident is anonymous and this mm's alone, as pagemap says.
 *
 * That the call was made is known at the thread's next stop, unless that is its last one: so the row waits until then. */
#ifndef HEAPTRACE_PTRACE_SURE_H
#define HEAPTRACE_PTRACE_SURE_H

#include "event/event.h"
#include "source/ptrace_decode.h"

#include <stdbool.h>
#include <stdint.h>

struct tracer;
struct ptrace_mm;
struct ptrace_task;

#define SURE_RANGES 32

/* What of an mm is known well enough. */
struct sure {
	struct ptrace_range fresh[SURE_RANGES]; /* mapped, and not touched by a call since */
	unsigned int next;			/* to be overwritten next */
	uint64_t maps_at_most;
	bool waits; /* a row, for its confirmation */
	struct event_change change;
	uint64_t ts_ns;
	int32_t tid;
};

/* An anonymous mapping has been made at a free place. */
void sure_mapped(struct ptrace_mm *mm, uint64_t start, uint64_t len);

/* A call of @mm may change the mappings in @ranges; in no known ones: everywhere. */
void sure_changed(struct ptrace_mm *mm, const struct ptrace_range *ranges, unsigned int count);

/* Whether the call at whose entry @task stands is one whose exit need not be seen; if so its row waits. */
bool sure_call(struct tracer *tracer, struct ptrace_task *task);

/* Books the row that waits, if any: @certain if the thread has gone on since, else if the level says that the call has been
 * made. */
void sure_confirm(struct tracer *tracer, struct ptrace_mm *mm, bool certain);

#endif
