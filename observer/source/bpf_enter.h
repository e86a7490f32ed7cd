/* SPDX-License-Identifier: GPL-2.0-only */
/* bpf_enter: whom the programs are to watch from the beginning. */
#ifndef HEAPTRACE_BPF_ENTER_H
#define HEAPTRACE_BPF_ENTER_H

#include "source/bpf_kernel.h"
#include "source/source.h"

/* Has the programs of @side, which are attached, watch the command and the processes that @config names. 0, or -errno with
 * @diag: -EACCES where the caller may not watch one of them. */
int bpf_enter(struct bpf_kernel_side *side, const struct source_config *config, struct diag *diag);

#endif
