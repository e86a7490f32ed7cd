/* SPDX-License-Identifier: GPL-2.0-only */
/* event_queue: events on their way from the thread that reads a source to the one that keeps the books. Who reads must not
 * wait for who writes the report: a source's own room fills within milliseconds. The queue is bounded, and only where it is
 * full does the reader wait. One thread puts, one takes. */
#ifndef HEAPTRACE_EVENT_QUEUE_H
#define HEAPTRACE_EVENT_QUEUE_H

#include "event/event.h"

struct event_queue;

/* A queue of at most @bytes_max bytes, and as much again that is being delivered. NULL with errno set on failure. Events are
 * handed over by the batch, or when that is asked for. */
struct event_queue *event_queue_new(size_t bytes_max);

/* Frees it; NULL is legal. */
void event_queue_free(struct event_queue *queue);

/* Puts a copy of @event, of whose frames it keeps what a source gives, with a descriptor of its own of the file, unless too many
 * are open; waits while the queue is full. 0; -ENOMEM; -ECANCELED
 * once the queue is abandoned. It has the type of an event_fn. */
int event_queue_put(void *queue, const struct event *event);

/* Hands over what was put: it is not for each event. */
void event_queue_flush(struct event_queue *queue);

/* Says that nothing more will be put, and what @result is to be told to the taker after the last event. */
void event_queue_end(struct event_queue *queue, int result);

/* Says that nothing more will be taken. */
void event_queue_abandon(struct event_queue *queue);

/* Delivers what was put, waiting at most @timeout_ms for something. 1 if anything was delivered, 0 if not; -ENODATA once all is
 * delivered and nothing more will be put, with what event_queue_end() was told in @ret_result; or what @fn returned. */
int event_queue_take(struct event_queue *queue, int timeout_ms, event_fn fn, void *ctx, int *ret_result);

#endif
