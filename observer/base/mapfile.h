/* SPDX-License-Identifier: GPL-2.0-only */
/* mapfile: the file behind a mapping of another process, opened for reading while that process lives: the very file that
 * is mapped, also where its name is deleted, belongs to another file by now, or lies in another mount namespace. */
#ifndef HEAPTRACE_MAPFILE_H
#define HEAPTRACE_MAPFILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/* A mapping, as far as it is known. */
struct mapfile {
	pid_t pid;
	uint64_t start, end;
	const char *path;    /* NULL: not known */
	uint64_t dev, inode; /* inode 0: neither is known */
	bool foreign;	     /* the process sees other files than we: @path means nothing to us */
	const int *fd;	     /* it is open already; NULL: it is not, that is known */
};

/* Opens it, or takes another descriptor of what is open: by /proc/PID/map_files, below /proc/PID/root, by its path, once the
 * process is gone, and by /proc/PID/exe. Only regular files are opened, and only the right one as far as that can be told. A
 * descriptor with *@ret_stat filled, or -errno. */
int mapfile_open(const struct mapfile *map, struct stat *ret_stat);

/* Whether @pid sees another root or other mounts than we: 0 or 1, or -errno where that cannot be told. */
int mapfile_foreign(pid_t pid);

#endif
