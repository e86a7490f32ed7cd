/* SPDX-License-Identifier: GPL-2.0-only */
/* filter: which rows to show. The books count all of them. */
#ifndef HEAPTRACE_FILTER_H
#define HEAPTRACE_FILTER_H

#include "base/diag.h"
#include "event/event.h"

#include <stdbool.h>
#include <stdint.h>

#define FILTER_NAMES_MAX 64

struct filter {
	uint64_t min_bytes;		     /* hides rows whose VIRT and RSS both change by less */
	bool inverted;			     /* the names are those to hide */
	unsigned int count;		     /* 0: every cause */
	const char *names[FILTER_NAMES_MAX]; /* point into @text */
	char *text;			     /* owned */
};

/* Parses "mmap,munmap,fault" or "!mprotect,madvise": names of causes, syscalls or kinds of fault. 0, or -errno with
 * @diag for an unknown name or none. */
int filter_parse(struct filter *filter, const char *expr, struct diag *diag);

/* Whether the row @event is to be shown. */
bool filter_shows(const struct filter *filter, const struct event *event);

/* Frees what @filter owns. */
void filter_free(struct filter *filter);

#endif
