/* SPDX-License-Identifier: GPL-2.0-only */
/* vmap: which addresses of one mm are mapped, and as what. Seeded by what the mm had at its opening, then kept up by
 * the rows of its syscalls, which may arrive out of the order in which the kernel carried them out. Rows that were
 * folded into one have no arguments: what they mapped is not in it, and what they unmapped still is. */
#ifndef HEAPTRACE_VMAP_H
#define HEAPTRACE_VMAP_H

#include "model/record.h"

#include <stdbool.h>
#include <stdint.h>

/* How many changes can be undone for a late one. A thread that loses the CPU between its change and its row keeps that
 * back for a time slice or some: of 32 threads at 2 CPUs, rows were seen that came 2,000 changes late. */
#define VMAP_HISTORY_MAX 4096

struct vmap;

/* An empty map for the mm that @open opens. NULL on lack of memory. */
struct vmap *vmap_new(const struct event_open *open);

/* A map for the child mm that @open opens: what a fork copies of @parent, as the rows so far have it (those of the
 * parent's other threads may be late). NULL on lack of memory. */
struct vmap *vmap_fork(const struct vmap *parent, const struct event_open *open);

/* Frees it; NULL is legal. */
void vmap_free(struct vmap *vmap);

/* Takes one mapping that the mm has at this moment: read at its opening, while its threads may go on and their rows
 * come in between. What it says is younger than the rows before it. 0 or -ENOMEM; a mapping that cannot be is
 * ignored. */
int vmap_seed(struct vmap *vmap, const struct event_vma *vma);

/* Applies one row of thread @tid and names the mapping that it is about: as it was before an unmapping, as it is after
 * anything else. The path in @ret_region is valid until the next call. 0 or -ENOMEM. */
int vmap_apply(struct vmap *vmap, int32_t tid, const struct event_change *change, struct region *ret_region);

/* Cuts the range of @change, a run of faults, to the mappings of files that its lowest and its highest one are in, as what a fault fills
 * around itself lies in its mapping: a batch of pages is aligned, or begins with the mapping and is as long (Linux, mm/memory.c,
 * do_fault_around). A range whose faults are not known stays as it is. */
void vmap_clip(const struct vmap *vmap, struct event_change *change);

/* Names what is at [@addr, @addr + @len), cut to the mapping that @addr lies in. */
void vmap_find(struct vmap *vmap, uint64_t addr, uint64_t len, struct region *ret_region);

/* The sum of all mappings, in bytes: what VmSize should be, if every mapping was seen. */
uint64_t vmap_total_bytes(const struct vmap *vmap);

/* The number of pieces kept: at most the number of mappings that the kernel has, but for what parts only those. */
unsigned int vmap_pieces(const struct vmap *vmap);

/* The changes kept to be undone if an earlier one arrives. */
unsigned int vmap_history(const struct vmap *vmap);

/* One piece of the map. */
struct vmap_range {
	uint64_t start, end, offset;
	unsigned int prot; /* PROT_* */
	bool shared;
	enum region_kind kind;
	const char *path; /* valid until the map changes; NULL where there is none */
};

/* Walks the map: the piece at @addr or else the first above it. false at the end, @ret_range untouched then. */
bool vmap_next(const struct vmap *vmap, uint64_t addr, struct vmap_range *ret_range);

#endif
