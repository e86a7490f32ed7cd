/* SPDX-License-Identifier: GPL-2.0-only */
/* bpf_load: the compiled programs, fitted to this kernel and loaded. */
#ifndef HEAPTRACE_BPF_LOAD_H
#define HEAPTRACE_BPF_LOAD_H

#include "base/diag.h"
#include "bpf/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bpf_object;

struct bpf_kernel_config {
	uint64_t ring_bytes; /* 0 = default; rounded up to a power of two of pages */
	bool follow;
	bool rough_times; /* of rows */
	bool attach;	  /* to what runs already */
	enum wire_stacks stacks;
	uint64_t stack_seed;
};

#define BPF_HANDLERS 3

struct bpf_loaded {
	struct bpf_object *object;
	size_t mm_size; /* of one value of the map of mms */
	int handlers[BPF_HANDLERS];
	unsigned int handler_count;
};

/* Loads the programs; none is attached yet. 0, or -errno with @diag; to be unloaded in both cases. */
int bpf_load(const struct bpf_kernel_config *config, struct bpf_loaded *loaded, struct diag *diag);

/* Unloads them. */
void bpf_unload(struct bpf_loaded *loaded);

#endif
