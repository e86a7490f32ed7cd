/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/ptrace_memory.h"

#include "base/procfs.h"
#include "source/ptrace_claims.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static size_t vm_read(pid_t tid, uint64_t addr, void *out, size_t len)
{
	struct iovec local = { out, len }, remote = { (void *)(uintptr_t)addr, len };
	ssize_t got = process_vm_readv(tid, &local, 1, &remote, 1, 0);

	return got > 0 ? (size_t)got : 0;
}

/* Where the bytes at an address come from. */
struct origin {
	uint64_t addr;
	uint64_t offset, dev, inode;
	pid_t tid;
	char path[PATH_MAX];
};

static int origin_find(void *ctx, const struct procfs_map *map)
{
	struct origin *origin = ctx;

	if (origin->addr >= map->end)
		return 0;
	if (origin->addr < map->start || !map->inode ||
	    snprintf(origin->path, sizeof(origin->path), "/proc/%d/root%.*s", (int)origin->tid, (int)map->path_len,
		     map->path) >= (int)sizeof(origin->path))
		return 1;
	origin->offset = map->offset + (origin->addr - map->start);
	origin->dev = map->dev;
	origin->inode = map->inode;
	return 1;
}

/* Reads from the file that is mapped at @addr, if it is still what its path leads to. */
static size_t file_read(pid_t tid, uint64_t addr, char *out, size_t len)
{
	struct origin origin = { .addr = addr, .tid = tid };
	struct stat status;
	ssize_t got = 0;
	int fd;

	if (procfs_maps(tid, origin_find, &origin) < 0 || !origin.inode)
		return 0;
	fd = open(origin.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return 0;
	if (!fstat(fd, &status) && S_ISREG(status.st_mode) && status.st_ino == origin.inode &&
	    status.st_dev == origin.dev)
		got = pread(fd, out, len, (off_t)origin.offset);
	close(fd);
	return got > 0 ? (size_t)got : 0;
}

size_t memory_peek(const struct ptrace_mm *mm, pid_t tid, uint64_t addr, char *out, size_t len)
{
	uint64_t size = mm->view.page_size;
	size_t done = 0;

	while (done < len && addr + done >= addr) {
		size_t part = (size_t)(size - (addr + done) % size), got;

		if (part > len - done)
			part = len - done;
		if (mm->pagemap_fd < 0 || claims_page(mm, addr + done) != PAGE_NONE)
			got = vm_read(tid, addr + done, out + done, part);
		else
			got = file_read(tid, addr + done, out + done, part);
		done += got;
		if (got < part)
			break;
	}
	return done;
}

char *memory_string(pid_t tid, uint64_t addr, uint64_t page_size)
{
	struct buf text = { 0 };
	bool ended = false;

	/* Page by page, as it may end before memory that is not there. */
	while (!ended && text.len < PATH_MAX) {
		size_t part = (size_t)(page_size - addr % page_size);
		char *at = buf_reserve(&text, part);
		size_t got = at ? vm_read(tid, addr, at, part) : 0;

		if (!got)
			break;
		ended = memchr(at, '\0', got);
		text.len += ended ? strlen(at) : got;
		addr += got;
	}
	if (ended)
		return text.data;
	buf_free(&text);
	return NULL;
}
