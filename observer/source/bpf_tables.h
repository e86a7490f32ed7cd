/* SPDX-License-Identifier: GPL-2.0-only */
/* bpf_tables: the rules of objects in the maps that the programs walk stacks by. */
#ifndef HEAPTRACE_BPF_TABLES_H
#define HEAPTRACE_BPF_TABLES_H

#include "source/bpf_kernel.h"
#include "source/unwind_space.h"

struct bpf_tables;

/* @side is borrowed. NULL with errno set on failure. */
struct bpf_tables *bpf_tables_new(struct bpf_kernel_side *side);

/* Frees it; the maps go with the programs. NULL is legal. */
void bpf_tables_free(struct bpf_tables *tables);

/* The number under which the programs find the rules of @file, compiled and handed over now if they were not. 0 and up;
 * -ENOSPC where there is no room for one object more. An object without rules has a number too. */
int bpf_tables_index(struct bpf_tables *tables, const struct unwind_file *file);

#endif
