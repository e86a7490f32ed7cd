/* SPDX-License-Identifier: GPL-2.0-only */
/* word: reading the kernel's memory at an address that is a plain number, without a helper where the kernel can (6.2 and newer):
 * there a cast makes it a load, which yields 0 at an address that has no memory. To call a helper and to return from it takes
 * longer than all that is read. */
#ifndef HEAPTRACE_WORD_BPF_H
#define HEAPTRACE_WORD_BPF_H

/* Only where there is config.word_type. */
static struct timespec64 *(*const bpf_rdonly_cast)(u64 at, u32 type) = (void *)WIRE_CALL_RDONLY_CAST;

/* The 8 bytes at @at, a multiple of 8. */
static __always_inline u64 word_at(u64 at)
{
	u64 word = 0;

	if (config.word_type)
		return bpf_rdonly_cast(at, config.word_type)->tv_sec;
	bpf_probe_read_kernel(&word, sizeof(word), (void *)at);
	return word;
}

/* The 4 bytes at @at, a multiple of 4: of the word that they lie in, as what is beyond may be no memory. */
static __always_inline s32 half_word_at(u64 at)
{
	return word_at(at & ~7ull) >> 8 * (at & 4);
}

/* The member @field, of 8 bytes, of @object, a pointer to a structure of the kernel's. */
#define WORD_OF(object, field) word_at((u64)(object) + bpf_core_field_offset((object)->field))

/* The address of the current task. */
static __always_inline u64 task_now(void)
{
	u32 cpu = bpf_get_smp_processor_id();

	if (!current_pointer)
		return bpf_get_current_task();
	return word_at(current_pointer + percpu_offset[cpu & (WIRE_CPUS - 1)]);
}

/* The address of @task's mm. Read as a word: for each pointer that is loaded through another one the verifier of newer kernels
 * searches all types, at half a millisecond. */
static __always_inline u64 mm_of(struct task_struct *task)
{
	return WORD_OF(task, mm);
}

/* The member @field, of 8 bytes, of the task whose state @ts is. */
#define TASK_WORD(ts, field) word_at((ts)->task + bpf_core_field_offset(struct task_struct, field))

/* Whether the task at the address @task may have state in its storage. Most tasks have none in any map's, and to ask for it calls a
 * helper. */
static __always_inline bool may_have_storage(u64 task)
{
	return WORD_OF((struct task_struct *)task, bpf_storage) != 0;
}

/* PF_* of the task at the address @task. */
static __always_inline u32 flags_of(u64 task)
{
	return half_word_at(task + bpf_core_field_offset(struct task_struct, flags));
}

/* Where the registers of @task lie with which it entered the kernel. */
static __always_inline u64 regs_at(struct task_struct *task)
{
	return WORD_OF(task, stack) + regs_offset;
}

#endif
