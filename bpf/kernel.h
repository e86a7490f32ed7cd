/* SPDX-License-Identifier: GPL-2.0-only */
/* kernel: the few fields of kernel structures that the programs read. Offsets are relocated at load (CO-RE), so only
 * names and types count here; a field that a kernel lacks is tested with bpf_core_field_exists before use. */
#ifndef HEAPTRACE_KERNEL_H
#define HEAPTRACE_KERNEL_H

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct list_head {
	struct list_head *next, *prev;
};

typedef struct {
	int counter;
} atomic_t;

typedef struct {
	s64 counter;
} atomic_long_t;

struct percpu_counter {
	s64 count;
	s32 *counters;
};

/* Where RSS was kept before 6.2: in the mm, and in each of its threads what that one has not handed over yet. */
struct mm_rss_stat {
	atomic_long_t count[4];
};

struct task_rss_stat {
	int count[4];
};

struct dentry;
struct vfsmount;
struct inode;

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct file {
	struct path f_path;
	struct inode *f_inode;
};

struct super_block {
	u32 s_dev;
	struct dentry *s_root;
};

struct timespec64 {
	s64 tv_sec;
	long tv_nsec;
};

struct inode {
	unsigned long i_ino;
	struct super_block *i_sb;
	s64 i_size;
	s64 i_mtime_sec;
	u32 i_mtime_nsec;
};

/* From 6.6 to 6.10, and before. */
struct inode___66 {
	struct timespec64 __i_mtime;
};

struct inode___61 {
	struct timespec64 i_mtime;
};

struct qstr {
	const unsigned char *name;
};

struct dentry {
	struct dentry *d_parent;
	struct qstr d_name;
};

struct vfsmount {
	struct dentry *mnt_root;
};

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

typedef struct {
	void *vdso;
} mm_context_t;

/* lib/maple_tree.c: what the mappings of an mm are kept in since 6.1 */
struct maple_tree {
	void *ma_root;
};

struct maple_range_64 {
	unsigned long pivot[15];
	void *slot[16];
};

struct maple_arange_64 {
	unsigned long pivot[9];
	void *slot[10];
};

struct rw_semaphore {
	atomic_long_t count;
};

struct mm_struct {
	struct maple_tree mm_mt;
	struct rw_semaphore mmap_lock;
	atomic_t mm_users;
	unsigned long total_vm;
	unsigned long start_brk, brk, start_stack;
	struct percpu_counter rss_stat[4];
	mm_context_t context;
	struct file *exe_file;
};

struct mm_struct___atomic {
	struct mm_rss_stat rss_stat;
};

struct vm_area_struct {
	unsigned long vm_start, vm_end;
	struct mm_struct *vm_mm;
	unsigned long vm_flags;
	unsigned long vm_pgoff;
	struct file *vm_file;
};

struct signal_struct {
	struct list_head thread_head;
	atomic_t live; /* threads that have not begun to exit */
	int group_exit_code;
};

struct linux_binprm {
	const char *filename;
};

struct thread_info {
	u32 status;
};

struct ns_common {
	unsigned int inum;
};

struct pid_namespace {
	struct ns_common ns;
};

struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	unsigned int level;
	struct upid numbers[1];
};

struct rq;

struct cfs_rq {
	struct rq *rq;
};

struct sched_entity {
	struct cfs_rq *cfs_rq;
};

struct task_struct {
	struct sched_entity se;
	struct thread_info thread_info;
	void *stack;
	unsigned int flags;
	u32 pid, tgid;
	struct mm_struct *mm;
	void *bpf_storage; /* NULL: there is no state of it in any map */
	struct files_struct *files;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	struct signal_struct *signal;
	struct list_head thread_node; /* in signal->thread_head */
	u64 start_time;
	unsigned long maj_flt;
	int exit_code;
	int pagefault_disabled;
	char comm[16];
};

struct task_struct___cached {
	struct task_rss_stat rss_stat;
};

struct pt_regs {
#if defined(__TARGET_ARCH_x86)
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, sp;
	unsigned short cs;
#elif defined(__TARGET_ARCH_arm64)
	unsigned long regs[31], sp, pc, pstate, orig_x0;
	int syscallno;
#endif
};

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

struct bpf_iter__task_vma {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	struct vm_area_struct *vma;
};

struct bpf_array {
	void *pptrs[0];
};

/* Records of tracepoints: what is in them tells which arguments the tracepoint has. */
struct trace_event_raw_mmap_lock {
	u32 __data_loc_memcg_path;
};

struct trace_event_raw_sched_process_exit {
	bool group_dead;
};

#pragma clang attribute pop

/* Arguments of a tracepoint, as numbers. The two ways are kept apart by an empty asm statement each: a single load with a
 * computed offset would not pass the verifier. One of them is dead code for it. */
#define ARG_IF(exists, ctx, here, else_here)             \
	({                                               \
		u64 value_;                              \
		if (exists) {                            \
			value_ = (ctx)[here];            \
			asm volatile("" : "+r"(value_)); \
		} else {                                 \
			value_ = (ctx)[else_here];       \
			asm volatile("" : "+r"(value_)); \
		}                                        \
		value_;                                  \
	})

/* mmap_lock_released: (mm, memcg_path, write) up to 6.13, (mm, write) since. */
#define LOCK_HAS_PATH	bpf_core_field_exists(struct trace_event_raw_mmap_lock, __data_loc_memcg_path)
#define LOCK_WRITE(ctx) ((bool)ARG_IF(LOCK_HAS_PATH, ctx, 2, 1))

/* sched_process_exit says whether the whole process ends since 6.16; before that it fires when the thread has let go of
 * its mm already. */
#define EXIT_HAS_GROUP bpf_core_field_exists(struct trace_event_raw_sched_process_exit, group_dead)

/* Each thread keeps a part of the RSS counters for itself: up to 6.1. */
#define RSS_HAS_CACHE bpf_core_field_exists(struct task_struct___cached, rss_stat.count)

/* Whether sys_enter says that a call begins: where registers do not tell (calls.bpf.h), or where what a fault has left in a
 * cache must be taken before the call adds to it. */
#if defined(__TARGET_ARCH_x86)
#define CALLS_ANNOUNCED RSS_HAS_CACHE
#else
#define CALLS_ANNOUNCED true
#endif

/* arch/x86/include/asm/segment.h: of a segment selector, not 0 for the user's */
#define SEGMENT_RPL 0x3

/* include/linux/sched.h */
#define PF_EXITING     0x00000004
#define PF_IO_WORKER   0x00000010
#define PF_USER_WORKER 0x00004000
#define PF_KTHREAD     0x00200000

/* arch/x86/include/asm/thread_info.h: in a 32-bit call */
#define TS_COMPAT 0x2

/* kernel/locking/rwsem.c: readers are counted above other bits */
#define RWSEM_READER_SHIFT 8

/* include/linux/mm.h: vm_flags that have a meaning in mmap(2)'s terms */
#define VM_READ	     0x1
#define VM_WRITE     0x2
#define VM_EXEC	     0x4
#define VM_MAYSHARE  0x80
#define VM_GROWSDOWN 0x100

#endif
