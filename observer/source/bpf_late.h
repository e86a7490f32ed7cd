/* SPDX-License-Identifier: GPL-2.0-only */
/* bpf_late: what did not fit the ring: folded rows, and mms whose opening or closing is in a grave. Also the order
 * that keeps the books: an mm's closing is delivered after everything that belongs before it. */
#ifndef HEAPTRACE_BPF_LATE_H
#define HEAPTRACE_BPF_LATE_H

#include "source/bpf_decode.h"
#include "source/bpf_kernel.h"

struct bpf_late;

/* @side and @decode are borrowed. NULL on lack of memory. */
struct bpf_late *bpf_late_new(struct bpf_kernel_side *side, struct bpf_decode *decode);

/* Frees it; NULL is legal. */
void bpf_late_free(struct bpf_late *late);

/* Takes notice of graves; to be called before the ring is consumed. 0 or -errno. */
int bpf_late_prepare(struct bpf_late *late);

/* Decodes one record of the ring, or keeps it for bpf_late_settle where folds of its mm may be missing. 0 or -errno. */
int bpf_late_record(struct bpf_late *late, const void *record, size_t size);

/* Delivers what is ready of folds, graves and kept closings; to be called after the ring was consumed. 0 or -errno. */
int bpf_late_settle(struct bpf_late *late);

/* Delivers what only the books of @mm have, which lives on but is watched no more: its opening if that has not been sent yet, so
 * that its folds can be delivered, and what spilled. 0 or -errno. */
int bpf_late_part(struct bpf_late *late, const struct wire_mm *mm, uint64_t ts_ns);

#endif
