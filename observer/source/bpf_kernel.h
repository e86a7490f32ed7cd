/* SPDX-License-Identifier: GPL-2.0-only */
/* bpf_kernel: the loaded programs: attaching them, running the seed programs, and what is shared with them. */
#ifndef HEAPTRACE_BPF_KERNEL_H
#define HEAPTRACE_BPF_KERNEL_H

#include "base/diag.h"
#include "bpf/wire.h"
#include "source/bpf_load.h"

#include <stddef.h>
#include <sys/types.h>

struct bpf_kernel_side; /* the loaded object */

/* Loads the programs; none is attached yet. 0, or -errno with @diag. */
int bpf_kernel_load(const struct bpf_kernel_config *config, struct bpf_kernel_side **ret_side, struct diag *diag);

/* Attaches all programs. 0, or -errno with @diag. */
int bpf_kernel_attach(struct bpf_kernel_side *side, struct diag *diag);

/* Stops all programs, detaches them, and waits until none runs any more; but for that of threads that end, which goes on to send
 * what they owe. */
void bpf_kernel_detach(struct bpf_kernel_side *side);

/* Runs the seed program over the threads of process @tgid, over thread @tid alone, or over all tasks (both 0). 0 or
 * -errno; tasks that could not be entered are counted in shared->seed_errors. */
int bpf_kernel_seed(struct bpf_kernel_side *side, enum wire_seed mode, pid_t tgid, pid_t tid);

/* Has the mappings of process @tgid sent. 0 or -errno. */
int bpf_kernel_seed_vmas(struct bpf_kernel_side *side, pid_t tgid);

/* File descriptors of the maps, owned by the object. */
int bpf_kernel_map_fd(const struct bpf_kernel_side *side, const char *name);

/* Bytes of one value of the map of mms. */
size_t bpf_kernel_mm_size(const struct bpf_kernel_side *side);

/* The memory shared with the programs, owned by the object. */
volatile struct wire_shared *bpf_kernel_shared(const struct bpf_kernel_side *side);

/* Unloads and frees; NULL is legal. */
void bpf_kernel_free(struct bpf_kernel_side *side);

#endif
