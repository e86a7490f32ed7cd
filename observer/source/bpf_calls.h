/* SPDX-License-Identifier: GPL-2.0-only */
/* bpf_calls: what the rows of the BPF programs need to know of their calls, found by number. */
#ifndef HEAPTRACE_BPF_CALLS_H
#define HEAPTRACE_BPF_CALLS_H

#include "bpf/wire.h"
#include "event/memcalls.h"

#include <stdbool.h>

struct bpf_call {
	const char *name;	    /* NULL: not looked up yet */
	const struct memcall *call; /* NULL: it is none of the memory calls */
	int32_t nr;
	unsigned int args; /* that the call has */
	bool path;	   /* it is about a file, whose path went ahead */
};

/* Zeroed, it knows none yet. */
struct bpf_calls {
	struct bpf_call known[WIRE_SYSCALLS];
};

/* The call @nr, whatever number that is; the table's, until one with another number takes its place. */
const struct bpf_call *bpf_call_find(struct bpf_calls *calls, int32_t nr);

#endif
