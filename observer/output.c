/* SPDX-License-Identifier: GPL-2.0-only */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *mend(int err)
{
	switch (err) {
	case ELOOP:
		return "it is a symbolic link, which is not followed: name the file itself, or - for standard output";
	case ENOENT:
		return "its folder does not exist: make it first";
	case EISDIR:
		return "it is a folder: name a file in it";
	default:
		return strerror(err);
	}
}

/* Opens a file that is there, or makes one and gives it to the user. The descriptor or -errno. */
static int file_open(const char *path, uid_t uid, gid_t gid)
{
	const int flags = O_WRONLY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY;
	int fd = open(path, flags | O_CREAT | O_EXCL, 0644);
	int err;

	if (fd < 0 && errno == EEXIST) {
		fd = open(path, flags);
		return fd < 0 ? -errno : fd;
	}
	if (fd < 0)
		return -errno;
	if (uid != geteuid() && fchown(fd, uid, gid)) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

/* Empties a file that is ours or that of the user we write for: what somebody else laid there would be theirs to read.
 * 0 or -errno. */
static int file_empty(int fd, uid_t uid)
{
	struct stat stat;

	if (fstat(fd, &stat))
		return -errno;
	if (!S_ISREG(stat.st_mode))
		return 0;
	if (stat.st_uid != uid && stat.st_uid != geteuid())
		return -EPERM;
	return ftruncate(fd, 0) ? -errno : 0;
}

int output_open(const char *path, uid_t uid, gid_t gid, FILE **ret_stream, struct diag *diag)
{
	FILE *stream;
	int fd, err;

	if (!path || !strcmp(path, "-")) {
		*ret_stream = path ? stdout : stderr;
		return 0;
	}
	fd = file_open(path, uid, gid);
	if (fd < 0)
		return diag_set(diag, fd, "cannot write to '%s': %s", path, mend(-fd));
	err = file_empty(fd, uid);
	if (err) {
		close(fd);
		return diag_set(
			diag, err, "cannot write to '%s': %s", path,
			err == -EPERM ? "it is a file of another user: remove it, or name another" : strerror(-err));
	}
	stream = fdopen(fd, "w");
	if (!stream) {
		close(fd);
		return diag_set(diag, -ENOMEM, "out of memory");
	}
	*ret_stream = stream;
	return 0;
}

int output_close(FILE *stream)
{
	int err = 0;

	if (fflush(stream) || ferror(stream))
		err = errno ? -errno : -EIO;
	if (stream != stderr && stream != stdout && fclose(stream) && !err)
		err = -errno;
	return err;
}
