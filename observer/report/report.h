/* SPDX-License-Identifier: GPL-2.0-only */
/* report: how records are written. One struct per format; the list is REPORTS, which also feeds --help. */
#ifndef HEAPTRACE_REPORT_H
#define HEAPTRACE_REPORT_H

#include "model/record.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* What call chains are weighed by: bytes of VIRT or of RSS gained, or calls and faults. */
enum report_weight { WEIGHT_VIRT, WEIGHT_RSS, WEIGHT_COUNT };

struct report_options {
	FILE *out;
	bool color;
	bool quiet; /* text: the closing tables only */
	unsigned int verbose;
	enum report_weight weight;
	unsigned int columns; /* of the terminal, 0 = not one: never cut */
};

struct report_ops {
	const char *name;
	const char *help;
	bool all_rows;	       /* takes rows that a filter hides, too, and needs their names */
	bool quiet_hides_rows; /* with report_options.quiet it writes no rows */
	bool row_times;	       /* it writes when each row was */
	/* A new report, or NULL with errno set. @options is copied; the stream stays the caller's. */
	void *(*open)(const struct report_options *options);
	/* Writes one record. 0 or -errno (a full disk is found here or at close). */
	int (*write)(void *report, const struct record *record);
	/* Frees it; NULL is legal. */
	void (*close)(void *report);
};

extern const struct report_ops report_text;
extern const struct report_ops report_summary;
extern const struct report_ops report_jsonl;
extern const struct report_ops report_folded;
extern const struct report_ops report_recording;

/* The format called @name, or NULL. */
const struct report_ops *report_by_name(const char *name);

/* Walks the list: the @index-th format, NULL past the end. */
const struct report_ops *report_at(unsigned int index);

#endif
