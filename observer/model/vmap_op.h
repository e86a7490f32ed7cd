/* SPDX-License-Identifier: GPL-2.0-only */
/* vmap_op: what one row does to an address space, freed from the syscall that it came by. Private to the vmap_*.c
 * files. */
#ifndef HEAPTRACE_VMAP_OP_H
#define HEAPTRACE_VMAP_OP_H

#include "event/event.h"
#include "model/vmap_space.h"

enum op_kind {
	OP_NONE,    /* changes no mapping; [start, end) names the region, if it is not empty */
	OP_MAP,	    /* @fill becomes the content of [start, end) */
	OP_ATTACH,  /* the same, the end to be found from @virt: a SysV segment's size is no argument */
	OP_DETACH,  /* takes the SysV segment away that was attached at start */
	OP_UNMAP,   /* nothing is left in [start, end) */
	OP_PROTECT, /* [start, end) gets @fill.prot */
	OP_FLAG,    /* [start, end) gets or loses @flag: as @fill.flags has it */
	OP_OFFSET,  /* [start, end) shows the file from @fill.offset on */
	OP_MOVE,    /* [start, end) goes to [to, to_end), shrinks or grows */
	OP_BRK,	    /* the heap's end is now @to */
	OP_GROW,    /* the stack that start lies in or below grows down by @virt bytes */
};

struct vmap_op {
	enum op_kind kind;
	uint64_t start, end;
	uint64_t to, to_end;
	uint64_t order;	   /* when the kernel did it, 0 = unknown */
	int64_t virt;	   /* what the kernel says it did to VIRT */
	struct piece fill; /* owns a reference to its file */
	uint8_t flag;
	bool keep_source; /* OP_MOVE: the source stays mapped */
	int error;	  /* OP_PROTECT: why the call stopped before the end, 0 if it did not */
	bool grows_down;  /* OP_PROTECT: from the start of the stack on */
	bool fixed;	  /* OP_MAP, OP_MOVE: the program chose the place; what was there is replaced */
	bool clip;	  /* the region is to be cut to the mapping */
};

/* What @change does. Failed and unfinished calls do nothing, but for the few that stop half-way. 0 or -ENOMEM. */
int op_decode(const struct event_change *change, uint64_t page_bytes, struct vmap_op *ret_op);

/* What stands for a mapping that was there at the opening; kind OP_NONE for one that cannot be. 0 or -ENOMEM. */
int op_decode_vma(const struct event_vma *vma, uint64_t page_bytes, struct vmap_op *ret_op);

/* Gives up the file. */
void op_release(struct vmap_op *op);

/* Carries it out; what depends on the state is entered in @op for the next time. 0 or -ENOMEM. */
int op_apply(struct vmap_op *op, struct space *space);

/* Whether @late, not applied yet, and @past, which was, may touch the same addresses, so that their order matters. */
bool op_conflicts(const struct vmap_op *late, const struct vmap_op *past);

/* The kind of a mapping of the file at @path. */
enum region_kind path_kind(const char *path, bool shared);

#endif
