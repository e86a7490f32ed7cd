/* SPDX-License-Identifier: GPL-2.0-only */
/* Carrying out what a row does. Where the map does not hold what the kernel must have had, the row is believed. */
#include "model/vmap_op.h"

#include <errno.h>
#include <sys/mman.h>

static int map_anon(struct space *space, uint64_t start, uint64_t end)
{
	struct piece piece = { .start = start, .end = end, .prot = PROT_READ | PROT_WRITE, .kind = REGION_ANON };

	return start < end ? space_map(space, &piece) : 0;
}

static bool all_arena(const struct space *space, uint64_t start, uint64_t end)
{
	uint64_t at = start;

	while (at < end) {
		const struct piece *piece = tree_find(space->root, at);

		if (!piece || piece->start > at || !(piece->flags & PIECE_ARENA))
			return false;
		at = piece->end;
	}
	return true;
}

static int apply_map(struct vmap_op *op, struct space *space)
{
	/* shrink_heap() of glibc's malloc/arena.c maps PROT_NONE over the heap's end in programs that are AT_SECURE. */
	if (op->fixed && op->fill.prot == PROT_NONE && op->fill.kind == REGION_ANON &&
	    all_arena(space, op->start, op->end))
		op->fill.flags |= PIECE_ARENA;
	return space_map(space, &op->fill);
}

/* Where the gaps from @start on add up to @bytes. */
static uint64_t end_of_gaps(const struct space *space, uint64_t start, uint64_t bytes)
{
	for (uint64_t at = start;;) {
		const struct piece *piece = tree_find(space->root, at);
		uint64_t gap = !piece ? SPACE_END - at : piece->start > at ? piece->start - at : 0;

		if (gap >= bytes)
			return at + bytes;
		if (!piece)
			return SPACE_END;
		bytes -= gap;
		at = piece->end;
	}
}

/* The segment is as long as what VIRT grew by, and what it replaced (SHM_REMAP) besides: the shortest that fits. */
static int apply_attach(struct vmap_op *op, struct space *space)
{
	uint64_t bytes = (uint64_t)op->virt;

	if (!bytes || bytes > SPACE_END - op->start)
		return 0;
	op->kind = OP_MAP;
	op->end = space_page_up(space, op->fixed ? end_of_gaps(space, op->start, bytes) : op->start + bytes);
	op->fill.end = op->end;
	return space_map(space, &op->fill);
}

/* As ipc/shm.c, ksys_shmdt(): whatever parts of the attach are still there; what was put between them stays. Each part
 * is known by its offset into the segment being its distance from where that was attached. */
static int apply_detach(struct vmap_op *op, struct space *space)
{
	uint64_t left = op->virt < 0 ? -(uint64_t)op->virt : UINT64_MAX;
	const struct piece *at = tree_find(space->root, op->start);
	struct vmap_file *segment = NULL;
	int err = 0;

	while (!err && at && left) {
		struct piece piece = *at;
		bool part = (piece.flags & PIECE_SYSV) && piece.start - op->start == piece.offset &&
			    (!segment || segment->inode == piece.file->inode);

		if (part && !segment)
			segment = vmap_file_get(piece.file);
		/* Without a word from the kernel how much there is to find, do not search beyond the first gap. */
		if (segment && !part && left == UINT64_MAX)
			break;
		if (part) {
			if (left != UINT64_MAX)
				left -= left < piece.end - piece.start ? left : piece.end - piece.start;
			op->end = piece.end;
			err = space_replace(space, piece.start, piece.end, NULL);
		}
		at = tree_find(space->root, piece.end);
	}
	vmap_file_put(segment);
	return err;
}

static int apply_unmap(struct vmap_op *op, struct space *space)
{
	return space_replace(space, op->start, op->end, NULL);
}

static void piece_protect(struct piece *piece, const void *ctx)
{
	const struct vmap_op *op = ctx;

	piece->prot = op->fill.prot;
}

