/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/procfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_CHUNK	    4096
#define READ_MAX_BYTES	    (256u << 20)
#define LINK_MAX_BYTES	    4096 /* PATH_MAX: the kernel gives no more */
#define PATH_BYTES	    64
#define FIRST_PID_NAMESPACE 0xeffffffcu /* PROC_PID_INIT_INO, include/linux/proc_ns.h */

/* A name under /proc may vanish at any moment; each way it shows is the same to us. */
static int vanished_or(int err)
{
	return err == ENOENT ? -ESRCH : -err;
}

static int proc_path(pid_t pid, const char *name, char out[static PATH_BYTES])
{
	int len = snprintf(out, PATH_BYTES, "/proc/%d/%s", (int)pid, name);

	return len < 0 || len >= PATH_BYTES ? -ENAMETOOLONG : 0;
}

int procfs_read(pid_t pid, const char *name, struct buf *out)
{
	char path[PATH_BYTES];
	ssize_t got;
	int fd, err;

	err = proc_path(pid, name, path);
	if (err)
		return err;
	buf_reset(out);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return vanished_or(errno);
	do {
		char *at = buf_reserve(out, READ_CHUNK);

		if (!at) {
			err = -ENOMEM;
			break;
		}
		got = read(fd, at, READ_CHUNK);
		if (got > 0)
			out->len += (size_t)got;
		else if (got < 0 && errno != EINTR)
			err = vanished_or(errno);
		if (out->len > READ_MAX_BYTES)
			err = -EFBIG;
	} while (!err && got);
	close(fd);
	if (!err)
		out->data[out->len] = '\0';
	return err;
}

int procfs_link(pid_t pid, const char *name, struct buf *out)
{
	char path[PATH_BYTES], *at;
	ssize_t got;
	int err = proc_path(pid, name, path);

	if (err)
		return err;
	buf_reset(out);
	at = buf_reserve(out, LINK_MAX_BYTES);
	if (!at)
		return -ENOMEM;
	got = readlink(path, at, LINK_MAX_BYTES);
	if (got < 0)
		return vanished_or(errno);
	out->len = (size_t)got;
	out->data[out->len] = '\0';
	return 0;
}

static int compare_tids(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return (x > y) - (x < y);
}

static int read_tids(DIR *dir, pid_t **tids, size_t *count)
{
	size_t cap = 0;
	struct dirent *entry;

	for (errno = 0; (entry = readdir(dir)); errno = 0) {
		int tid = atoi(entry->d_name);

		if (tid <= 0)
			continue;
		if (*count == cap) {
			pid_t *more;

			cap = cap ? cap * 2 : 16;
			more = reallocarray(*tids, cap, sizeof(**tids));
			if (!more)
				return -ENOMEM;
			*tids = more;
		}
		(*tids)[(*count)++] = tid;
	}
	return errno ? vanished_or(errno) : 0;
}

int procfs_open(pid_t pid)
{
	char path[PATH_BYTES];
	int fd, err = proc_path(pid, "", path);

	if (err)
		return err;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? vanished_or(errno) : fd;
}

int procfs_may_watch(int dir_fd)
{
	char none[1];

	/* Not by opening maps or mem: since 6.15 CAP_PERFMON alone allows the one, and yama forbids the other. */
	if (readlinkat(dir_fd, "cwd", none, sizeof(none)) < 0)
		return errno == EPERM ? -EACCES : vanished_or(errno);
	return 0;
}

int procfs_tasks(pid_t pid, pid_t **ret_tids, size_t *ret_count)
{
	char path[PATH_BYTES];
	pid_t *tids = NULL;
	size_t count = 0;
	DIR *dir;
	int err;

	err = proc_path(pid, "task", path);
	if (err)
		return err;
	dir = opendir(path);
	if (!dir)
		return vanished_or(errno);
	err = read_tids(dir, &tids, &count);
	closedir(dir);
	if (!err && !count)
		err = -ESRCH;
	if (err) {
		free(tids);
		return err;
	}
	qsort(tids, count, sizeof(*tids), compare_tids);
	*ret_tids = tids;
	*ret_count = count;
	return 0;
}

int procfs_status(pid_t pid, struct procfs_status *out)
{
	struct buf text = { 0 };
	int err = procfs_read(pid, "status", &text);

	if (!err)
		err = procfs_parse_status(text.data, text.len, out);
	buf_free(&text);
	return err;
}

