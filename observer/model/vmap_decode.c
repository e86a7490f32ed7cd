/* SPDX-License-Identifier: GPL-2.0-only */
/* From a row to what it does to the address space. Nothing here looks at the state. */
#include "model/vmap_op.h"

#include "event/memcalls.h"

#include <errno.h>
#include <linux/mman.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

/* glibc, malloc/arena.c: new_heap() reserves two heaps' worth, or one at an address that it hopes is aligned. */
#define ARENA_BYTES (64ULL << 20)

#define MAX_ERRNO 4095

static bool failed(const struct event_change *change)
{
	return change->ret < 0 && change->ret >= -MAX_ERRNO;
}

/* Whole units of @unit around [@addr, @addr + @len). false where that is empty or no user address. */
static bool range_of(uint64_t addr, uint64_t len, uint64_t unit, uint64_t *ret_start, uint64_t *ret_end)
{
	if (!len || addr >= SPACE_END || len > SPACE_END - addr)
		return false;
	*ret_end = (addr + len + unit - 1) & ~(unit - 1);
	*ret_start = addr & ~(unit - 1);
	return true;
}

static void set_range(struct vmap_op *op, enum op_kind kind, uint64_t addr, uint64_t len, uint64_t unit)
{
	if (range_of(addr, len, unit, &op->start, &op->end))
		op->kind = kind;
}

static const struct {
	const char *prefix;
	enum region_kind kind, shared_kind;
} path_kinds[] = {
	{ "[heap]", REGION_ANON, REGION_ANON },	   { "[stack", REGION_STACK, REGION_STACK },
	{ "[anon:", REGION_ANON, REGION_SHM },	   { "[anon_shmem:", REGION_SHM, REGION_SHM },
	{ "[vdso]", REGION_VDSO, REGION_VDSO },	   { "[vvar", REGION_VDSO, REGION_VDSO },
	{ "[sigpage]", REGION_VDSO, REGION_VDSO }, { "[vectors]", REGION_VDSO, REGION_VDSO },
	{ "/memfd:", REGION_SHM, REGION_SHM },	   { "/SYSV", REGION_SHM, REGION_SHM },
	{ "/dev/shm/", REGION_SHM, REGION_SHM },   { "/dev/zero", REGION_ANON, REGION_SHM },
	{ "/dev/", REGION_OTHER, REGION_OTHER },   { "/anon_hugepage", REGION_OTHER, REGION_OTHER },
	{ "/[aio]", REGION_OTHER, REGION_OTHER },  { "/", REGION_FILE, REGION_FILE },
	{ "", REGION_OTHER, REGION_OTHER }, /* socket:[1], anon_inode:..., [uprobes] */
};

enum region_kind path_kind(const char *path, bool shared)
{
	unsigned int i = 0;

	while (strncmp(path, path_kinds[i].prefix, strlen(path_kinds[i].prefix)) != 0)
		i++;
	return shared ? path_kinds[i].shared_kind : path_kinds[i].kind;
}

static enum region_kind anon_kind(unsigned int flags)
{
	if (flags & MAP_HUGETLB)
		return REGION_OTHER;
	if (flags & MAP_SHARED)
		return REGION_SHM;
	return flags & (MAP_STACK | MAP_GROWSDOWN) ? REGION_STACK : REGION_ANON;
}

/* MAP_HUGETLB lengths are rounded up to the huge page, whose size is in the flags, else the default of the machine. */
static uint64_t map_unit(unsigned int flags, uint64_t page_bytes)
{
	unsigned int shift = (flags >> MAP_HUGE_SHIFT) & MAP_HUGE_MASK;

	if (!(flags & MAP_HUGETLB))
		return page_bytes;
	return 1ULL << (shift && shift < 40 ? shift : 21);
}

/* Reserved address space as glibc takes it for a thread arena: all but a 64 MiB boundary's worth is given back at
 * once. */
static bool looks_like_arena(const struct vmap_op *op, unsigned int prot, unsigned int flags)
{
	const unsigned int how = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	uint64_t len = op->end - op->start;

	if (prot != PROT_NONE || (flags & (how | MAP_TYPE | MAP_STACK | MAP_FIXED)) != how)
		return false;
	return len == 2 * ARENA_BYTES || (len == ARENA_BYTES && op->start % ARENA_BYTES == 0);
}

