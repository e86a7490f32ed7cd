/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/mapfile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

/* What is no regular file may block at the open, or do something: it is not even opened for reading. */
#define OPEN_FLAGS (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

#define DELETED " (deleted)"

#ifndef BTRFS_SUPER_MAGIC
#define BTRFS_SUPER_MAGIC 0x9123683E
#endif

/* The kernel's own dev_t, as eBPF programs see it. */
static uint64_t kernel_dev(dev_t dev)
{
	return (uint64_t)major(dev) << 20 | minor(dev);
}

/* stat(2) tells another device than the mapping does where files of several layers or subvolumes are one file system. */
static bool device_differs_by_nature(int fd)
{
	struct statfs fs;

	return !fstatfs(fd, &fs) && (fs.f_type == OVERLAYFS_SUPER_MAGIC || fs.f_type == BTRFS_SUPER_MAGIC);
}

static bool is_the_one(const struct mapfile *map, int fd, const struct stat *st)
{
	if (!map->inode)
		return true;
	if (map->inode != st->st_ino)
		return false;
	return map->dev == st->st_dev || map->dev == kernel_dev(st->st_dev) || device_differs_by_nature(fd);
}

/* Opens @path if it is a regular file, by way of a descriptor that opens nothing yet. */
static int open_regular(const char *path, int *ret_fd, struct stat *ret_stat)
{
	char self[64];
	int fd, place = open(path, O_PATH | O_CLOEXEC);

	if (place < 0)
		return -errno;
	if (fstat(place, ret_stat) || !S_ISREG(ret_stat->st_mode)) {
		close(place);
		return -EINVAL;
	}
	snprintf(self, sizeof(self), "/proc/self/fd/%d", place);
	fd = open(self, OPEN_FLAGS);
	if (fd < 0)
		fd = -errno;
	close(place);
	if (fd < 0)
		return fd;
	*ret_fd = fd;
	return 0;
}

static int open_checked(const struct mapfile *map, const char *path, struct stat *ret_stat)
{
	int fd = -1, err = open_regular(path, &fd, ret_stat);

	if (err)
		return err;
	if (is_the_one(map, fd, ret_stat))
		return fd;
	close(fd);
	return -ESTALE;
}

/* Whether @link, an entry of map_files, is still about the file that was mapped: the number of a process that is gone may
 * be another's by now. */
static bool link_agrees(const struct mapfile *map, const char *link)
{
	char target[PATH_MAX + sizeof(DELETED)];
	ssize_t len;
	size_t path_len;

	if (map->inode || !map->path)
		return true;
	len = readlink(link, target, sizeof(target));
	if (len < 0 || (size_t)len >= sizeof(target))
		return false;
	target[len] = '\0';
	path_len = strlen(map->path);
	return !strncmp(target, map->path, path_len) && (!target[path_len] || !strcmp(target + path_len, DELETED));
}

/* By the name that it had, as the process sees it, or as we do. */
static int open_by_name(const struct mapfile *map, struct stat *ret_stat)
{
	char path[PATH_MAX + 64];
	int fd, len;

	if (!map->path || map->path[0] != '/')
		return -ENOENT;
	len = snprintf(path, sizeof(path), "/proc/%d/root%s", (int)map->pid, map->path);
	if (len < 0 || (size_t)len >= sizeof(path))
		return -ENAMETOOLONG;
	fd = open_checked(map, path, ret_stat);
	if (fd >= 0 || map->foreign)
		return fd;
	return open_checked(map, map->path, ret_stat);
}

static int open_again(int fd, struct stat *ret_stat)
{
	int again = fstat(fd, ret_stat) ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return again < 0 ? -errno : again;
}

int mapfile_open(const struct mapfile *map, struct stat *ret_stat)
{
	char path[96];
	int fd;

	if (map->fd)
		return open_again(*map->fd, ret_stat);
	if (!map->inode && (!map->path || map->path[0] != '/'))
		return -EINVAL;
	snprintf(path, sizeof(path), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, (int)map->pid, map->start, map->end);
	if (link_agrees(map, path)) {
		fd = open_checked(map, path, ret_stat);
		if (fd >= 0)
			return fd;
	}
	fd = open_by_name(map, ret_stat);
	if (fd >= 0 || !map->inode)
		return fd;
	/* map_files needs rights that we may not have; that of the program is one link to it. */
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)map->pid);
	return open_checked(map, path, ret_stat);
}

/* The identity of what /proc/@pid/@name leads to. */
static int identity(const char *pid, const char *name, struct stat *out)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%s/%s", pid, name);
	return stat(path, out) ? -errno : 0;
}

int mapfile_foreign(pid_t pid)
{
	static const char *const names[] = { "root", "ns/mnt" };
	struct stat theirs, ours;
	char number[16];

	snprintf(number, sizeof(number), "%d", (int)pid);
	for (unsigned int i = 0; i < 2; i++) {
		int err = identity(number, names[i], &theirs);

		if (!err)
			err = identity("self", names[i], &ours);
		if (err)
			return err;
		if (theirs.st_dev != ours.st_dev || theirs.st_ino != ours.st_ino)
			return 1;
	}
	return 0;
}
