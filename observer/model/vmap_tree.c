/* SPDX-License-Identifier: GPL-2.0-only */
/* A treap: a search tree by address that is a heap by random priority, which keeps it O(log n) deep whatever the order
 * of insertions. Any change can be made by splitting and welding; most are of one piece that gets longer or shorter at one
 * end, which is done in its place. */
#include "model/vmap_tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SPARE_MAX 64

struct node {
	struct piece piece;
	struct node *left, *right;
	uint32_t priority;
};

struct vmap_file *vmap_file_new(const char *path, uint64_t inode)
{
	size_t size = path ? strlen(path) + 1 : 1;
	struct vmap_file *file = malloc(sizeof(*file) + size);

	if (!file)
		return NULL;
	*file = (struct vmap_file){ .refs = 1, .inode = inode, .named = path };
	memcpy(file->path, path ? path : "", size);
	return file;
}

struct vmap_file *vmap_file_get(struct vmap_file *file)
{
	if (file)
		file->refs++;
	return file;
}

void vmap_file_put(struct vmap_file *file)
{
	if (file && !--file->refs)
		free(file);
}

/* xorshift64: priorities need no more than to be unknown outside. */
static uint32_t next_priority(struct tree_pool *pool)
{
	uint64_t x = pool->seed ? pool->seed : 1;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	pool->seed = x;
	return x >> 32;
}

static void spare_add(struct tree_pool *pool, struct node *node)
{
	node->right = pool->spare;
	pool->spare = node;
	pool->spare_count++;
}

int tree_reserve(struct tree_pool *pool, unsigned int count)
{
	while (pool->spare_count < count) {
		struct node *node = malloc(sizeof(*node));

		if (!node)
			return -ENOMEM;
		spare_add(pool, node);
	}
	return 0;
}

void tree_pool_free(struct tree_pool *pool)
{
	while (pool->spare) {
		struct node *node = pool->spare;

		pool->spare = node->right;
		free(node);
	}
	pool->spare_count = 0;
}

/* A node for @piece with a reference of its own to the file. One must be reserved. */
static struct node *node_take(struct tree_pool *pool, const struct piece *piece)
{
	struct node *node = pool->spare;

	pool->spare = node->right;
	pool->spare_count--;
	*node = (struct node){ .piece = *piece, .priority = next_priority(pool) };
	vmap_file_get(node->piece.file);
	return node;
}

static void node_drop(struct tree_pool *pool, struct node *node)
{
	vmap_file_put(node->piece.file);
	if (pool->spare_count < SPARE_MAX)
		spare_add(pool, node);
	else
		free(node);
}

uint64_t tree_bytes(const struct node *root)
{
	return root ? root->piece.end - root->piece.start + tree_bytes(root->left) + tree_bytes(root->right) : 0;
}

unsigned int tree_pieces(const struct node *root)
{
	return root ? 1 + tree_pieces(root->left) + tree_pieces(root->right) : 0;
}

/* Parts the tree between two pieces: those that begin below @at, and the others. */
static void part(struct node *root, uint64_t at, struct node **ret_low, struct node **ret_high)
{
	while (root) {
		if (root->piece.start >= at) {
			*ret_high = root;
			ret_high = &root->left;
			root = root->left;
		} else {
			*ret_low = root;
			ret_low = &root->right;
			root = root->right;
		}
	}
	*ret_low = NULL;
	*ret_high = NULL;
}

static struct node *join(struct node *low, struct node *high)
{
	struct node *root, **at = &root;

	while (low && high) {
		if (low->priority >= high->priority) {
			*at = low;
			at = &low->right;
			low = low->right;
		} else {
			*at = high;
			at = &high->left;
			high = high->left;
		}
	}
	*at = low ? low : high;
	return root;
}

static bool same_file(const struct vmap_file *a, const struct vmap_file *b)
{
	if (a == b || !a || !b)
		return a == b;
	return a->named && b->named && a->inode == b->inode && !strcmp(a->path, b->path);
}

void piece_clip(struct piece *piece, uint64_t start, uint64_t end)
{
	if (piece->start < start) {
		if (piece->file)
			piece->offset += start - piece->start;
		piece->start = start;
	}
	if (piece->end > end)
		piece->end = end;
}

/* Whether nothing parts the two but their ranges. */
static bool continues(const struct piece *low, const struct piece *high)
{
	return low->end == high->start && low->prot == high->prot && low->flags == high->flags &&
	       low->kind == high->kind && same_file(low->file, high->file) &&
	       (!low->file || low->offset + (low->end - low->start) == high->offset);
}

static struct piece *last_piece(struct node *root)
{
	while (root && root->right)
		root = root->right;
	return root ? &root->piece : NULL;
}

void tree_split(struct tree_pool *pool, struct node *root, uint64_t at, struct node **ret_low, struct node **ret_high)
{
	struct piece *last, upper;

	part(root, at, ret_low, ret_high);
	last = last_piece(*ret_low);
	if (!last || last->end <= at)
		return;
	upper = *last;
	upper.start = at;
	if (upper.file)
		upper.offset += at - last->start;
	/* The cut-off part gets a priority of its own, or the parts of one large mapping would form a list. */
	*ret_high = join(node_take(pool, &upper), *ret_high);
	last->end = at;
}