int procfs_rollup(pid_t pid, struct procfs_rollup *out)
{
	struct buf text = { 0 };
	int err = procfs_read(pid, "smaps_rollup", &text);

	if (!err)
		err = procfs_parse_rollup(text.data, text.len, out);
	buf_free(&text);
	return err;
}

int procfs_stat(pid_t pid, struct procfs_stat *out)
{
	struct buf text = { 0 };
	int err = procfs_read(pid, "stat", &text);

	if (!err)
		err = procfs_parse_stat(text.data, text.len, out);
	buf_free(&text);
	return err;
}

/* Touches some pages, fewer than counters that lag move at once, and looks whether status says so; twice, as such counters
 * may move in one of two rounds. The reading may touch pages of its own. */
static bool status_follows(void)
{
	const size_t rounds = 2, pages = 7, page = (size_t)sysconf(_SC_PAGESIZE), bytes = rounds * pages * page;
	struct procfs_status before, after;
	volatile char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool follows = true;

	if (memory == MAP_FAILED)
		return true;
	madvise((void *)memory, bytes, MADV_NOHUGEPAGE);
	for (size_t round = 0; round < rounds && follows && !procfs_status(getpid(), &before); round++) {
		for (size_t i = 0; i < pages; i++)
			memory[(round * pages + i) * page] = 1;
		if (!procfs_status(getpid(), &after))
			follows = after.mem.anon - before.mem.anon >= (int64_t)(pages * page);
	}
	munmap((void *)memory, bytes);
	return follows;
}

bool procfs_status_is_exact(void)
{
	static int exact = -1;
	struct procfs_status warm;

	if (exact < 0) {
		procfs_status(getpid(), &warm); /* brings what it needs into memory */
		exact = status_follows();
	}
	return exact;
}

const char *procfs_judge(void)
{
	return procfs_status_is_exact() ? "status" : "smaps_rollup";
}

int procfs_mem(pid_t pid, struct procfs_mem *out)
{
	struct procfs_rollup rollup;
	struct procfs_status status;
	int err = procfs_status(pid, &status);

	if (err)
		return err;
	if (!status.has_mm)
		return -ENODATA;
	if (!procfs_status_is_exact()) {
		err = procfs_rollup(pid, &rollup);
		if (err)
			return err;
		status.mem.rss = rollup.rss;
		status.mem.anon = rollup.anon;
		status.mem.swap = rollup.swap;
		if (status.mem.shmem > rollup.rss - rollup.anon)
			status.mem.shmem = rollup.rss - rollup.anon;
		status.mem.file = rollup.rss - rollup.anon - status.mem.shmem;
	}
	*out = status.mem;
	return 0;
}

pid_t procfs_tgid(pid_t tid)
{
	struct procfs_status status;
	int err = procfs_status(tid, &status);

	return err ? err : status.tgid;
}

int procfs_maps(pid_t pid, int (*fn)(void *ctx, const struct procfs_map *map), void *ctx)
{
	struct procfs_map map;
	struct buf text = { 0 };
	size_t pos = 0;
	int ret = procfs_read(pid, "maps", &text);

	while (!ret) {
		int got = procfs_parse_map(text.data, text.len, &pos, &map);

		if (got <= 0) {
			ret = got;
			break;
		}
		ret = fn(ctx, &map);
	}
	buf_free(&text);
	return ret;
}

/* struct procmap_query and PROCMAP_QUERY of linux/fs.h, which older headers do not have. */
struct map_query {
	uint64_t size, flags, addr;
	uint64_t start, end, vma_flags, page_size, offset, inode;
	uint32_t dev_major, dev_minor, name_size, build_id_size;
	uint64_t name, build_id;
};

#define MAP_QUERY _IOWR('f', 17, struct map_query)

int procfs_map_start(int fd, uint64_t addr, uint64_t *out)
{
	struct map_query query = { .size = sizeof(query), .addr = addr };

	if (ioctl(fd, MAP_QUERY, &query) < 0)
		return -errno;
	*out = query.start;
	return 0;
}

uint32_t procfs_pid_namespace(void)
{
	struct stat status;

	if (stat("/proc/self/ns/pid", &status) || status.st_ino == FIRST_PID_NAMESPACE)
		return 0;
	return (uint32_t)status.st_ino;
}
