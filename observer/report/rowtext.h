/* SPDX-License-Identifier: GPL-2.0-only */
/* rowtext: in words what happened in one row: its last column. */
#ifndef HEAPTRACE_ROWTEXT_H
#define HEAPTRACE_ROWTEXT_H

#include "model/record.h"
#include "report/textstyle.h"

/* What the row alone does not tell. */
struct rowtext_context {
	int32_t parent_pid; /* of a fork row: whose copy it is, 0 = unknown */
	const char *image;  /* of an exec row without a text of its own; NULL = unknown */
	uint64_t page_size;
};

/* Adds what happened in the row @record (an EVENT_CHANGE): the call, the pages touched, the actor. */
void rowtext_add(struct buf *buf, const struct textstyle *style, const struct record *record,
		 const struct rowtext_context *context);

/* Adds the row's caller, "malloc() ← parse_chunk (loader.c:212)", or nothing where no stack was taken. */
void rowtext_add_caller(struct buf *buf, const struct textstyle *style, const struct event_change *change);

/* Adds where a frame is: "parse_chunk (loader.c:212)", or the address and the object for want of better. */
void rowtext_add_place(struct buf *buf, const struct textstyle *style, const struct frame *frame);

/* Adds one frame: "parse_chunk+0x1c (loader.c:212) in /usr/bin/prog", as far as known. */
void rowtext_add_frame(struct buf *buf, const struct textstyle *style, const struct frame *frame);

/* The region column: "[heap]", "anon", ..., "" where there is none. Static, at most 6 columns. */
const char *rowtext_region(enum region_kind kind);

/* Adds what a ledger line is about: "mmap", "page faults, minor", "read: faults in the kernel", "kernel: khugepaged". */
void rowtext_add_cause(struct buf *buf, const struct textstyle *style, enum cause cause, const char *name);

#endif
