/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/bpf_cause.h"

#include "bpf/wire.h"
#include "source/bpf_calls.h"

void bpf_cause_fill(struct event_change *change, uint32_t cause, const char *comm, const struct bpf_call *call)
{
	static const struct {
		enum cause cause;
		const char *name;
	} known[] = {
		[WIRE_SYSCALL] = { CAUSE_SYSCALL, NULL },
		[WIRE_FAULT_MINOR] = { CAUSE_FAULT, "minor" },
		[WIRE_FAULT_MAJOR] = { CAUSE_FAULT, "major" },
		[WIRE_FAULT_STACK] = { CAUSE_FAULT, "stack" },
		[WIRE_KERNEL_FAULT] = { CAUSE_KERNEL_FAULT, "signal" },
		[WIRE_EXIT_FAULT] = { CAUSE_KERNEL_FAULT, "exit" },
		[WIRE_ACTOR] = { CAUSE_KERNEL, NULL },
		[WIRE_RECLAIM] = { CAUSE_KERNEL, "reclaim" },
		[WIRE_IN_FLIGHT] = { CAUSE_KERNEL, "in flight at attach" },
		[WIRE_UNKNOWN] = { CAUSE_KERNEL, "unattributed" },
		[WIRE_TEARDOWN] = { CAUSE_EXIT, "exit" },
		[WIRE_COALESCED] = { CAUSE_KERNEL, "coalesced" },
	};

	if (cause >= sizeof(known) / sizeof(*known))
		cause = WIRE_UNKNOWN;
	change->attributed = cause != WIRE_UNKNOWN;
	change->cause = known[cause].cause;
	change->name = known[cause].name;
	change->call = call && cause == WIRE_SYSCALL ? call->call : NULL;
	if (call && (cause == WIRE_SYSCALL || cause == WIRE_KERNEL_FAULT || cause == WIRE_ACTOR))
		change->name = call->name;
	else if (cause == WIRE_ACTOR)
		change->name = comm;
}
