/* SPDX-License-Identifier: GPL-2.0-only */
/* bpf_tables: the rules of objects in the maps that the programs walk stacks by. They are compiled on a thread of their own:
 * until those of an object are there, stacks through it are copied, and nobody waits. */
#ifndef HEAPTRACE_BPF_TABLES_H
#define HEAPTRACE_BPF_TABLES_H

#include "source/bpf_kernel.h"
#include "source/unwind_space.h"

struct bpf_tables;

/* @side is borrowed. NULL with errno set on failure. */
struct bpf_tables *bpf_tables_new(struct bpf_kernel_side *side);

/* Frees it; the maps go with the programs. NULL is legal. */
void bpf_tables_free(struct bpf_tables *tables);

/* The number under which the programs find the rules of @file, handed over in a while if they were not yet; @file stays
 * meanwhile, as long as the tables do. 0 and up; -ENOSPC where there is no room for one object more; -ENOMEM. An object without
 * rules has a number too. */
int bpf_tables_index(struct bpf_tables *tables, struct unwind_file *file);

/* Waits until all is handed over that was asked for. */
void bpf_tables_finish(struct bpf_tables *tables);

#endif
