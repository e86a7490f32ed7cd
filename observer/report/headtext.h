/* SPDX-License-Identifier: GPL-2.0-only */
/* headtext: the lines for people that stand first in a report and last. */
#ifndef HEAPTRACE_HEADTEXT_H
#define HEAPTRACE_HEADTEXT_H

#include "model/record.h"
#include "report/textstyle.h"

/* Adds who observes what, by which source and why by that, what that source sees and what it does not. */
void headtext_add(struct buf *buf, const struct textstyle *style, const struct record_header *header);

/* Adds the closing line: how the command ended, how much was seen, how many books balance. */
void headtext_add_end(struct buf *buf, const struct textstyle *style, const struct record_end *end);

/* Adds how a process ended: "exit status 0", "killed by SIGSEGV". */
void headtext_add_fate(struct buf *buf, int code, int signal);

#endif
