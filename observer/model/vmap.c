/* SPDX-License-Identifier: GPL-2.0-only */
/* The map of one mm, and the order of its changes.
 *
 * A row is sent when its syscall returns, but its change happened earlier, under the mmap write lock; between threads
 * of one mm rows overtake each other:
 *
 *      thread A   munmap(X) ---- order 5 --------------------------------- returns: row 5
 *      thread B              mmap ---- order 6, is given X ---- returns: row 6
 *
 * Applied as they arrive, row 5 would unmap what row 6 mapped. So the changes are kept in their true order, each with
 * what it displaced, and for a late one time is turned back:
 *
 *      history    ... 3 4 6 7 8        row 5 arrives
 *                       |<------       undo 8, 7, 6: put back what they displaced, latest first
 *                       5              apply 5, and name its region as it was at that time
 *                         6 7 8 -->    apply them again, each saving anew what it displaces
 *
 * Nothing needs undoing where no later change touches the same addresses, which is the usual case. Putting back is
 * O(log n) a change, as whole ranges are cut out of and welded into a tree. The history is bounded: a row that is
 * later than VMAP_HISTORY_MAX changes counts as just older than the oldest kept. While an mm has one thread its rows
 * come in order and no history is kept. */
#include "model/vmap.h"

#include "event/memcalls.h"
#include "model/vmap_op.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#define HISTORY_DROP (VMAP_HISTORY_MAX / 4)

struct past {
	struct vmap_op op;
	struct saved *saved;
	uint64_t brk; /* before it */
};

struct vmap {
	struct space space;
	struct past *past; /* in the order of op.order */
	unsigned int past_count, past_size;
	bool keep_past;
	int32_t tid;		 /* of the first row, 0 before that */
	uint64_t order;		 /* the latest so far */
	struct vmap_file *named; /* of the last region that was handed out */
};

/* A number that the observed program cannot know, and that costs no syscall. */
static uint64_t secret(void)
{
	const void *random = (const void *)getauxval(AT_RANDOM);
	uint64_t value = 0;

	if (random)
		memcpy(&value, random, sizeof(value));
	return value;
}

struct vmap *vmap_new(const struct event_open *open)
{
	struct vmap *vmap = calloc(1, sizeof(*vmap));

	if (!vmap)
		return NULL;
	vmap->space.page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	vmap->space.pool.seed = secret();
	vmap->space.start_brk = open->start_brk < SPACE_END ? open->start_brk : 0;
	vmap->space.brk = open->brk < SPACE_END ? open->brk : 0;
	vmap->space.start_stack = open->start_stack;
	vmap->space.attached = open->how == OPEN_ATTACH;
	vmap->keep_past = open->how == OPEN_ATTACH;
	return vmap;
}

struct vmap *vmap_fork(const struct vmap *parent, const struct event_open *open)
{
	struct vmap *vmap = vmap_new(open);
	struct space *space;

	if (!vmap)
		return NULL;
	space = &vmap->space;
	if (tree_copy(&space->pool, parent->space.root, PIECE_DONTFORK, &space->root)) {
		vmap_free(vmap);
		return NULL;
	}
	space->attached = parent->space.attached;
	if (!space->start_brk) {
		space->start_brk = parent->space.start_brk;
		space->brk = parent->space.brk;
	}
	if (!space->start_stack)
		space->start_stack = parent->space.start_stack;
	return vmap;
}

static void past_drop(struct vmap *vmap, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		op_release(&vmap->past[i].op);
		space_forget(&vmap->space, &vmap->past[i].saved);
	}
	vmap->past_count -= count;
	memmove(vmap->past, vmap->past + count, vmap->past_count * sizeof(*vmap->past));
}

void vmap_free(struct vmap *vmap)
{
	if (!vmap)
		return;
	if (vmap->past)
		past_drop(vmap, vmap->past_count);
	free(vmap->past);
	tree_free(&vmap->space.pool, vmap->space.root);
	tree_pool_free(&vmap->space.pool);
	vmap_file_put(vmap->named);
	free(vmap);
}

/* Room for one more. */
static int past_reserve(struct vmap *vmap)
{
	unsigned int size = vmap->past_size ? vmap->past_size * 2 : 16;
	struct past *past;

	if (vmap->past_count < vmap->past_size)
		return 0;
	if (vmap->past_size >= VMAP_HISTORY_MAX) {
		past_drop(vmap, HISTORY_DROP);
		return 0;
	}
	past = reallocarray(vmap->past, size, sizeof(*past));
	if (!past)
		return -ENOMEM;
	vmap->past = past;
	vmap->past_size = size;
	return 0;
}

