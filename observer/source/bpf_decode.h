/* SPDX-License-Identifier: GPL-2.0-only */
/* bpf_decode: records of the BPF programs to events. Pure but for the paths it remembers between two records. */
#ifndef HEAPTRACE_BPF_DECODE_H
#define HEAPTRACE_BPF_DECODE_H

#include "bpf/wire.h"
#include "event/event.h"
#include "source/stack_store.h"

#include <stddef.h>

struct bpf_decode;

/* A decoder for pages of @page_size bytes, delivering to @fn; NULL on lack of memory. */
struct bpf_decode *bpf_decode_new(uint64_t page_size, event_fn fn, void *ctx);

/* Frees it; NULL is legal. */
void bpf_decode_free(struct bpf_decode *decode);

/* Delivers from now on to @fn. */
void bpf_decode_redirect(struct bpf_decode *decode, event_fn fn, void *ctx);

/* Has rows get their stacks from @store, which is borrowed. */
void bpf_decode_set_stacks(struct bpf_decode *decode, struct stack_store *store);

/* Decodes one record of @size bytes. 0; -EBADMSG where it is none; what the event function returned. */
int bpf_decode_record(struct bpf_decode *decode, const void *record, size_t size);

/* Delivers what is held back: changes of one foreign actor to one mm, page by page, become one row. To be called when
 * there is no further record for now. 0, or what the event function returned. */
int bpf_decode_settle(struct bpf_decode *decode);

/* Delivers what a fold gained, @fold being the difference from what was delivered before. */
int bpf_decode_fold(struct bpf_decode *decode, const struct wire_fold_key *key, const struct wire_fold *fold,
		    uint64_t ts_ns);

/* Delivers what found neither ring nor fold, if @rows did not, as a row of the mm and of the time of @head. */
int bpf_decode_spilled(struct bpf_decode *decode, const struct wire_head *head, const struct wire_pages *spilled,
		       uint64_t rows);

/* Delivers the beginning of an mm whose record was lost, then, with @closing, its end. */
int bpf_decode_grave(struct bpf_decode *decode, const struct wire_grave *grave, bool closing);

/* Pages to bytes. */
struct usage bpf_decode_usage(const struct bpf_decode *decode, const struct wire_pages *pages);

#endif
