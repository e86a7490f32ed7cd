/* SPDX-License-Identifier: GPL-2.0-only */
/* vmap_space: the state behind a vmap, and the one way in which it is changed. Private to the vmap_*.c files. */
#ifndef HEAPTRACE_VMAP_SPACE_H
#define HEAPTRACE_VMAP_SPACE_H

#include "model/vmap_tree.h"

/* No user address is as high, on any architecture. */
#define SPACE_END (1ULL << 62)

/* What a change displaced: the content of [start, end) before it. A list, the latest first. */
struct saved {
	struct saved *next;
	uint64_t start, end;
	struct node *content;
};

struct space {
	struct node *root;
	struct tree_pool pool;
	uint64_t page_bytes;
	uint64_t start_brk, brk; /* as the kernel has them, not rounded; 0 while unknown */
	uint64_t start_stack;
	bool attached;	      /* mappings are older than the watch: their history is unknown */
	struct saved **saved; /* where displaced content goes; NULL: it is freed */
};

/* What to do to one piece. */
typedef void (*piece_fn)(struct piece *piece, const void *ctx);

/* Makes @with, all within [@start, @end) and owned by the call in any case, the content of that range. 0 or -ENOMEM. */
int space_replace(struct space *space, uint64_t start, uint64_t end, struct node *with);

/* Makes @piece the content of its range; takes a reference of its file. 0 or -ENOMEM. */
int space_map(struct space *space, const struct piece *piece);

/* Applies @fn to each piece, cut to [@start, @end). 0 or -ENOMEM. */
int space_edit(struct space *space, uint64_t start, uint64_t end, piece_fn fn, const void *ctx);

/* Puts back all that *@saved holds and empties it. 0 or -ENOMEM, with the rest still in it. */
int space_restore(struct space *space, struct saved **saved);

/* Frees *@saved and empties it. */
void space_forget(struct space *space, struct saved **saved);

/* @value up to the next page boundary; @value must be below SPACE_END. */
static inline uint64_t space_page_up(const struct space *space, uint64_t value)
{
	return (value + space->page_bytes - 1) & ~(space->page_bytes - 1);
}

/* What to name: the content of [start, end), which clip asks to cut to its first piece and those that continue it. */
struct name_query {
	uint64_t start, end;
	bool clip;
};

/* Names what is in the range by its first piece; REGION_NONE where nothing is. @root is the space's, or content that
 * was displaced from it. *@ret_file, which may become NULL, is borrowed. */
void space_name(const struct space *space, const struct node *root, const struct name_query *query,
		struct region *ret_region, struct vmap_file **ret_file);

/* The kind of the mapping at @addr, which @piece holds: some are known by their place. */
enum region_kind space_kind(const struct space *space, const struct piece *piece, uint64_t addr);

#endif
