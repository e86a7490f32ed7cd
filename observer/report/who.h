/* SPDX-License-Identifier: GPL-2.0-only */
/* who: what a format writes of the thread that a row is of, kept from row to row as long as it is the same thread. */
#ifndef HEAPTRACE_WHO_H
#define HEAPTRACE_WHO_H

#include "base/buf.h"
#include "event/event.h"

#include <stdbool.h>

/* Zero-initialise before use. */
struct who {
	int32_t pid, tid;
	uint64_t mm;
	char comm[EVENT_COMM_LEN];
	struct buf text;
};

/* Whether @who->text is of the thread, name and mm of @event. If not it is empty on return, and the caller writes there
 * what is; buf_error() of it is the caller's to ask. */
bool who_known(struct who *who, const struct event *event);

/* Frees the text: as new. */
void who_free(struct who *who);

#endif