/* Applies @past's op, saving what it displaces. */
static int past_do(struct vmap *vmap, struct past *past)
{
	struct space *space = &vmap->space;
	int err;

	past->brk = space->brk;
	space->saved = &past->saved;
	err = op_apply(&past->op, space);
	space->saved = NULL;
	return err;
}

static int past_undo(struct vmap *vmap, struct past *past)
{
	if (past->op.kind == OP_BRK)
		vmap->space.brk = past->brk;
	return space_restore(&vmap->space, &past->saved);
}

/* Hands out the region, and keeps alive the path that it points to. */
static void name_in(struct vmap *vmap, const struct node *root, const struct name_query *query,
		    struct region *ret_region)
{
	struct vmap_file *file;

	space_name(&vmap->space, root, query, ret_region, &file);
	vmap_file_get(file);
	vmap_file_put(vmap->named);
	vmap->named = file;
}

static void name_region(struct vmap *vmap, uint64_t start, uint64_t end, bool clip, struct region *ret_region)
{
	struct name_query query = { .start = start, .end = end, .clip = clip };

	name_in(vmap, vmap->space.root, &query, ret_region);
}

/* A run of faults is sent when it ends; by then another thread may have unmapped what was touched. */
static void name_from_past(struct vmap *vmap, const struct vmap_op *op, struct region *ret_region)
{
	struct name_query query = { .start = op->start, .end = op->end, .clip = true };

	for (unsigned int i = vmap->past_count; i-- && ret_region->kind == REGION_NONE;) {
		const struct saved *saved = vmap->past[i].saved;

		while (saved && (op->start < saved->start || op->start >= saved->end))
			saved = saved->next;
		if (saved)
			name_in(vmap, saved->content, &query, ret_region);
	}
}

static void name_before(struct vmap *vmap, const struct vmap_op *op, struct region *ret_region)
{
	*ret_region = (struct region){ .kind = REGION_NONE };
	if (op->kind == OP_UNMAP || op->kind == OP_DETACH)
		name_region(vmap, op->start, op->end, false, ret_region);
}

static void name_after(struct vmap *vmap, const struct vmap_op *op, struct region *ret_region)
{
	switch (op->kind) {
	case OP_UNMAP:
		break;
	case OP_DETACH:
		if (ret_region->kind != REGION_NONE)
			ret_region->end = op->end;
		break;
	case OP_BRK:
		*ret_region = (struct region){ .kind = REGION_HEAP, .start = op->start, .end = op->end };
		break;
	case OP_MOVE:
		name_region(vmap, op->to, op->to_end, false, ret_region);
		break;
	case OP_NONE:
	case OP_MAP:
	case OP_ATTACH:
	case OP_PROTECT:
	case OP_FLAG:
	case OP_OFFSET:
	case OP_GROW:
		if (op->start < op->end)
			name_region(vmap, op->start, op->end, op->clip, ret_region);
		if (op->clip && ret_region->kind == REGION_NONE)
			name_from_past(vmap, op, ret_region);
		break;
	}
}

/* Applies @op, of which the call takes the file, as the @at-th change of the history. */
static int apply_at(struct vmap *vmap, struct vmap_op *op, unsigned int at, struct region *ret_region)
{
	struct past new = { .op = *op };
	unsigned int undone = vmap->past_count;
	bool conflict = false;
	int err = 0;

	for (unsigned int i = at; i < vmap->past_count && !conflict; i++)
		conflict = op_conflicts(op, &vmap->past[i].op);
	while (!err && conflict && undone > at)
		err = past_undo(vmap, &vmap->past[--undone]);
	name_before(vmap, op, ret_region);
	if (!err)
		err = past_do(vmap, &new);
	name_after(vmap, &new.op, ret_region);
	memmove(vmap->past + at + 1, vmap->past + at, (vmap->past_count - at) * sizeof(*vmap->past));
	vmap->past[at] = new;
	vmap->past_count++;
	if (!conflict)
		return err;
	for (unsigned int i = at + 1; !err && i < vmap->past_count; i++)
		err = past_do(vmap, &vmap->past[i]);
	return err;
}

static int apply_in_past(struct vmap *vmap, struct vmap_op *op, struct region *ret_region)
{
	unsigned int at;

	if (past_reserve(vmap)) {
		op_release(op);
		return -ENOMEM;
	}
	for (at = vmap->past_count; at && vmap->past[at - 1].op.order > op->order;)
		at--;
	return apply_at(vmap, op, at, ret_region);
}