static int decode_mmap(const struct event_change *change, uint64_t page_bytes, struct vmap_op *op)
{
	unsigned int flags = (unsigned int)change->args[3];
	uint64_t unit = map_unit(flags, page_bytes), len = change->args[1];
	bool shared = flags & MAP_SHARED;

	op->fixed = flags & MAP_FIXED;
	if (failed(change)) {
		/* Until Linux 6.12 what was there went before the new mapping was tried. */
		if (op->fixed && change->delta.virt < 0)
			set_range(op, OP_UNMAP, change->args[0], len, unit);
		return 0;
	}
	/* Only the kernel knows to what a file on hugetlbfs was rounded, and it says so: nothing was replaced. */
	if (!op->fixed && change->delta.virt > 0 && (uint64_t)change->delta.virt > len &&
	    (uint64_t)change->delta.virt - len < 1ULL << 31)
		len = (uint64_t)change->delta.virt;
	set_range(op, OP_MAP, (uint64_t)change->ret, len, unit);
	op->fill.prot = change->args[2] & (PROT_READ | PROT_WRITE | PROT_EXEC);
	op->fill.flags = shared ? PIECE_SHARED : 0;
	if (flags & MAP_GROWSDOWN)
		op->fill.flags |= PIECE_GROWSDOWN;
	if (looks_like_arena(op, op->fill.prot, flags))
		op->fill.flags |= PIECE_ARENA;
	if (flags & MAP_ANONYMOUS) {
		op->fill.kind = anon_kind(flags);
		return 0;
	}
	op->fill.kind = change->text ? path_kind(change->text, shared) : REGION_FILE;
	op->fill.offset = change->args[5];
	if (shared && !(op->fill.prot & PROT_WRITE))
		op->fill.flags |= PIECE_READONLY;
	op->fill.file = vmap_file_new(change->text, 0);
	return op->fill.file ? 0 : -ENOMEM;
}

static int decode_munmap(const struct event_change *change, uint64_t page_bytes, struct vmap_op *op)
{
	if (!failed(change))
		set_range(op, OP_UNMAP, change->args[0], change->args[1], page_bytes);
	return 0;
}

/* The raw call returns where the heap ends now, whether it did what was asked or not. */
static int decode_brk(const struct event_change *change, uint64_t page_bytes, struct vmap_op *op)
{
	(void)page_bytes;
	if (failed(change) || change->ret <= 0 || (uint64_t)change->ret >= SPACE_END)
		return 0;
	op->kind = OP_BRK;
	op->to = (uint64_t)change->ret;
	return 0;
}

static int decode_mremap(const struct event_change *change, uint64_t page_bytes, struct vmap_op *op)
{
	uint64_t old_len = change->args[1], flags = change->args[3];

	op->fixed = flags & MREMAP_FIXED;
	if (failed(change)) {
		if (op->fixed && change->delta.virt < 0)
			set_range(op, OP_UNMAP, change->args[4], change->args[2], page_bytes);
		return 0;
	}
	op->keep_source = !old_len || (flags & MREMAP_DONTUNMAP);
	if (!range_of((uint64_t)change->ret, change->args[2], page_bytes, &op->to, &op->to_end))
		return 0;
	/* No old length asks for a second mapping of the same, shared, memory. */
	set_range(op, OP_MOVE, change->args[0], old_len ? old_len : 1, page_bytes);
	if (!old_len)
		op->end = op->start;
	return 0;
}

static int decode_mprotect(const struct event_change *change, uint64_t page_bytes, struct vmap_op *op)
{
	if (failed(change) && change->ret != -ENOMEM && change->ret != -EACCES)
		return 0;
	set_range(op, OP_PROTECT, change->args[0], change->args[1], page_bytes);
	op->fill.prot = change->args[2] & (PROT_READ | PROT_WRITE | PROT_EXEC);
	op->error = failed(change) ? (int)change->ret : 0;
	op->grows_down = change->args[2] & PROT_GROWSDOWN;
	return 0;
}

static int decode_madvise(const struct event_change *change, uint64_t page_bytes, struct vmap_op *op)
{
	bool forks = change->args[2] == MADV_DOFORK, not_forks = change->args[2] == MADV_DONTFORK;

	/* Gaps make it say ENOMEM, but do not stop it. */
	if (failed(change) && !((forks || not_forks) && change->ret == -ENOMEM))
		return 0;
	set_range(op, forks || not_forks ? OP_FLAG : OP_NONE, change->args[0], change->args[1], page_bytes);
	op->flag = PIECE_DONTFORK;
	op->fill.flags = not_forks ? PIECE_DONTFORK : 0;
	return 0;
}

/* mlock and the like: nothing but a region to name. */
static int decode_range(const struct event_change *change, uint64_t page_bytes, struct vmap_op *op)
{
	if (!failed(change))
		set_range(op, OP_NONE, change->args[0], change->args[1], page_bytes);
	return 0;
}

static int decode_shmat(const struct event_change *change, uint64_t page_bytes, struct vmap_op *op)
{
	uint64_t flags = change->args[2];

	if (failed(change))
		return 0;
	op->fixed = flags & SHM_REMAP;
	set_range(op, OP_ATTACH, (uint64_t)change->ret, page_bytes, page_bytes);
	op->fill.prot = PROT_READ | (flags & SHM_RDONLY ? 0 : PROT_WRITE) | (flags & SHM_EXEC ? PROT_EXEC : 0);
	op->fill.flags = PIECE_SHARED | PIECE_SYSV | (flags & SHM_RDONLY ? PIECE_READONLY : 0);
	op->fill.kind = REGION_SHM;
	op->fill.file = vmap_file_new(NULL, change->args[0]);
	return op->fill.file ? 0 : -ENOMEM;
}

static int decode_shmdt(const struct event_change *change, uint64_t page_bytes, struct vmap_op *op)
{
	if (!failed(change))
		set_range(op, OP_DETACH, change->args[0], page_bytes, page_bytes);
	return 0;
}

