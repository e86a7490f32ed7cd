/* SPDX-License-Identifier: GPL-2.0-only */
#include "model/vmap_space.h"

#include <errno.h>
#include <stdlib.h>

/* Room for what a change displaces, where that is kept, and for two nodes. 0 or -ENOMEM. */
static int reserve(struct space *space, struct saved **ret_saved)
{
	struct saved *saved = NULL;

	if (tree_reserve(&space->pool, 2))
		return -ENOMEM;
	if (space->saved) {
		saved = malloc(sizeof(*saved));
		if (!saved)
			return -ENOMEM;
	}
	*ret_saved = saved;
	return 0;
}

/* Keeps in @saved that [@start, @end) held @content before; frees it where there is none. */
static void displace(struct space *space, struct saved *saved, uint64_t start, uint64_t end, struct node *content)
{
	if (!saved) {
		tree_free(&space->pool, content);
		return;
	}
	*saved = (struct saved){ .next = *space->saved, .start = start, .end = end, .content = content };
	*space->saved = saved;
}

int space_replace(struct space *space, uint64_t start, uint64_t end, struct node *with)
{
	struct node *low, *mid = NULL, *high;
	struct saved *saved;

	if (reserve(space, &saved)) {
		tree_free(&space->pool, with);
		return -ENOMEM;
	}
	if (with || !tree_cut(&space->pool, &space->root, start, end, saved ? &mid : NULL)) {
		tree_split(&space->pool, space->root, start, &low, &mid);
		tree_split(&space->pool, mid, end, &mid, &high);
		space->root = tree_weld(&space->pool, tree_weld(&space->pool, low, with), high);
	}
	displace(space, saved, start, end, mid);
	return 0;
}

int space_map(struct space *space, const struct piece *piece)
{
	struct node *with = NULL;
	struct saved *saved;

	if (reserve(space, &saved))
		return -ENOMEM;
	if (tree_extend(space->root, piece)) {
		displace(space, saved, piece->start, piece->end, NULL);
		return 0;
	}
	free(saved);
	if (tree_append(&space->pool, &with, piece))
		return -ENOMEM;
	return space_replace(space, piece->start, piece->end, with);
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
