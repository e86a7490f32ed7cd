/* SPDX-License-Identifier: GPL-2.0-only */
/* procfs: what /proc says of a process. Sizes are in bytes.
 *
 * The parsers are pure functions of bytes. The readers return -ESRCH for a process that is gone, also where it goes
 * between open and read, and -EACCES or -EPERM where the rights are missing. */
#ifndef HEAPTRACE_PROCFS_H
#define HEAPTRACE_PROCFS_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Memory of a process as status has it: VmSize, VmRSS, RssAnon, RssFile, RssShmem, VmSwap. */
struct procfs_mem {
	int64_t virt;
	int64_t rss;
	int64_t anon;
	int64_t file;
	int64_t shmem;
	int64_t swap;
};

struct procfs_status {
	pid_t tgid;
	pid_t ppid;
	pid_t tracer; /* 0: not traced */
	uid_t uid;    /* real */
	unsigned int threads;
	char state;    /* 'R', 'S', 'Z', ... */
	bool has_mm;   /* false: a zombie or a kernel thread; mem is all 0 */
	uint64_t hwm;  /* VmHWM: peak of VmRSS */
	uint64_t peak; /* VmPeak */
	struct procfs_mem mem;
};

struct procfs_rollup {
	int64_t rss;
	int64_t pss;
	int64_t anon;
	int64_t lazy_free;
	int64_t anon_huge;
	int64_t swap;
	int64_t locked;
};

struct procfs_stat {
	char comm[64]; /* as the kernel has it; may hold any byte but NUL */
	char state;
	pid_t ppid;
	uint64_t start_ticks; /* since boot: tells two users of one PID apart */
};

/* One line of maps. */
struct procfs_map {
	uint64_t start, end, offset;
	uint32_t prot; /* PROT_* */
	bool shared;
	uint64_t dev; /* as makedev(3) */
	uint64_t inode;
	const char *path; /* not NUL-terminated; newlines in it are \012, a deleted file ends in " (deleted)" */
	size_t path_len;  /* 0: anonymous */
};

/* Parses the text of status. 0, or -EBADMSG where it is none. */
int procfs_parse_status(const char *text, size_t len, struct procfs_status *out);

/* Parses the text of smaps_rollup. 0, or -EBADMSG. */
int procfs_parse_rollup(const char *text, size_t len, struct procfs_rollup *out);

/* Parses the text of stat. 0, or -EBADMSG. */
int procfs_parse_stat(const char *text, size_t len, struct procfs_stat *out);

/* Parses the line of maps at *@pos and moves *@pos behind it. 1 with @out filled, 0 at the end of the text, or -EBADMSG.
 * out->path points into @text. */
int procfs_parse_map(const char *text, size_t len, size_t *pos, struct procfs_map *out);

/* Replaces the content of @out by that of /proc/@pid/@name, up to 256 MiB (-EFBIG beyond). 0 or -errno. */
int procfs_read(pid_t pid, const char *name, struct buf *out);

/* Replaces the content of @out by the target of the link /proc/@pid/@name (exe, cwd, root, ns/pid). 0 or -errno. */
int procfs_link(pid_t pid, const char *name, struct buf *out);

/* Read and parse in one. 0, -ESRCH, or another -errno. */
int procfs_status(pid_t pid, struct procfs_status *out);
int procfs_rollup(pid_t pid, struct procfs_rollup *out);
int procfs_stat(pid_t pid, struct procfs_stat *out);

/* Whether status has every page at once. Where the kernel keeps parts of its counters apart and status leaves them out (some
 * kernels before 6.17), VmRSS lags behind by some pages a thread or a CPU. Tried out on this process, once. */
bool procfs_status_is_exact(void);

/* The file that procfs_mem takes VmRSS and its parts from: "status" or "smaps_rollup". */
const char *procfs_judge(void);

/* Memory of @pid now, exact: where status is not, rss, anon and swap are those of smaps_rollup (which has no files apart
 * from shared memory: then the split of the rest is that of status), else all is of status. 0; -ESRCH where it is gone; -ENODATA where it has no address space (zombie, kernel thread). */
int procfs_mem(pid_t pid, struct procfs_mem *out);

/* The process that thread @tid belongs to, or -errno. */
pid_t procfs_tgid(pid_t tid);

/* Opens the folder of @pid, which stays that of the same process though the number be used again. A descriptor or -errno. */
int procfs_open(pid_t pid);

/* Whether we may look into the memory of the process whose folder @dir_fd is, by the kernel's own rule, ptrace's
 * (PTRACE_MODE_READ): 0; -EACCES where not; -ESRCH where it is gone. */
int procfs_may_watch(int dir_fd);

/* The threads of @pid in ascending order, in an array that the caller frees. 0 or -errno. */
int procfs_tasks(pid_t pid, pid_t **ret_tids, size_t *ret_count);

/* Calls @fn for each line of maps as long as it returns 0; returns what it returned last, or -errno. The kernel writes
 * maps piecemeal: between two pieces the process may have changed its mappings. */
int procfs_maps(pid_t pid, int (*fn)(void *ctx, const struct procfs_map *map), void *ctx);

/* Where the mapping that @addr lies in begins, asked of maps open at @fd: as it is at that moment, and without a look at the
 * others. 0; -ENOENT where there is none; -ENOTTY where the kernel cannot be asked (before 6.11). */
int procfs_map_start(int fd, uint64_t addr, uint64_t *out);

/* The inode of our PID namespace; 0 where it is the machine's first one, or is not known. */
uint32_t procfs_pid_namespace(void);

#endif
