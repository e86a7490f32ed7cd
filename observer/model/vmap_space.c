/* SPDX-License-Identifier: GPL-2.0-only */
#include "model/vmap_space.h"

#include <errno.h>
#include <stdlib.h>

int space_replace(struct space *space, uint64_t start, uint64_t end, struct node *with)
{
	struct node *low, *mid, *high;
	struct saved *saved = NULL;

	if (space->saved)
		saved = malloc(sizeof(*saved));
	if (tree_reserve(&space->pool, 2) || (space->saved && !saved)) {
		tree_free(&space->pool, with);
		free(saved);
		return -ENOMEM;
	}
	tree_split(&space->pool, space->root, start, &low, &mid);
	tree_split(&space->pool, mid, end, &mid, &high);
	space->root = tree_weld(&space->pool, tree_weld(&space->pool, low, with), high);
	if (!saved) {
		tree_free(&space->pool, mid);
		return 0;
	}
	*saved = (struct saved){ .next = *space->saved, .start = start, .end = end, .content = mid };
	*space->saved = saved;
	return 0;
}

int space_map(struct space *space, const struct piece *piece)
{
	struct node *with = NULL;

	if (tree_append(&space->pool, &with, piece))
		return -ENOMEM;
	return space_replace(space, piece->start, piece->end, with);
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

int space_edit(struct space *space, uint64_t start, uint64_t end, piece_fn fn, const void *ctx)
{
	const struct piece *at = tree_find(space->root, start);
	struct node *edited = NULL;

	for (; at && at->start < end; at = tree_find(space->root, at->end)) {
		struct piece piece = *at;

		piece_clip(&piece, start, end);
		fn(&piece, ctx);
		if (tree_append(&space->pool, &edited, &piece)) {
			tree_free(&space->pool, edited);
			return -ENOMEM;
		}
	}
	return space_replace(space, start, end, edited);
}

int space_restore(struct space *space, struct saved **saved)
{
	while (*saved) {
		struct saved *first = *saved;

		if (space_replace(space, first->start, first->end, first->content)) {
			first->content = NULL; /* freed by the call */
			return -ENOMEM;
		}
		*saved = first->next;
		free(first);
	}
	return 0;
}

void space_forget(struct space *space, struct saved **saved)
{
	while (*saved) {
		struct saved *first = *saved;

		*saved = first->next;
		tree_free(&space->pool, first->content);
		free(first);
	}
}
