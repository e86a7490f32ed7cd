/* SPDX-License-Identifier: GPL-2.0-only */
/* bpf_stacks: what the programs need to walk stacks, kept up to date: the code that each mm has mapped and the rules of
 * it; and what they could not walk themselves. */
#ifndef HEAPTRACE_BPF_STACKS_H
#define HEAPTRACE_BPF_STACKS_H

#include "event/event.h"
#include "source/bpf_kernel.h"
#include "source/source.h"
#include "source/stack_store.h"

struct bpf_stacks;

/* How the programs walk where a user asks for @stacks; none on architectures whose registers they do not know. */
enum wire_stacks bpf_stacks_mode(enum source_stacks stacks);

/* @side and @store are borrowed; @seed is what the programs begin the ids of stacks with. NULL with errno set on failure. */
struct bpf_stacks *bpf_stacks_new(struct bpf_kernel_side *side, struct stack_store *store, uint64_t seed);

/* Frees it; NULL is legal. */
void bpf_stacks_free(struct bpf_stacks *stacks);

/* Compiles @program (as execvp(3) would find it; NULL: none), the loader and the C library, and the vDSO, ahead of an exec:
 * so that its first calls can be walked in the kernel. */
void bpf_stacks_expect(struct bpf_stacks *stacks, const char *program);

/* Takes a record of the ring before it is decoded. 1 where it was one of stacks, 0 where it is for others, or -errno. */
int bpf_stacks_record(struct bpf_stacks *stacks, const void *record, size_t size);

/* Takes notice of what an event does to the mappings. 0 or -ENOMEM. */
int bpf_stacks_event(struct bpf_stacks *stacks, const struct event *event);

/* Takes notice of a decoded change's place among those that map code. */
void bpf_stacks_order(struct bpf_stacks *stacks, uint64_t mm, uint64_t code_order);

/* Hands to the programs what has changed. 0 or -errno. */
int bpf_stacks_settle(struct bpf_stacks *stacks);

#endif
