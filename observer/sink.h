/* SPDX-License-Identifier: GPL-2.0-only */
/* sink: what events run into: the model, the filter, one report, and the stream that this is written to. */
#ifndef HEAPTRACE_SINK_H
#define HEAPTRACE_SINK_H

#include "launch.h"
#include "options.h"

struct sink;

/* Opens the output that @options ask for, on behalf of @user. Nothing is written yet. 0, or -errno with @diag. */
int sink_open(const struct options *options, const struct launch_user *user, struct sink **ret_sink, struct diag *diag);

/* Finds names for call chains from now on: before the first event, and before privileges are given up, which the process that
 * reads the files does for itself. 0, or -errno where call chains will only have their objects. */
int sink_find_names(struct sink *sink);

/* Writes the header, the first of all records. */
void sink_header(struct sink *sink, const struct record_header *header);

/* An event_fn: feeds the model and writes the records that come of it. 0, or -errno on lack of memory. Errors of the
 * output are kept for sink_close, so that a full disk does not end what is watched. */
int sink_event(void *sink, const struct event *event);

/* Writes what is buffered. */
void sink_flush(struct sink *sink);

/* Writes the last record; the counts in @end are filled in. */
void sink_end(struct sink *sink, struct record_end *end);

/* Closes and frees. 0, or -errno with @diag where not everything could be written. NULL is legal. */
int sink_close(struct sink *sink, struct diag *diag);

#endif