/* Where a call that failed stopped: mm/mprotect.c goes from mapping to mapping, to a gap (ENOMEM) or to one that must
 * not be written to (EACCES), and what comes before is changed. @start where nothing is known of such a place. */
static uint64_t where_stopped(const struct vmap_op *op, const struct space *space, uint64_t start)
{
	uint64_t at = start;

	while (at < op->end) {
		const struct piece *piece = tree_find(space->root, at);

		if (!piece || piece->start > at)
			return op->error == -ENOMEM ? at : start;
		if (op->error == -EACCES && (piece->flags & PIECE_READONLY) && (op->fill.prot & PROT_WRITE))
			return at;
		at = piece->end;
	}
	return start;
}

static int apply_protect(struct vmap_op *op, struct space *space)
{
	uint64_t start = op->start, end = op->end;

	/* From the start of the first mapping, be it before the range or in it. */
	if (op->grows_down) {
		const struct piece *piece = tree_find(space->root, start);

		if (piece)
			start = piece->start;
	}
	if (op->error)
		end = where_stopped(op, space, start);
	if (start >= end)
		return 0;
	return space_edit(space, start, end, piece_protect, op);
}

static void piece_flag(struct piece *piece, const void *ctx)
{
	const struct vmap_op *op = ctx;

	piece->flags = (piece->flags & ~op->flag) | op->fill.flags;
}

static int apply_flag(struct vmap_op *op, struct space *space)
{
	return space_edit(space, op->start, op->end, piece_flag, op);
}

static void piece_offset(struct piece *piece, const void *ctx)
{
	const struct vmap_op *op = ctx;

	if (piece->file)
		piece->offset = op->fill.offset + (piece->start - op->start);
}

static int apply_offset(struct vmap_op *op, struct space *space)
{
	return space_edit(space, op->start, op->end, piece_offset, op);
}

/* The piece at @addr, or anonymous memory where the map has none, stretched to lie at [@start, @end). */
static int map_like(struct space *space, uint64_t addr, uint64_t start, uint64_t end)
{
	const struct piece *found = tree_find(space->root, addr);
	struct piece piece;

	if (!found || found->start > addr)
		return map_anon(space, start, end);
	piece = *found;
	if (piece.file)
		piece.offset += addr - piece.start;
	piece.start = start;
	piece.end = end;
	return space_map(space, &piece);
}

static int resize_in_place(const struct vmap_op *op, struct space *space)
{
	uint64_t last_page = op->end - space->page_bytes;
	const struct piece *found;
	struct piece piece;

	if (op->to_end < op->end)
		return space_replace(space, op->to_end, op->end, NULL);
	if (op->to_end == op->end)
		return 0;
	found = tree_find(space->root, last_page);
	if (!found || found->start > last_page)
		return map_anon(space, op->end, op->to_end);
	piece = *found;
	if (piece.file)
		piece.offset += op->end - piece.start;
	piece.start = op->end;
	piece.end = op->to_end;
	return space_map(space, &piece);
}

/* Several mappings may move at once (since Linux 6.17, with MREMAP_FIXED), and then what lies between them at the
 * destination stays, so they move one by one. The last one of a move that grows takes the rest. */
static int copy_pieces(const struct vmap_op *op, struct space *space)
{
	uint64_t len = op->end - op->start, to_len = op->to_end - op->to, shift = op->to - op->start;
	uint64_t src_end = to_len < len ? op->start + to_len : op->end;
	const struct piece *at = tree_find(space->root, op->start);
	bool any = false;

	while (at && at->start < src_end) {
		struct piece piece = *at;
		uint64_t next;
		int err;

		piece_clip(&piece, op->start, src_end);
		next = piece.end;
		piece.start += shift;
		piece.end = next == op->end && to_len > len ? op->to_end : next + shift;
		vmap_file_get(piece.file);
		err = space_map(space, &piece);
		vmap_file_put(piece.file);
		if (err)
			return err;
		any = true;
		at = next < src_end ? tree_find(space->root, next) : NULL;
	}
	return any ? 0 : map_anon(space, op->to, op->to_end);
}

