/* SPDX-License-Identifier: GPL-2.0-only */
/* calltext: a syscall as text, as in mmap(NULL, 2052 kB, rw, private|anon) = 0x7f0000000000 */
#ifndef HEAPTRACE_CALLTEXT_H
#define HEAPTRACE_CALLTEXT_H

#include "event/event.h"
#include "report/textstyle.h"

/* The kernel's errors are -1 to -MAX_ERRNO (include/linux/err.h); any other value is no error. */
#define MAX_ERRNO 4095

/* Whether @change is a call that failed. */
bool calltext_failed(const struct event_change *change);

/* Adds the call of @change with its arguments and its result. Arguments that mean nothing in this call (the file of an
 * anonymous mapping) are left out; those of a call that is not described, and of several calls in one row, are "...",
 * and so are pointers at the end, as that to argv. */
void calltext_add(struct buf *buf, const struct textstyle *style, const struct event_change *change);

#endif
