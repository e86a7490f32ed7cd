/* SPDX-License-Identifier: GPL-2.0-only */
/* vma: the mappings that an mm has when its books open. */
#ifndef HEAPTRACE_VMA_BPF_H
#define HEAPTRACE_VMA_BPF_H

struct bpf_iter_task_vma {
	u64 opaque[1];
} __attribute__((aligned(8)));

extern int bpf_iter_task_vma_new(struct bpf_iter_task_vma *it, struct task_struct *task, u64 addr) __ksym __weak;
extern struct vm_area_struct *bpf_iter_task_vma_next(struct bpf_iter_task_vma *it) __ksym __weak;
extern void bpf_iter_task_vma_destroy(struct bpf_iter_task_vma *it) __ksym __weak;

static __noinline int vma_send(struct vm_area_struct *vma, u64 mm_id, struct task_struct *task)
{
	struct scratch *scratch = scratch_get();
	struct wire_vma *out;
	struct file *file;
	u32 len;

	if (!scratch)
		return 0;
	out = &scratch->vma;
	head_fill(&out->head, WIRE_VMA, mm_id);
	out->head.pid = out->head.tid = task->tgid;
	out->start = vma->vm_start;
	out->end = vma->vm_end;
	out->offset = (u64)vma->vm_pgoff << config.page_shift;
	out->vm_flags = vma->vm_flags;
	out->vdso = (u64)BPF_CORE_READ(vma, vm_mm, context.vdso);
	out->dev = 0;
	out->inode = 0;
	file = vma->vm_file;
	len = path_of_file(file, out->text);
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

/* Sends the mappings of @task's new mm. */
static __noinline int vmas_send(struct task_struct *task, u64 mm_id)
{
	struct bpf_iter_task_vma it;
	struct vm_area_struct *vma;

	if (!bpf_iter_task_vma_new)
		return 0;
	bpf_iter_task_vma_new(&it, task, 0);
	while ((vma = bpf_iter_task_vma_next(&it)))
		vma_send(vma, mm_id, task);
	bpf_iter_task_vma_destroy(&it);
	return 0;
}

#endif
