/* SPDX-License-Identifier: GPL-2.0-only */
/* ptrace_books: levels as /proc tells them, rows that explain how they changed, and what is left without a row. */
#ifndef HEAPTRACE_PTRACE_BOOKS_H
#define HEAPTRACE_PTRACE_BOOKS_H

#include "source/ptrace_state.h"

/* An event about @mm, by @task or (NULL) its first process, at @ts_ns. */
struct event books_event(const struct ptrace_mm *mm, const struct ptrace_task *task, enum event_kind kind,
			 uint64_t ts_ns);

/* Sends an event. @nr as in ptrace_write(). Lack of memory ends the tracing. */
void books_send(struct tracer *tracer, const struct event *event, int nr);

/* Sends the row @change of @mm, with the next order number, and books its delta. */
void books_row(struct tracer *tracer, struct ptrace_mm *mm, const struct ptrace_task *task, struct event_change *change,
	       int nr, uint64_t ts_ns);

/* Reads the level of @mm. 0, or -ESRCH where /proc has it no more. */
int books_level(struct tracer *tracer, struct ptrace_mm *mm, struct usage *out);

/* Collects the faults that have been recorded for all mms. Returns how many. */
size_t books_collect(struct tracer *tracer);

/* Books what has changed in @mm: faults as far as the pages they were taken on tell their effect; and, where nobody of the
 * mm runs, all the rest by elimination. @task is the one that is stopped, or NULL. */
void books_settle(struct tracer *tracer, struct ptrace_mm *mm, const struct ptrace_task *task);

/* The same, and nothing is left afterwards: where others run, what is in between a fault and its record is waited for. */
void books_resolve(struct tracer *tracer, struct ptrace_mm *mm, const struct ptrace_task *task);

/* Whether faults of @mm wait to be booked. */
bool books_pending(const struct tracer *tracer, const struct ptrace_mm *mm);

/* The same where the mm runs on, to be called now and then: books what has been left since the last time. */
void books_settle_running(struct tracer *tracer, struct ptrace_mm *mm);

/* Books the faults, given that the level is @now, and returns what they do not explain. */
struct usage books_explain(struct tracer *tracer, struct ptrace_mm *mm, const struct usage *now);

/* Forgets the faults counted so far: what a call that was measured has taken is no kernel-mode fault to be explained. */
void books_rebase_faults(struct tracer *tracer, struct ptrace_mm *mm);

#endif
