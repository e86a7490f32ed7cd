/* SPDX-License-Identifier: GPL-2.0-only */
/* ptrace_ring: events on their way from the tracer, a process of its own, to heaptrace, in memory that both share.
 *
 * The tracer was forked from heaptrace: addresses of literals and tables are the same in both, so that an event's name and
 * call travel as they are. Other strings are copied. */
#ifndef HEAPTRACE_PTRACE_RING_H
#define HEAPTRACE_PTRACE_RING_H

#include "base/diag.h"
#include "event/event.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What heaptrace asks of the tracer. */
enum ptrace_command { PTRACE_GO_ON, PTRACE_LET_GO };

/* The words that the two processes share beside the data. */
struct ptrace_shared {
	_Atomic uint64_t head;		  /* bytes ever written: the tracer's */
	_Atomic uint64_t tail;		  /* bytes ever read: heaptrace's */
	_Atomic uint32_t sleeping;	  /* heaptrace waits to be told of new events */
	_Atomic uint32_t finished;	  /* nothing more will be written */
	_Atomic uint32_t stays;		  /* the tracer does not end then: it keeps processes going */
	_Atomic uint32_t command;	  /* enum ptrace_command */
	_Atomic uint32_t caps;		  /* enum cap */
	_Atomic uint32_t listener_wanted; /* a process has asked for what it cannot have beside ours */
	struct diag diag;		  /* why the tracer could not begin */
	uint64_t bytes;			  /* size of data, a power of two */
	int wake_fd;			  /* an eventfd */
	_Alignas(64) char data[];
};

/* Memory for both, of @bytes or a default (0), to be made before the fork. NULL on lack of memory or descriptors. */
struct ptrace_shared *ptrace_shared_new(uint64_t bytes);

/* Unmaps it and closes the descriptor, in this process; NULL is legal. */
void ptrace_shared_free(struct ptrace_shared *shared);

/* Delivers up to @max events that have arrived. Returns how many, or what @fn returned if that is not 0. */
int ptrace_ring_read(struct ptrace_shared *shared, unsigned int max, event_fn fn, void *ctx);

/* The tracer's side: keeps what does not fit. */
struct ptrace_writer;

/* A writer to @shared; NULL on lack of memory. */
struct ptrace_writer *ptrace_writer_new(struct ptrace_shared *shared);

/* Frees it; NULL is legal. */
void ptrace_writer_free(struct ptrace_writer *writer);

/* Sends one event. @nr: for a row, the number of its syscall, whose name the reader looks up; -1 where event->change.name is
 * a literal. Where there is no room it waits in memory, and rows of one cause are added up in one. 0 or -ENOMEM. */
int ptrace_write(struct ptrace_writer *writer, const struct event *event, int nr);

/* Sends what has been waiting, as far as there is room now. True if nothing waits any more. */
bool ptrace_write_flush(struct ptrace_writer *writer);

/* From now on everything is thrown away: nobody reads. */
void ptrace_writer_close(struct ptrace_writer *writer);

#endif
