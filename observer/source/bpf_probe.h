/* SPDX-License-Identifier: GPL-2.0-only */
/* bpf_probe: what this process and this kernel let BPF programs do. */
#ifndef HEAPTRACE_BPF_PROBE_H
#define HEAPTRACE_BPF_PROBE_H

#include "base/diag.h"

#include <stdbool.h>

/* Whether this process may load and attach the programs, and what is missing otherwise. 0 or -errno with @diag. */
int bpf_probe(struct diag *diag);

/* Whether programs may read the kernel's memory; lockdown takes that from them and leaves them everything else. */
bool bpf_may_read_kernel(void);

#endif
