/* SPDX-License-Identifier: GPL-2.0-only */
/* callsite: what of a call chain a reader wants to see on the row itself: who asked for it, and by which function. */
#ifndef HEAPTRACE_CALLSITE_H
#define HEAPTRACE_CALLSITE_H

#include "event/event.h"

/* Both point into the call chain; NULL where there is none. */
struct callsite {
	const struct frame *entry; /* the allocator function that the program called: of several the outermost; else the
				     * function of a library through which it came here */
	const struct frame *caller; /* the first frame of the program above it */
};

/* Finds the call site of @change. Where nothing of the program is in the chain, its innermost frame is the caller, the
 * wrapper of the syscall left out. */
void callsite_find(const struct event_change *change, struct callsite *out);

/* The name to show for the entry, or NULL: no name is known, or it is that of the row's own syscall. */
const char *callsite_entry_name(const struct event_change *change, const struct callsite *site);

#endif
