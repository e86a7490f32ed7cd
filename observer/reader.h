/* SPDX-License-Identifier: GPL-2.0-only */
/* reader: the thread that reads the source until nothing watched is left or we are to let go, and puts the events into a
 * queue. Whatever the report and the names in it take, the source is read in time. It alone takes signals. */
#ifndef HEAPTRACE_READER_H
#define HEAPTRACE_READER_H

#include "event/event_queue.h"
#include "options.h"
#include "source/source.h"

struct reader;

struct reader_config {
	const struct options *options;
	struct source *source;
	struct event_queue *queue; /* ends with what the source ended with: 0 or -errno */
	pid_t child;		   /* the command, to which signals are passed on; 0: none */
	uint64_t start_ns;	   /* that --duration counts from */
};

/* Prepares for signals: from now on being asked to stop ends nothing by itself. */
void reader_catch_signals(void);

/* Starts it; what @config points to is borrowed until reader_join(). 0 or -errno. */
int reader_start(const struct reader_config *config, struct reader **ret_reader);

/* Waits until it has ended and frees it. True where it was asked to let go before the end. NULL is legal. */
bool reader_join(struct reader *reader);

#endif
