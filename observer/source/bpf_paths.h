/* SPDX-License-Identifier: GPL-2.0-only */
/* bpf_paths: paths as the BPF programs send them. They travel ahead of the row they belong to, on the same thread; few
 * threads are between the two at any time. */
#ifndef HEAPTRACE_BPF_PATHS_H
#define HEAPTRACE_BPF_PATHS_H

#include "bpf/wire.h"

#define BPF_PATHS_PENDING 64

/* Zero-initialise before use. */
struct bpf_paths {
	unsigned int next;		  /* to be overwritten next */
	unsigned int count;		  /* that wait; as a rule none does when a row asks */
	uint32_t tids[BPF_PATHS_PENDING]; /* 0: free */
	char texts[BPF_PATHS_PENDING][WIRE_TEXT + 1];
};

/* Joins components, each with its NUL, from the leaf up, to a path of at most WIRE_TEXT + 1 bytes and a NUL. Returns @out, or
 * NULL where @text is none. */
const char *bpf_path_join(const char *text, size_t len, char *out);

/* Keeps the path of a record of @size bytes for the row that follows. 0 or -EBADMSG. */
int bpf_paths_keep(struct bpf_paths *paths, const struct wire_path *path, size_t size);

/* The path kept for @tid, no longer kept then; NULL where there is none. Valid until the next one is kept. */
const char *bpf_paths_take(struct bpf_paths *paths, uint32_t tid);

#endif
