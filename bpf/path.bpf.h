/* SPDX-License-Identifier: GPL-2.0-only */
/* path: the path of an open file, read while it is open, so that a process may be gone before anyone asks. */
#ifndef HEAPTRACE_PATH_BPF_H
#define HEAPTRACE_PATH_BPF_H

#define PATH_DEPTH 48
#define PATH_NAME  256

struct path_walk {
	struct dentry *dentry;
	struct mount *mount;
	char *text;
	u32 len;
};

/* Takes one step up; returns 1 at the end. The structs of the kernel are read through locals: CO-RE relocates whole
 * access chains, and path_walk is no type of the kernel. */
static long path_step(u32 index, struct path_walk *walk)
{
	struct dentry *dentry = walk->dentry, *parent;
	struct mount *mount = walk->mount, *upper;
	u32 len = walk->len;
	long got;

	/* At the root of a mounted filesystem the walk goes on at its mount point. */
	if (dentry == BPF_CORE_READ(mount, mnt.mnt_root)) {
		upper = BPF_CORE_READ(mount, mnt_parent);
		if (upper == mount)
			return 1;
		walk->dentry = BPF_CORE_READ(mount, mnt_mountpoint);
		walk->mount = upper;
		return 0;
	}
	parent = BPF_CORE_READ(dentry, d_parent);
	if (parent == dentry || len > WIRE_TEXT - PATH_NAME)
		return 1;
	got = bpf_probe_read_kernel_str(walk->text + len, PATH_NAME, BPF_CORE_READ(dentry, d_name.name));
	if (got <= 0)
		return 1;
	walk->len = len + got;
	walk->dentry = parent;
	return 0;
}

struct path_text {
	char text[WIRE_TEXT];
};

/* Writes the components of the path of the file at the kernel's address @at to @out, leaf first, each with its NUL; returns
 * their length, 0 where there is no path. A path too long or too deep keeps its innermost components. */
__noinline u32 path_of_file(u64 at, struct path_text *out)
{
	struct file *file = (struct file *)at;
	struct path_walk walk = {};
	struct vfsmount *mnt;

	if (!file || !out)
		return 0;
	walk.text = out->text;
	walk.dentry = BPF_CORE_READ(file, f_path.dentry);
	mnt = BPF_CORE_READ(file, f_path.mnt);
	if (!walk.dentry || !mnt)
		return 0;
	walk.mount = (struct mount *)((char *)mnt - bpf_core_field_offset(struct mount, mnt));
	bpf_loop(PATH_DEPTH, path_step, &walk, 0);
	return walk.len & (2 * WIRE_TEXT - 1);
}

/* The address of the file behind @fd of the current task, 0 if there is none. */
static __always_inline u64 file_of_fd(u32 fd)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file *file = NULL;

	if (!table || fd >= BPF_CORE_READ(table, max_fds))
		return 0;
	bpf_probe_read_kernel(&file, sizeof(file), BPF_CORE_READ(table, fd) + fd);
	return (u64)file;
}

/* Sends the path of the file at @at ahead of the row it belongs to. */
__noinline int path_send(u64 at)
{
	struct file *file = (struct file *)at;
	struct scratch *scratch = scratch_get();
	u32 len;

	if (!scratch || !file)
		return 0;
	head_fill(&scratch->path.head, WIRE_PATH, 0);
	len = path_of_file(at, (struct path_text *)scratch->path.text);
	if (!len || len > WIRE_TEXT)
		return 0;
	scratch->path.text_len = len;
	scratch->path.reversed = 1;
	scratch->path.dev = BPF_CORE_READ(file, f_inode, i_sb, s_dev);
	scratch->path.inode = BPF_CORE_READ(file, f_inode, i_ino);
	if (ring_send(&scratch->path, offsetof(struct wire_path, text) + len))
		info_dropped();
	return 0;
}

/* The same for a path as it was given, at the address @at of the user or of the kernel. */
__noinline int path_send_text(u64 at, bool user)
{
	struct scratch *scratch = scratch_get();
	long len;

	if (!scratch)
		return 0;
	head_fill(&scratch->path.head, WIRE_PATH, 0);
	len = user ? bpf_probe_read_user_str(scratch->path.text, WIRE_TEXT, (const void *)at)
		   : bpf_probe_read_kernel_str(scratch->path.text, WIRE_TEXT, (const void *)at);
	if (len <= 0 || len > WIRE_TEXT)
		return 0;
	scratch->path.text_len = len;
	scratch->path.reversed = 0;
	scratch->path.dev = 0;
	scratch->path.inode = 0;
	if (ring_send(&scratch->path, offsetof(struct wire_path, text) + len))
		info_dropped();
	return 0;
}

#endif
