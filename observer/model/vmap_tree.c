/* SPDX-License-Identifier: GPL-2.0-only */
/* A treap: a search tree by address that is a heap by random priority, which keeps it O(log n) deep whatever the order
 * of insertions. Splitting and welding are the only two ways in which one changes, so sums need care in few places. */
#include "model/vmap_tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SPARE_MAX 64

struct node {
	struct piece piece;
	struct node *left, *right;
	uint64_t bytes;	 /* of the subtree */
	uint32_t pieces; /* of the subtree */
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
	*node = (struct node){
		.piece = *piece, .bytes = piece->end - piece->start, .pieces = 1, .priority = next_priority(pool)
	};
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
	return root ? root->bytes : 0;
}

unsigned int tree_pieces(const struct node *root)
{
	return root ? root->pieces : 0;
}

static void node_sum(struct node *node)
{
	node->bytes = node->piece.end - node->piece.start + tree_bytes(node->left) + tree_bytes(node->right);
	node->pieces = 1 + tree_pieces(node->left) + tree_pieces(node->right);
}

/* Parts the tree between two pieces: those that begin below @at, and the others. */
static void part(struct node *root, uint64_t at, struct node **ret_low, struct node **ret_high)
{
	if (!root) {
		*ret_low = NULL;
		*ret_high = NULL;
	} else if (root->piece.start >= at) {
		struct node *high_left;

		part(root->left, at, ret_low, &high_left);
		root->left = high_left;
		if (*ret_low) /* else nothing has left it */
			node_sum(root);
		*ret_high = root;
	} else {
		struct node *low_right;

		part(root->right, at, &low_right, ret_high);
		root->right = low_right;
		if (*ret_high)
			node_sum(root);
		*ret_low = root;
	}
}

static struct node *join(struct node *low, struct node *high)
{
	if (!low || !high)
		return low ? low : high;
	if (low->priority >= high->priority) {
		low->right = join(low->right, high);
		node_sum(low);
		return low;
	}
	high->left = join(low, high->left);
	node_sum(high);
	return high;
}

static bool same_file(const struct vmap_file *a, const struct vmap_file *b)
{
	if (a == b || !a || !b)
		return a == b;
	return a->named && b->named && a->inode == b->inode && !strcmp(a->path, b->path);
}

/* Whether nothing parts the two but their ranges. */
static bool continues(const struct piece *low, const struct piece *high)
{
	return low->end == high->start && low->prot == high->prot && low->flags == high->flags &&
	       low->kind == high->kind && same_file(low->file, high->file) &&
	       (!low->file || low->offset + (low->end - low->start) == high->offset);
}

static const struct piece *last_piece(const struct node *root)
{
	while (root && root->right)
		root = root->right;
	return root ? &root->piece : NULL;
}

/* Moves the last piece's end to @end. */
static void last_resize(struct node *root, uint64_t end)
{
	uint64_t more = end - last_piece(root)->end;

	for (; root->right; root = root->right)
		root->bytes += more;
	root->bytes += more;
	root->piece.end = end;
}

void tree_split(struct tree_pool *pool, struct node *root, uint64_t at, struct node **ret_low, struct node **ret_high)
{
	const struct piece *last;
	struct piece upper;

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
	last_resize(*ret_low, at);
}

/* Takes the first piece out of @root, which is not empty. */
static struct node *first_drop(struct tree_pool *pool, struct node *root)
{
	struct node *right = root->right;

	if (root->left) {
		root->left = first_drop(pool, root->left);
		node_sum(root);
		return root;
	}
	node_drop(pool, root);
	return right;
}

struct node *tree_weld(struct tree_pool *pool, struct node *low, struct node *high)
{
	const struct piece *first = tree_find(high, 0);
	const struct piece *last = last_piece(low);

	if (first && last && continues(last, first)) {
		last_resize(low, first->end);
		high = first_drop(pool, high);
	}
	return join(low, high);
}

int tree_append(struct tree_pool *pool, struct node **root, const struct piece *piece)
{
	const struct piece *last = last_piece(*root);

	if (last && continues(last, piece)) {
		last_resize(*root, piece->end);
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
