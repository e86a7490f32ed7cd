/* SPDX-License-Identifier: GPL-2.0-only */
/* bpf_losses: what the programs had to leave out, as events. */
#ifndef HEAPTRACE_BPF_LOSSES_H
#define HEAPTRACE_BPF_LOSSES_H

#include "bpf/wire.h"
#include "event/event.h"

/* Delivers an EVENT_LOST, at @ts_ns, for each kind of loss that @stats count more of than @told, and brings @told up to date.
 * 0, or what @fn returned. */
int bpf_losses_tell(const volatile struct wire_stats *stats, struct wire_stats *told, uint64_t ts_ns, event_fn fn,
		    void *ctx);

#endif