static int decode_remap_file_pages(const struct event_change *change, uint64_t page_bytes, struct vmap_op *op)
{
	if (failed(change))
		return 0;
	/* Of all calls, this one rounds the size down. */
	set_range(op, OP_OFFSET, change->args[0], change->args[1] & ~(page_bytes - 1), page_bytes);
	op->fill.offset = change->args[3] * page_bytes;
	return 0;
}

static int decode_shadow_stack(const struct event_change *change, uint64_t page_bytes, struct vmap_op *op)
{
	if (failed(change))
		return 0;
	set_range(op, OP_MAP, (uint64_t)change->ret, change->args[1], page_bytes);
	op->fill.prot = PROT_READ | PROT_WRITE;
	op->fill.kind = REGION_STACK;
	return 0;
}

/* Not here: calls that change no mapping of the caller's, or none by address (mlockall). */
static int (*const decoders[CALL_COUNT])(const struct event_change *change, uint64_t page_bytes, struct vmap_op *op) = {
	[CALL_BRK] = decode_brk,
	[CALL_MADVISE] = decode_madvise,
	[CALL_MAP_SHADOW_STACK] = decode_shadow_stack,
	[CALL_MLOCK] = decode_range,
	[CALL_MLOCK2] = decode_range,
	[CALL_MMAP] = decode_mmap,
	[CALL_MPROTECT] = decode_mprotect,
	[CALL_MREMAP] = decode_mremap,
	[CALL_MSEAL] = decode_range,
	[CALL_MUNLOCK] = decode_range,
	[CALL_MUNMAP] = decode_munmap,
	[CALL_PKEY_MPROTECT] = decode_mprotect,
	[CALL_REMAP_FILE_PAGES] = decode_remap_file_pages,
	[CALL_SHMAT] = decode_shmat,
	[CALL_SHMDT] = decode_shmdt,
};

static int decode_syscall(const struct event_change *change, uint64_t page_bytes, struct vmap_op *op)
{
	if (!change->has_ret || !change->call || !decoders[change->call->id])
		return 0;
	return decoders[change->call->id](change, page_bytes, op);
}

int op_decode(const struct event_change *change, uint64_t page_bytes, struct vmap_op *ret_op)
{
	struct vmap_op *op = ret_op;
	int err = 0;

	*op = (struct vmap_op){ .kind = OP_NONE, .order = change->order, .virt = change->delta.virt };
	switch (change->cause) {
	case CAUSE_SYSCALL:
		err = decode_syscall(change, page_bytes, op);
		break;
	case CAUSE_FAULT:
	case CAUSE_KERNEL_FAULT:
		op->clip = true;
		(void)range_of(change->addr, change->len, page_bytes, &op->start, &op->end);
		if (op->virt > 0)
			op->kind = OP_GROW;
		break;
	case CAUSE_KERNEL:
		op->clip = true;
		(void)range_of(change->addr, change->len, page_bytes, &op->start, &op->end);
		break;
	case CAUSE_FORK:
	case CAUSE_EXEC:
	case CAUSE_EXIT:
		break;
	}
	if (op->kind == OP_MAP || op->kind == OP_ATTACH) {
		op->fill.start = op->start;
		op->fill.end = op->end;
	}
	return err;
}

int op_decode_vma(const struct event_vma *vma, uint64_t page_bytes, struct vmap_op *ret_op)
{
	struct vmap_op op = { .kind = OP_NONE };
	bool shared = vma->flags & MAP_SHARED;
	const char *path = vma->path;

	if (vma->start < vma->end)
		set_range(&op, OP_MAP, vma->start, vma->end - vma->start, page_bytes);
	if (op.kind == OP_NONE) {
		*ret_op = op;
		return 0;
	}
	op.fill = (struct piece){ .start = op.start,
				  .end = op.end,
				  .prot = vma->prot & (PROT_READ | PROT_WRITE | PROT_EXEC),
				  .flags = shared ? PIECE_SHARED : 0,
				  .kind = path ? path_kind(path, shared) : anon_kind(vma->flags) };
	if (vma->flags & MAP_GROWSDOWN)
		op.fill.flags |= PIECE_GROWSDOWN;
	if (path && !strcmp(path, "[uprobes]"))
		op.fill.flags |= PIECE_DONTFORK;
	if (path && !strncmp(path, "/SYSV", 5))
		op.fill.flags |= PIECE_SYSV;
	/* A heap or a stack is one by its place; without a file it can merge with what is added to it. */
	if (path && strcmp(path, "[heap]") != 0 && strncmp(path, "[stack", 6) != 0) {
		op.fill.file = vmap_file_new(path, vma->inode);
		if (!op.fill.file)
			return -ENOMEM;
		op.fill.offset = vma->offset;
		if (shared && !(vma->prot & PROT_WRITE))
			op.fill.flags |= PIECE_READONLY;
	}
	*ret_op = op;
	return 0;
}

void op_release(struct vmap_op *op)
{
	vmap_file_put(op->fill.file);
	op->fill.file = NULL;
}