/* Takes the first piece out of @root, which is not empty. */
static struct node *first_drop(struct tree_pool *pool, struct node *root)
{
	struct node **at = &root, *first;

	while ((*at)->left)
		at = &(*at)->left;
	first = *at;
	*at = first->right;
	node_drop(pool, first);
	return root;
}

struct node *tree_weld(struct tree_pool *pool, struct node *low, struct node *high)
{
	const struct piece *first = tree_find(high, 0);
	struct piece *last = last_piece(low);

	if (first && last && continues(last, first)) {
		last->end = first->end;
		high = first_drop(pool, high);
	}
	return join(low, high);
}

bool tree_extend(struct node *root, const struct piece *piece)
{
	struct piece *low = NULL, *high = NULL;
	bool at_low, at_high;

	while (root) {
		if (root->piece.start >= piece->end) {
			high = &root->piece;
			root = root->left;
		} else if (root->piece.end <= piece->start) {
			low = &root->piece;
			root = root->right;
		} else {
			return false;
		}
	}
	at_low = low && continues(low, piece);
	at_high = high && continues(piece, high);
	if (at_low == at_high)
		return false;
	if (at_low) {
		low->end = piece->end;
	} else {
		high->start = piece->start;
		high->offset = piece->offset;
	}
	return true;
}

/* The place of the piece at @addr, or else of the first above it; NULL if there is none. */
static struct node **find_place(struct node **root, uint64_t addr)
{
	struct node **found = NULL;

	while (*root) {
		if ((*root)->piece.end <= addr) {
			root = &(*root)->right;
			continue;
		}
		found = root;
		root = &(*root)->left;
	}
	return found;
}

/* Takes out the whole piece at @place. */
static struct node *place_drop(struct tree_pool *pool, struct node **place, bool keep)
{
	struct node *node = *place;

	*place = join(node->left, node->right);
	node->left = node->right = NULL;
	if (keep)
		return node;
	node_drop(pool, node);
	return NULL;
}

/* Takes out of @piece what one of its ends is. */
static struct node *piece_cut(struct tree_pool *pool, struct piece *piece, uint64_t start, uint64_t end, bool keep)
{
	struct piece cut = *piece;

	if (piece->start == start)
		piece_clip(piece, end, piece->end);
	else
		piece->end = start;
	if (!keep)
		return NULL;
	piece_clip(&cut, start, end);
	return node_take(pool, &cut);
}

bool tree_cut(struct tree_pool *pool, struct node **root, uint64_t start, uint64_t end, struct node **ret_cut)
{
	struct node **place = find_place(root, start), *cut = NULL;
	struct piece *piece = place ? &(*place)->piece : NULL;

	if (piece && piece->start < end) {
		bool from_start = piece->start == start, to_end = piece->end == end;

		if (piece->start > start || piece->end < end || (!from_start && !to_end))
			return false;
		cut = from_start && to_end ? place_drop(pool, place, ret_cut)
					   : piece_cut(pool, piece, start, end, ret_cut);
	}
	if (ret_cut)
		*ret_cut = cut;
	return true;
}

int tree_append(struct tree_pool *pool, struct node **root, const struct piece *piece)
{
	struct piece *last = last_piece(*root);

	if (last && continues(last, piece)) {
		last->end = piece->end;
		return 0;
	}
	if (tree_reserve(pool, 1))
		return -ENOMEM;
	*root = join(*root, node_take(pool, piece));
	return 0;
}

/* In order, as a copy of the shape would leave holes where pieces are left out. */
static int copy_into(struct tree_pool *pool, const struct node *node, uint8_t without_flags, struct node **copy)
{
	if (!node)
		return 0;
	if (copy_into(pool, node->left, without_flags, copy))
		return -ENOMEM;
	if (!(node->piece.flags & without_flags) && tree_append(pool, copy, &node->piece))
		return -ENOMEM;
	return copy_into(pool, node->right, without_flags, copy);
}

int tree_copy(struct tree_pool *pool, const struct node *root, uint8_t without_flags, struct node **ret_copy)
{
	struct node *copy = NULL;

	if (copy_into(pool, root, without_flags, &copy)) {
		tree_free(pool, copy);
		return -ENOMEM;
	}
	*ret_copy = copy;
	return 0;
}

const struct piece *tree_find(const struct node *root, uint64_t addr)
{
	const struct piece *found = NULL;

	while (root) {
		if (root->piece.end <= addr) {
			root = root->right;
			continue;
		}
		found = &root->piece;
		root = root->left;
	}
	return found;
}

void tree_free(struct tree_pool *pool, struct node *root)
{
	if (!root)
		return;
	tree_free(pool, root->left);
	tree_free(pool, root->right);
	node_drop(pool, root);
}
