/* SPDX-License-Identifier: GPL-2.0-only */
/* What a mapping is called. */
#include "model/vmap_space.h"

#include <sys/mman.h>

#define ARENA_BYTES (64ULL << 20)

/* A heap of a thread arena is grown page by page, but a program may have cut it up with protections of its own. */
#define ARENA_PIECES_MAX 64

static const char *const region_names[] = {
	[REGION_NONE] = NULL,	  [REGION_HEAP] = "heap",   [REGION_ANON] = "anon",
	[REGION_ARENA] = "arena", [REGION_STACK] = "stack", [REGION_FILE] = "file",
	[REGION_SHM] = "shm",	  [REGION_VDSO] = "vdso",   [REGION_OTHER] = "other",
};

const char *region_kind_name(enum region_kind kind)
{
	return region_names[kind];
}

static bool plain(const struct piece *piece, uint8_t flags)
{
	return piece->kind == REGION_ANON && (piece->flags & ~(unsigned int)PIECE_DONTFORK) == flags;
}

/* Whether what lies around @addr can be a heap of a glibc thread arena:
 *
 *       64 MiB boundary                       the next one
 *       |=== read, write ===|---- PROT_NONE ----|
 *
 * A reservation that was seen to begin as one (@flags) may also be all PROT_NONE, not trimmed yet, or used up. One that
 * is older than the watch must show both parts and nothing else. */
static bool arena_layout(const struct space *space, uint64_t addr, uint8_t flags)
{
	uint64_t start = addr & ~(ARENA_BYTES - 1), end = start + ARENA_BYTES, at = start;
	bool reserved = false, writable = false, whole = true;

	for (unsigned int i = 0; at < end && i < ARENA_PIECES_MAX; i++) {
		const struct piece *next = tree_find(space->root, at);

		if (!next || next->start >= end)
			break;
		whole &= next->start <= at && plain(next, flags);
		at = next->end;
		if (!plain(next, flags))
			continue;
		if (next->prot != PROT_NONE && (reserved || !whole))
			return false;
		reserved |= next->prot == PROT_NONE;
		writable |= next->prot != PROT_NONE;
	}
	if (flags & PIECE_ARENA)
		return !writable || (whole && at >= end);
	return whole && at == end && reserved && writable;
}

enum region_kind space_kind(const struct space *space, const struct piece *piece, uint64_t addr)
{
	if (piece->kind != REGION_ANON)
		return piece->kind;
	if (addr >= space_page_up(space, space->start_brk) && addr < space_page_up(space, space->brk))
		return REGION_HEAP;
	if ((piece->flags & PIECE_GROWSDOWN) || (piece->start <= space->start_stack && space->start_stack < piece->end))
		return REGION_STACK;
	if ((piece->flags & PIECE_ARENA) || space->attached)
		return arena_layout(space, addr, piece->flags & PIECE_ARENA) ? REGION_ARENA : REGION_ANON;
	return REGION_ANON;
}

void space_name(const struct space *space, const struct node *root, const struct name_query *query,
		struct region *ret_region, struct vmap_file **ret_file)
{
	uint64_t start = query->start, end = query->end;
	const struct piece *piece = tree_find(root, start), *next = piece;
	uint64_t addr;

	if (!piece || piece->start >= end) {
		*ret_region = (struct region){ .kind = REGION_NONE };
		*ret_file = NULL;
		return;
	}
	addr = piece->start > start ? piece->start : start;
	*ret_file = piece->file;
	*ret_region = (struct region){ .kind = space_kind(space, piece, addr),
				       .start = query->clip ? addr : start,
				       .end = end,
				       .path = piece->file && piece->file->named ? piece->file->path : NULL };
	while (query->clip && next->end < end) {
		const struct piece *after = tree_find(root, next->end);

		if (!after || after->start != next->end || after->file != piece->file ||
		    space_kind(space, after, after->start) != ret_region->kind) {
			ret_region->end = next->end;
			break;
		}
		next = after;
	}
}
