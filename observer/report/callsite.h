/* SPDX-License-Identifier: GPL-2.0-only */
/* callsite: which frames of a call chain a reader wants to see on the row itself. */
#ifndef HEAPTRACE_CALLSITE_H
#define HEAPTRACE_CALLSITE_H

#include "event/event.h"

/* The innermost frame that belongs to the program and not to the C library, the loader or an allocator; where there is
 * none, the innermost of all. NULL without a stack. *@ret_entry is the frame through which the program entered the
 * library (malloc, say), or NULL where there is none. Both point into the stack. */
const struct frame *callsite_find(const struct event_change *change, const struct frame **ret_entry);

#endif
