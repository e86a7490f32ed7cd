/* SPDX-License-Identifier: GPL-2.0-only */
/* vma: the mappings that an mm has when its books open. */
#ifndef HEAPTRACE_VMA_BPF_H
#define HEAPTRACE_VMA_BPF_H

struct bpf_iter_task_vma {
	u64 opaque[1];
} __attribute__((aligned(8)));

/* Only where there is config.vma_iterator. */
static int (*const bpf_iter_task_vma_new)(struct bpf_iter_task_vma *it, struct task_struct *task,
					  u64 addr) = (void *)WIRE_CALL_VMA_NEW;
static struct vm_area_struct *(*const bpf_iter_task_vma_next)(struct bpf_iter_task_vma *it) = (void *)
	WIRE_CALL_VMA_NEXT;
static void (*const bpf_iter_task_vma_destroy)(struct bpf_iter_task_vma *it) = (void *)WIRE_CALL_VMA_DESTROY;

/* Sends the mapping at the kernel's address @at, of a process @tgid. */
static __noinline int vma_send(u64 at, u64 mm_id, u32 tgid)
{
	struct vm_area_struct *vma = (struct vm_area_struct *)at;
	struct scratch *scratch = scratch_get();
	struct wire_vma *out;
	struct file *file;
	u32 len;

	if (!scratch)
		return 0;
	out = &scratch->vma;
	head_fill(&out->head, WIRE_VMA, mm_id);
	out->head.pid = out->head.tid = tgid;
	out->start = BPF_CORE_READ(vma, vm_start);
	out->end = BPF_CORE_READ(vma, vm_end);
	out->offset = (u64)BPF_CORE_READ(vma, vm_pgoff) << config.page_shift;
	out->vm_flags = BPF_CORE_READ(vma, vm_flags);
	out->vdso = (u64)BPF_CORE_READ(vma, vm_mm, context.vdso);
	out->dev = 0;
	out->inode = 0;
	file = BPF_CORE_READ(vma, vm_file);
	len = path_of_file((u64)file, (struct path_text *)out->text);
	if (len > WIRE_TEXT)
		len = 0;
	if (file) {
		out->dev = BPF_CORE_READ(file, f_inode, i_sb, s_dev);
		out->inode = BPF_CORE_READ(file, f_inode, i_ino);
	}
	out->text_len = len;
	if (ring_send(out, offsetof(struct wire_vma, text) + len))
		info_dropped();
	return 0;
}

/* Where there is no iterator of mappings (before 6.7) the tree is walked as it lies in memory (lib/maple_tree.c): an
 * entry of a node leads to another node or, in a leaf, to a mapping; pivots are the last addresses that entries cover.
 * The mm has one user, who is here, so nothing changes it meanwhile. */
#define MAPLE_LEAF    1
#define MAPLE_RANGE   2
#define MAPLE_ARANGE  3
#define MAPLE_ENTRIES 4096 /* steps at most */

#define maple_type(node) ((node) >> 3 & 15)
#define maple_read(type, node, array, index)                                                                   \
	({                                                                                                     \
		u64 value_ = 0;                                                                                \
		bpf_probe_read_kernel(                                                                         \
			&value_, sizeof(value_),                                                               \
			(void *)(((node) & ~255ull) + bpf_core_field_offset(struct type, array) + (index)*8)); \
		value_;                                                                                        \
	})

/* Adds the mapping at the kernel's address @at to the list of code that is being made, where it is code. */
static __noinline int code_add(u64 at);

/* Takes one entry; returns 1 at the end. */
static long maple_step(u32 index, void *unused)
{
	struct scratch *scratch = scratch_get();
	struct maple_walk *walk;
	struct maple_level *at;
	u64 pivot, entry;
	u32 level, i, last;
	bool arange;

	if (!scratch)
		return 1;
	walk = &scratch->maple;
	level = walk->level & (MAPLE_LEVELS - 1);
	at = &walk->levels[level];
	arange = maple_type(at->node) == MAPLE_ARANGE;
	last = arange ? 9 : 15;
	i = at->index++;
	pivot = at->max;
	if (i > last) {
		if (!level)
			return 1;
		walk->level = level - 1;
		return 0;
	}
	if (i < last)
		pivot = arange ? maple_read(maple_arange_64, at->node, pivot, i)
			       : maple_read(maple_range_64, at->node, pivot, i);
	if (!pivot && i)
		pivot = at->max; /* of the last entry it may be left out */
	entry = arange ? maple_read(maple_arange_64, at->node, slot, i) : maple_read(maple_range_64, at->node, slot, i);
	if (pivot >= at->max)
		at->index = last + 1;
	if (!entry)
		return 0;
	if (maple_type(at->node) == MAPLE_LEAF) {
		if (config.stacks == WIRE_STACKS_CFI && walk->code)
			code_add(entry);
		else
			vma_send(entry, walk->mm_id, walk->tgid);
	} else if (level + 1 < MAPLE_LEVELS) {
		at = &walk->levels[(level + 1) & (MAPLE_LEVELS - 1)];
		at->node = entry;
		at->max = pivot;
		at->index = 0;
		walk->level = level + 1;
	}
	return 0;
}

/* Walks the mappings of @mm, numbered @mm_id, of @tgid: sends them, or with @code makes the list of code. */
static __noinline int maple_walk(struct mm_struct *mm, u64 mm_id, u32 tgid, u32 code)
{
	struct scratch *scratch = scratch_get();
	u64 root = (u64)BPF_CORE_READ(mm, mm_mt.ma_root);

	/* A node is told by its low bits (xa_is_node) from a single entry, which an mm never has. */
	if (!scratch || (root & 3) != 2 || root <= 4096)
		return 0;
	scratch->maple.mm_id = mm_id;
	scratch->maple.tgid = tgid;
	scratch->maple.code = code;
	scratch->maple.level = 0;
	scratch->maple.levels[0] = (struct maple_level){ .node = root, .max = ~0ull };
	bpf_loop(MAPLE_ENTRIES, maple_step, NULL, 0);
	return 0;
}

/* Sends the mappings of @task's new mm, which nobody else changes yet. */
static __noinline int vmas_send(struct task_struct *task, u64 mm_id)
{
	struct bpf_iter_task_vma it;
	struct vm_area_struct *vma;

	int err = -1;

	if (config.vma_iterator) {
		err = bpf_iter_task_vma_new(&it, task, 0); /* takes memory and the lock, or is refused */
		while ((vma = bpf_iter_task_vma_next(&it)))
			vma_send((u64)vma, mm_id, process_number(task));
		bpf_iter_task_vma_destroy(&it);
	}
	if (err && bpf_core_field_exists(struct mm_struct, mm_mt))
		maple_walk(BPF_CORE_READ(task, mm), mm_id, process_number(task), 0);
	return 0;
}

#endif