static int apply_move(struct vmap_op *op, struct space *space)
{
	int err;

	if (op->start == op->end)
		return map_like(space, op->start, op->to, op->to_end);
	if (op->start == op->to)
		return resize_in_place(op, space);
	if (op->start < op->to_end && op->to < op->end)
		return 0; /* the kernel refuses to move a range onto itself */
	err = copy_pieces(op, space);
	if (err || op->keep_source)
		return err;
	return space_replace(space, op->start, op->end, NULL);
}

static int apply_brk(struct vmap_op *op, struct space *space)
{
	uint64_t before = space->brk ? space->brk : op->to - (uint64_t)op->virt;
	uint64_t old_end, new_end;

	space->brk = op->to;
	if (before >= SPACE_END)
		return 0;
	old_end = space_page_up(space, before);
	new_end = space_page_up(space, op->to);
	op->start = old_end < new_end ? old_end : new_end;
	op->end = old_end < new_end ? new_end : old_end;
	if (new_end > old_end)
		return map_anon(space, old_end, new_end);
	return new_end < old_end ? space_replace(space, new_end, old_end, NULL) : 0;
}

static bool grows(const struct space *space, const struct piece *piece)
{
	return piece && ((piece->flags & PIECE_GROWSDOWN) ||
			 (piece->start <= space->start_stack && space->start_stack < piece->end));
}

/* Without an address, as for a syscall that wrote to the stack, it is the main one. */
static int apply_grow(struct vmap_op *op, struct space *space)
{
	const struct piece *found = tree_find(space->root, op->start ? op->start : space->start_stack);
	uint64_t more = space_page_up(space, (uint64_t)op->virt);
	struct piece piece;

	if (!grows(space, found) || more > found->start)
		return 0;
	piece = *found;
	piece.end = piece.start;
	piece.start -= more;
	return space_map(space, &piece);
}

int op_apply(struct vmap_op *op, struct space *space)
{
	switch (op->kind) {
	case OP_NONE:
		return 0;
	case OP_MAP:
		return apply_map(op, space);
	case OP_ATTACH:
		return apply_attach(op, space);
	case OP_DETACH:
		return apply_detach(op, space);
	case OP_UNMAP:
		return apply_unmap(op, space);
	case OP_PROTECT:
		return apply_protect(op, space);
	case OP_FLAG:
		return apply_flag(op, space);
	case OP_OFFSET:
		return apply_offset(op, space);
	case OP_MOVE:
		return apply_move(op, space);
	case OP_BRK:
		return apply_brk(op, space);
	case OP_GROW:
		return apply_grow(op, space);
	}
	return 0;
}

/* Whether what an op touches depends on the state, so that its ranges do not tell. */
static bool touches_more(const struct vmap_op *op)
{
	switch (op->kind) {
	case OP_NONE:
	case OP_MAP:
	case OP_UNMAP:
	case OP_FLAG:
	case OP_OFFSET:
	case OP_MOVE:
	case OP_BRK: /* what was touched is in its range since it was applied, and only another brk can change that */
		return false;
	case OP_PROTECT:
		return op->grows_down;
	case OP_ATTACH:
	case OP_DETACH:
	case OP_GROW:
		return true;
	}
	return true;
}

static bool overlap(uint64_t a_start, uint64_t a_end, uint64_t b_start, uint64_t b_end)
{
	return a_start < b_end && b_start < a_end;
}

bool op_conflicts(const struct vmap_op *late, const struct vmap_op *past)
{
	return late->kind == OP_BRK || touches_more(late) || touches_more(past) ||
	       overlap(late->start, late->end, past->start, past->end) ||
	       overlap(late->to, late->to_end, past->start, past->end) ||
	       overlap(late->start, late->end, past->to, past->to_end) ||
	       overlap(late->to, late->to_end, past->to, past->to_end);
}
