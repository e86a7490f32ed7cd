/* SPDX-License-Identifier: GPL-2.0-only */
/* bpf_types: the kernel's types, as far as the programs need to know them. libbpf would read all of the kernel's BTF and
 * search it for each type that the programs use: half of what a start takes. */
#ifndef HEAPTRACE_BPF_TYPES_H
#define HEAPTRACE_BPF_TYPES_H

#include "base/btf.h"

#include <stdbool.h>
#include <stdint.h>

struct bpf_object;
struct bpf_program;

struct bpf_types {
	struct btf_wants wants;
	char path[32]; /* of a file with the types, for libbpf to read */
	int fd;
};

/* Makes the file, which is empty still. 0 or -errno; to be closed in both cases. */
int bpf_types_open(struct bpf_types *types);

/* Fills it with what the programs of @object name, and finds what they attach to and call. 0 or -errno. */
int bpf_types_read(struct bpf_types *types, const struct bpf_object *object);

/* What @program attaches to by a number of the kernel's types: the kind of the attachment, an enum bpf_attach_type, with
 * *@ret_number, 0 where the kernel has no such thing; 0 where it attaches to nothing of that kind. */
int bpf_types_target(const struct bpf_types *types, const struct bpf_program *program, uint32_t *ret_number);

/* The number of the kernel's function that the programs call by @call, an enum wire_call. 0: it lacks that. */
uint32_t bpf_types_function(const struct bpf_types *types, int32_t call);

/* The number of the kernel's struct @name, which the programs name too. 0: it lacks that. */
uint32_t bpf_types_struct(const struct bpf_types *types, const char *name);

/* Where the kernel keeps its pointer to the current task of each CPU, seen from its run queue of that CPU: *@ret_distance, in bytes. False:
 * not known. Source: the section of per-CPU variables in its types. */
bool bpf_types_current(const struct bpf_types *types, int64_t *ret_distance);

/* Gives the file back. */
void bpf_types_close(struct bpf_types *types);

#endif