static int apply_now(struct vmap *vmap, struct vmap_op *op, struct region *ret_region)
{
	int err;

	name_before(vmap, op, ret_region);
	err = op_apply(op, &vmap->space);
	name_after(vmap, op, ret_region);
	op_release(op);
	return err;
}

/* The row of the call that starts a thread precedes every other row of its caller, so no change is missed. */
static bool starts_thread(const struct event_change *change)
{
	if (change->cause != CAUSE_SYSCALL || !change->call || !(change->call->flags & MEMCALL_LIFE))
		return false;
	if (change->call->id == CALL_CLONE)
		return !change->has_ret || (change->args[0] & CLONE_VM);
	return change->call->id == CALL_CLONE3;
}

int vmap_apply(struct vmap *vmap, int32_t tid, const struct event_change *change, struct region *ret_region)
{
	struct vmap_op op;
	int err = op_decode(change, vmap->space.page_bytes, &op);

	if (err)
		return err;
	if (!vmap->tid)
		vmap->tid = tid;
	if (tid != vmap->tid || starts_thread(change))
		vmap->keep_past = true;
	if (op.kind == OP_NONE) {
		*ret_region = (struct region){ .kind = REGION_NONE };
		name_after(vmap, &op, ret_region);
		op_release(&op);
		return 0;
	}
	if (!op.order)
		op.order = vmap->order;
	if (op.order > vmap->order)
		vmap->order = op.order;
	return vmap->keep_past ? apply_in_past(vmap, &op, ret_region) : apply_now(vmap, &op, ret_region);
}

int vmap_seed(struct vmap *vmap, const struct event_vma *vma)
{
	struct space *space = &vmap->space;
	struct region region;
	struct vmap_op op;
	int err = op_decode_vma(vma, space->page_bytes, &op);

	if (err || op.kind == OP_NONE)
		return err;
	if (vma->path && !strcmp(vma->path, "[heap]")) {
		if (!space->start_brk)
			space->start_brk = op.start;
		/* It may be in several pieces. */
		if (!space->brk || space_page_up(space, space->brk) == op.start)
			space->brk = op.end;
	}
	if (vma->path && !strcmp(vma->path, "[stack]") && !space->start_stack)
		space->start_stack = op.end - 1;
	/* Rows that arrived before it are in what it says; those that arrive late and are older than they, as well. */
	op.order = vmap->order;
	return vmap->keep_past ? apply_in_past(vmap, &op, &region) : apply_now(vmap, &op, &region);
}

/* The piece of a file, or of shared memory, that @addr lies in; NULL where it lies in none. */
static const struct piece *file_piece_at(const struct vmap *vmap, uint64_t addr)
{
	const struct piece *piece = tree_find(vmap->space.root, addr);

	return piece && (piece->file || piece->flags & PIECE_SHARED) && piece->start <= addr ? piece : NULL;
}

void vmap_clip(const struct vmap *vmap, struct event_change *change)
{
	uint64_t start = change->addr, end = start + change->len;
	const struct piece *piece;

	if (change->cause != CAUSE_FAULT || change->first < start || change->last >= end ||
	    change->first > change->last)
		return;
	piece = file_piece_at(vmap, change->first);
	if (piece && piece->start > start) {
		change->addr = piece->start;
		if (change->first == change->last)
			end += piece->start - start;
	}
	piece = file_piece_at(vmap, change->last);
	if (piece && piece->end < end)
		end = piece->end;
	change->len = end - change->addr;
}

void vmap_find(struct vmap *vmap, uint64_t addr, uint64_t len, struct region *ret_region)
{
	uint64_t end = addr + len < addr ? UINT64_MAX : addr + len;

	name_region(vmap, addr, end, true, ret_region);
}

uint64_t vmap_total_bytes(const struct vmap *vmap)
{
	return tree_bytes(vmap->space.root);
}

unsigned int vmap_pieces(const struct vmap *vmap)
{
	return tree_pieces(vmap->space.root);
}

unsigned int vmap_history(const struct vmap *vmap)
{
	return vmap->past_count;
}

bool vmap_next(const struct vmap *vmap, uint64_t addr, struct vmap_range *ret_range)
{
	const struct piece *piece = tree_find(vmap->space.root, addr);

	if (!piece)
		return false;
	*ret_range = (struct vmap_range){ .start = piece->start,
					  .end = piece->end,
					  .offset = piece->offset,
					  .prot = piece->prot,
					  .shared = piece->flags & PIECE_SHARED,
					  .kind = space_kind(&vmap->space, piece, piece->start),
					  .path = piece->file && piece->file->named ? piece->file->path : NULL };
	return true;
}
