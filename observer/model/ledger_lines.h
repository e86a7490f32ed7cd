/* SPDX-License-Identifier: GPL-2.0-only */
/* ledger_lines: the lines of the books, by cause and name, in order of first appearance. */
#ifndef HEAPTRACE_LEDGER_LINES_H
#define HEAPTRACE_LEDGER_LINES_H

#include "model/record.h"

#define LEDGER_LINES_RECENT 64u

/* Zero-initialise before use. */
struct ledger_lines {
	struct ledger_line *lines; /* their names belong to this */
	uint32_t *hashes;
	unsigned int count, size;
	unsigned int
		recent[LEDGER_LINES_RECENT]; /* by cause and where the name lies: 1 + the index of the last; 0: none */
};

/* The index of the line for rows like @change, which is added if need be; past LEDGER_LINES_MAX of them it is that of
 * the line that such rows share. -ENOMEM. */
int ledger_lines_find(struct ledger_lines *lines, const struct event_change *change);

/* Enters @change in @line, but for its sum. */
void ledger_line_add(struct ledger_line *line, const struct event_change *change);

/* Adds what is entered in @part to @line, but for its sum. */
void ledger_line_merge(struct ledger_line *line, const struct ledger_line *part);

/* Makes the sum of what is entered. */
void ledger_line_sum(struct ledger_line *line);

/* Frees the lines: as new. */
void ledger_lines_free(struct ledger_lines *lines);

/* The sum of two usages. Recordings may hold any number, so that it wraps where signed numbers would overflow. */
void books_add(struct usage *sum, const struct usage *delta);

/* The difference, likewise. */
void books_sub(struct usage *sum, const struct usage *delta);

/* RSS, likewise. */
int64_t books_rss(const struct usage *usage);

#endif
