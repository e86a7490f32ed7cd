/* SPDX-License-Identifier: GPL-2.0-only */
/* bpf_cause: what a row of the programs is due to, in the words of events. */
#ifndef HEAPTRACE_BPF_CAUSE_H
#define HEAPTRACE_BPF_CAUSE_H

#include "event/event.h"

#include <stdint.h>

struct bpf_call;

/* Sets cause, name and call of @change by @cause, an enum wire_cause, and @call, the one that the row names, or NULL. For WIRE_ACTOR a
 * thread of the kernel is called by its own name, @comm, which outlives the delivery. */
void bpf_cause_fill(struct event_change *change, uint32_t cause, const char *comm, const struct bpf_call *call);

#endif
