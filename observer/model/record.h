/* SPDX-License-Identifier: GPL-2.0-only */
/* record: what the model hands to a report: an event with its place in the books. */
#ifndef HEAPTRACE_RECORD_H
#define HEAPTRACE_RECORD_H

#include "event/event.h"

enum record_kind {
	RECORD_HEADER, /* first, once */
	RECORD_EVENT,  /* any event; rows (EVENT_CHANGE) carry their place in the books */
	RECORD_LEDGER, /* the closed books of one mm */
	RECORD_END,    /* last, once; its absence tells an incomplete output */
};

struct record_header {
	const char *version; /* of heaptrace */
	const char *source;
	const char *why; /* why this source was taken, NULL where it was asked for */
	unsigned int caps;
	uint64_t page_size;
	char *const *cmd; /* NULL-terminated; NULL on attach */
	uint64_t start_ns;
	uint64_t start_realtime_ns;
};

enum region_kind {
	REGION_NONE, /* no address belongs to it */
	REGION_HEAP,
	REGION_ANON,
	REGION_ARENA,
	REGION_STACK,
	REGION_FILE,
	REGION_SHM,
	REGION_VDSO,
	REGION_OTHER,
};

/* The mapping that a row is about. start and end are those of the row's effect: what was mapped, unmapped, touched. */
struct region {
	enum region_kind kind;
	uint64_t start, end;
	const char *path; /* NULL where there is none */
};

/* The books' line for one (cause, name). */
struct ledger_line {
	enum cause cause;
	const char *name;
	uint64_t count;
	uint64_t errors; /* failed calls among them */
	struct usage delta;
	struct usage gained, given; /* the sums of the positive and of the negative changes, given as a negative */
};

/* One phase: from a mark to the next. The first has no name. */
struct ledger_phase {
	const char *name; /* NULL: before the first mark */
	uint64_t start_ns, end_ns;
	struct usage closing; /* level at its end */
	struct usage delta;
	const struct ledger_line *lines;
	unsigned int line_count;
};

struct ledger_view {
	uint64_t mm;
	int32_t pid; /* the first process seen in this mm */
	const char *comm;
	const char *image; /* NULL where unknown */
	enum open_how how;
	bool detached;
	uint64_t start_ns, end_ns;
	struct usage opening, closing, peak;
	struct usage exit; /* the effect of the exit row, zero where there is none */
	struct usage proc;
	bool proc_known;
	const char *judge;		 /* the file below /proc/PID that proc is of; NULL: not said */
	const struct ledger_line *lines; /* the exit row left out, in order of first appearance */
	unsigned int line_count;
	const struct ledger_phase *phases;
	unsigned int phase_count;
	struct usage unattributed; /* on rows of unknown cause, plus closing minus the sum of all rows */
	uint64_t unattributed_rows;
	uint64_t lost_events, coalesced_events, swapped_pages;
	bool balanced; /* opening + rows = closing (= proc where known), part by part, and nothing unattributed */
};

struct record_end {
	uint64_t ts_ns;
	bool exit_known;
	int code, signal; /* of CMD */
	uint64_t processes, events, mms, balanced_mms;
	uint64_t lost_events;
	uint64_t lost_details; /* records that did not arrive and are no part of the books */
	uint64_t lost_stacks;  /* rows whose call chain did not arrive */
	uint64_t unnamed;      /* addresses of call chains whose files could not be read for their names */
};

struct record {
	enum record_kind kind;
	union {
		const struct record_header *header;
		struct {
			const struct event *event;
			struct usage after; /* rows, marks: the mm's level after it */
			struct region region;
			bool hidden; /* rows: a filter asks not to show it */
		};
		const struct ledger_view *ledger;
		const struct record_end *end;
	};
};

/* Takes one record, which it may change; returns 0 or -errno. */
typedef int (*record_fn)(void *ctx, struct record *record);

/* The name that outputs use: "heap", "anon", ...; NULL for REGION_NONE. Static. */
const char *region_kind_name(enum region_kind kind);

#endif
