/* SPDX-License-Identifier: GPL-2.0-only */
/* closings: the tables at the end of a report. Each ledger is drawn when its books close and written at the end, so the
 * memory must not grow with the number of processes: the first ones, those that do not balance and the largest keep
 * their tables, up to a number and a size; others keep one line, and beyond those a count. */
#ifndef HEAPTRACE_CLOSINGS_H
#define HEAPTRACE_CLOSINGS_H

#include "model/record.h"
#include "report/textstyle.h"

#include <stdio.h>

struct closings;

/* An empty collection; @phases: with the table per phase. NULL on lack of memory. */
struct closings *closings_new(const struct textstyle *style, bool phases);

/* Frees it; NULL is legal. */
void closings_free(struct closings *closings);

/* Draws and keeps the books of one mm, with the text @more, unless NULL, below its tables. Times count from @start_ns. 0 or
 * -ENOMEM. */
int closings_add(struct closings *closings, const struct ledger_view *ledger, uint64_t start_ns,
		 const struct buf *more);

/* Writes all of it to @out. 0 or -errno. */
int closings_write(struct closings *closings, FILE *out);

#endif
