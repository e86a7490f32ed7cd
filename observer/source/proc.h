/* SPDX-License-Identifier: GPL-2.0-only */
/* proc: the /proc sampler beside a source. It learns from the source's events what is alive. */
#ifndef HEAPTRACE_PROC_H
#define HEAPTRACE_PROC_H

#include "event/event.h"

struct proc_sampler;

/* A new sampler; NULL on lack of memory. */
struct proc_sampler *proc_sampler_new(void);

/* Frees it; NULL is legal. */
void proc_sampler_free(struct proc_sampler *sampler);

/* Takes notice of an mm that opens or closes. 0 or -ENOMEM. */
int proc_sampler_note(struct proc_sampler *sampler, const struct event *event);

/* Delivers one EVENT_SAMPLE for each living mm. 0, or what @fn returned. */
int proc_sampler_tick(struct proc_sampler *sampler, event_fn fn, void *ctx);

#endif
