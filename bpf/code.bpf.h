/* SPDX-License-Identifier: GPL-2.0-only */
/* code: the list of an mm's code, made in the kernel at its exec and whenever code is mapped, of the objects whose rules
 * the loader has handed over already: so a walk needs not wait for the loader to read what was mapped. */
#ifndef HEAPTRACE_CODE_BPF_H
#define HEAPTRACE_CODE_BPF_H

#include "bpf/wire_stack.h"

#if defined(__TARGET_ARCH_x86)

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, STACK_OBJECTS);
	__type(key, struct wire_file);
	__type(value, struct wire_known);
} known_files SEC(".maps");

/* A list that is being made. */
struct code_list {
	u64 mm_id;
	u64 vdso;
	struct wire_file file;
	struct wire_space space;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct code_list);
} code_lists SEC(".maps");

/* Which file @inode is, in which state. The names of its times have changed twice. */
static __always_inline void file_identify(struct inode *inode, struct wire_file *out)
{
	struct inode___66 *inode_66 = (struct inode___66 *)inode;
	struct inode___61 *inode_61 = (struct inode___61 *)inode;

	out->dev = BPF_CORE_READ(inode, i_sb, s_dev);
	out->inode = BPF_CORE_READ(inode, i_ino);
	out->size = BPF_CORE_READ(inode, i_size);
	if (bpf_core_field_exists(struct inode, i_mtime_sec)) {
		out->mtime_s = BPF_CORE_READ(inode, i_mtime_sec);
		out->mtime_ns = BPF_CORE_READ(inode, i_mtime_nsec);
	} else if (bpf_core_field_exists(struct inode___66, __i_mtime)) {
		out->mtime_s = BPF_CORE_READ(inode_66, __i_mtime.tv_sec);
		out->mtime_ns = BPF_CORE_READ(inode_66, __i_mtime.tv_nsec);
	} else {
		out->mtime_s = BPF_CORE_READ(inode_61, i_mtime.tv_sec);
		out->mtime_ns = BPF_CORE_READ(inode_61, i_mtime.tv_nsec);
	}
}

static __noinline int code_add(u64 at)
{
	struct vm_area_struct *vma = (struct vm_area_struct *)at;
	u64 start = BPF_CORE_READ(vma, vm_start);
	struct wire_mapping *mapping;
	struct wire_known *known;
	struct code_list *list;
	struct file *file;
	u32 zero = 0, count;

	list = bpf_map_lookup_elem(&code_lists, &zero);
	if (!list || !(BPF_CORE_READ(vma, vm_flags) & VM_EXEC))
		return 0;
	file = BPF_CORE_READ(vma, vm_file);
	__builtin_memset(&list->file, 0, sizeof(list->file));
	if (file)
		file_identify(BPF_CORE_READ(file, f_inode), &list->file);
	else if (start != list->vdso)
		return 0; /* made at run time: it has no rules */
	known = bpf_map_lookup_elem(&known_files, &list->file);
	count = list->space.count;
	if (!known || count >= SPACE_MAPPINGS) {
		list->space.more = 1;
		return 0;
	}
	mapping = &list->space.mappings[count & (SPACE_MAPPINGS - 1)];
	mapping->start = start;
	mapping->end = BPF_CORE_READ(vma, vm_end);
	mapping->bias = start - ((u64)BPF_CORE_READ(vma, vm_pgoff) << config.page_shift) + known->shift;
	if (!file)
		mapping->bias = start + known->shift;
	mapping->object = known->object;
	list->space.count = count + 1;
	return 0;
}

/* Marks the @index-th mapping as unused where it is none of the list's. */
static long blank_step(u32 index, struct code_list *const *context)
{
	struct code_list *list = *context;

	if (index >= list->space.count && index < SPACE_MAPPINGS)
		list->space.mappings[index].start = SPACE_NO_START;
	return 0;
}

/* Adds the code of @task, the current one. False where that cannot be told: without an iterator, or where it is refused as it would have to
 * wait, and with others who may change the mappings meanwhile. */
static __always_inline bool code_find(struct task_struct *task, u64 mm_id)
{
	struct mm_struct *mm = (struct mm_struct *)mm_of(task);
	struct bpf_iter_task_vma it;
	struct vm_area_struct *vma;

	int err = -1;

	if (config.vma_iterator) {
		err = bpf_iter_task_vma_new(&it, task, 0);
		while ((vma = bpf_iter_task_vma_next(&it)))
			if (vma->vm_flags & VM_EXEC)
				code_add((u64)vma);
		bpf_iter_task_vma_destroy(&it);
	}
	if (!err)
		return true;
	if (!bpf_core_field_exists(struct mm_struct, mm_mt) || !mm || BPF_CORE_READ(mm, mm_users.counter) != 1)
		return false;
	maple_walk(mm, mm_id, 0, 1);
	return true;
}

/* Makes the list that this CPU's code_list names, of the current task's mappings. */
__noinline int code_list_make(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct code_list *list;
	u32 zero = 0;
	u64 id;

	list = bpf_map_lookup_elem(&code_lists, &zero);
	if (!list)
		return 0;
	id = list->mm_id;
	list->space.count = 0;
	list->space.more = 0;
	if (!code_find(task, id))
		return 0;
	bpf_loop(SPACE_MAPPINGS, blank_step, &list, 0);
	bpf_map_update_elem(&spaces, &id, &list->space, BPF_ANY);
	return 0;
}

/* Has the list of the mm numbered @mm_id, the current task's, say what is mapped now; @code_order is its place. Where that is
 * for the reader to complete, the next record wakes it. */
static __always_inline void code_update(u64 mm_id, u64 code_order)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct code_list *list;
	u32 zero = 0;

	if (config.stacks != WIRE_STACKS_CFI)
		return;
	list = bpf_map_lookup_elem(&code_lists, &zero);
	if (!list)
		return;
	list->mm_id = mm_id;
	list->space.code_order = code_order;
	list->space.more = 1;
	list->vdso = (u64)BPF_CORE_READ(task, mm, context.vdso);
	code_list_make();
	if (list->space.more)
		shared.reader_sleeps = 1;
}

#else

static __noinline int code_add(u64 at)
{
	return 0;
}

static __always_inline void code_update(u64 mm_id, u64 code_order)
{
}

#endif

#endif
