/* SPDX-License-Identifier: GPL-2.0-only */
/* vmap_tree: disjoint pieces of an address space in a treap, so that any range, however many mappings it holds, is cut
 * out and put back in O(log n). A tree is the pointer to its root node, NULL when empty; each has one owner. */
#ifndef HEAPTRACE_VMAP_TREE_H
#define HEAPTRACE_VMAP_TREE_H

#include "model/record.h"

#include <stdbool.h>
#include <stdint.h>

enum piece_flag {
	PIECE_SHARED = 1 << 0,
	PIECE_GROWSDOWN = 1 << 1,
	PIECE_ARENA = 1 << 2,	 /* began as a reservation like glibc's for a thread arena */
	PIECE_DONTFORK = 1 << 3, /* a fork does not copy it */
	PIECE_READONLY = 1 << 4, /* shared, and not writable from its beginning: never will be */
	PIECE_SYSV = 1 << 5,	 /* shmat: file->inode is the shmid, offset counts from the attach's start */
};

/* What is mapped by a file, shared by the pieces of it. */
struct vmap_file {
	unsigned int refs;
	uint64_t inode;
	bool named;
	char path[];
};

/* A new one with one reference, the caller's; @path may be NULL. NULL on lack of memory. */
struct vmap_file *vmap_file_new(const char *path, uint64_t inode);

/* Takes one more reference and returns @file; NULL is legal. */
struct vmap_file *vmap_file_get(struct vmap_file *file);

/* Gives one reference back; NULL is legal. */
void vmap_file_put(struct vmap_file *file);

/* Addresses that have everything in common, adjacent mappings included. */
struct piece {
	uint64_t start, end;
	uint64_t offset; /* bytes, of start; 0 where no file is mapped */
	struct vmap_file *file;
	uint8_t prot;  /* PROT_READ, PROT_WRITE, PROT_EXEC */
	uint8_t flags; /* enum piece_flag */
	uint8_t kind;  /* enum region_kind; REGION_ANON for what its place alone makes a heap or an arena */
};

/* Cuts @piece to what of it lies in [@start, @end), which is something. */
void piece_clip(struct piece *piece, uint64_t start, uint64_t end);

struct node;

/* Nodes not in use, and where priorities come from. Zero-initialise, then set the seed: to something that the observed
 * program cannot know, or it could make trees that are as deep as they are large. */
struct tree_pool {
	struct node *spare;
	unsigned int spare_count;
	uint64_t seed;
};

/* Makes sure that the next @count nodes taken are there; at most 8. 0 or -ENOMEM. */
int tree_reserve(struct tree_pool *pool, unsigned int count);

/* Frees the spare nodes. */
void tree_pool_free(struct tree_pool *pool);

/* Parts @root at @at into all below, *ret_low, and the rest, *ret_high. A piece that @at cuts needs one reserved
 * node. */
void tree_split(struct tree_pool *pool, struct node *root, uint64_t at, struct node **ret_low, struct node **ret_high);

/* One tree of two; all of @low is below all of @high. The two pieces at the seam become one if nothing parts them. */
struct node *tree_weld(struct tree_pool *pool, struct node *low, struct node *high);

/* Maps @piece where that makes one piece of the tree longer, and nothing else: false where it does not, with nothing changed. */
bool tree_extend(struct node *root, const struct piece *piece);

/* Takes [@start, @end) out of the tree where that drops one piece, shortens it at one end or finds nothing: into *@ret_cut, for
 * which it needs one reserved node, or, where that is NULL, away. False where it does not, with nothing changed. */
bool tree_cut(struct tree_pool *pool, struct node **root, uint64_t start, uint64_t end, struct node **ret_cut);

/* Adds a copy of @piece behind all of *@root, taking a reference of its file. 0 or -ENOMEM with nothing changed. */
int tree_append(struct tree_pool *pool, struct node **root, const struct piece *piece);

/* A copy of @root without the pieces that have one of @without_flags, in *@ret_copy. 0 or -ENOMEM. */
int tree_copy(struct tree_pool *pool, const struct node *root, uint8_t without_flags, struct node **ret_copy);

/* The piece at @addr, or else the first above it; NULL if there is none. Valid until the tree changes. */
const struct piece *tree_find(const struct node *root, uint64_t addr);

/* The sum of the pieces' lengths. O(n). */
uint64_t tree_bytes(const struct node *root);

/* The number of pieces. O(n). */
unsigned int tree_pieces(const struct node *root);

/* Frees all nodes, to the pool as far as it wants them; NULL is legal. */
void tree_free(struct tree_pool *pool, struct node *root);

#endif
