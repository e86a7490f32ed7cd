/* SPDX-License-Identifier: GPL-2.0-only */
#include "model/jitmap.h"

#include "base/procfs.h"
#include "base/search.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NAME_MAX_LEN 511
#define READ_CHUNK   (256u << 10)

/* Functions may have been put over older ones: so many before an address are tried. */
#define OVERLAP_MAX 16

struct function {
	uint64_t start, end;
	uint64_t order; /* of its line */
	char *name;
};

struct jitmap {
	int root;      /* of the process */
	int fd;	       /* of the file, -1 while there is none */
	char name[48]; /* of the file, below the root */
	pid_t pid;
	uid_t uid;  /* of the process, as it was last seen */
	off_t read; /* bytes that were taken */
	struct function *functions;
	size_t count, size, sorted; /* the first @sorted ones are in order */
	size_t bytes;
	uint64_t lines;
};

struct jitmap *jitmap_new_empty(void)
{
	struct jitmap *jitmap = calloc(1, sizeof(*jitmap));

	if (jitmap)
		jitmap->root = jitmap->fd = -1;
	return jitmap;
}

/* Whose the process is now; where it is gone, what was known stays. */
static bool read_owner(struct jitmap *jitmap)
{
	char path[32];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d", (int)jitmap->pid);
	if (stat(path, &st))
		return false;
	jitmap->uid = st.st_uid;
	return true;
}

/* The number that @pid has in its own namespace: the last one of NSpid. */
static int own_number(pid_t pid, unsigned int *out)
{
	struct buf status = { 0 };
	const char *at;
	int err = procfs_read(pid, "status", &status);

	at = err ? NULL : strstr(status.data, "\nNSpid:");
	if (at) {
		for (at += strlen("\nNSpid:"); *at == '\t' || *at == ' ';)
			*out = (unsigned int)strtoul(at, (char **)&at, 10);
	} else if (!err) {
		*out = (unsigned int)pid;
	}
	buf_free(&status);
	return err;
}

struct jitmap *jitmap_new(pid_t pid)
{
	struct jitmap *jitmap = jitmap_new_empty();
	unsigned int number = 0;
	char path[32];

	if (!jitmap)
		return NULL;
	jitmap->pid = pid;
	snprintf(path, sizeof(path), "/proc/%d/root", (int)pid);
	jitmap->root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (jitmap->root < 0 || !read_owner(jitmap) || own_number(pid, &number)) {
		jitmap_free(jitmap);
		return NULL;
	}
	snprintf(jitmap->name, sizeof(jitmap->name), "tmp/perf-%u.map", number);
	return jitmap;
}

void jitmap_free(struct jitmap *jitmap)
{
	if (!jitmap)
		return;
	for (size_t i = 0; i < jitmap->count; i++)
		free(jitmap->functions[i].name);
	free(jitmap->functions);
	if (jitmap->fd >= 0)
		close(jitmap->fd);
	if (jitmap->root >= 0)
		close(jitmap->root);
	free(jitmap);
}

size_t jitmap_bytes(const struct jitmap *jitmap)
{
	return jitmap->bytes;
}

/* Opens the file, if there is one that is the process's own and nothing else. */
static bool open_file(struct jitmap *jitmap)
{
	struct open_how how = {
		.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	struct stat st;
	int fd;

	if (jitmap->fd >= 0)
		return true;
	fd = jitmap->root < 0 ? -1 : (int)syscall(SYS_openat2, jitmap->root, jitmap->name, &how, sizeof(how));
	if (fd < 0)
		return false;
	(void)read_owner(jitmap);
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_nlink != 1 || st.st_uid != jitmap->uid) {
		close(fd);
		return false;
	}
	jitmap->fd = fd;
	return true;
}

static bool take_hex(const char **at, const char *end, uint64_t *out)
{
	const char *begin;
	uint64_t value = 0;

	if (end - *at > 2 && (*at)[0] == '0' && (*at)[1] == 'x')
		*at += 2;
	for (begin = *at; *at < end && *at - begin < 16; (*at)++) {
		char c = **at;

		if (c >= '0' && c <= '9')
			value = value << 4 | (uint64_t)(c - '0');
		else if ((c | 32) >= 'a' && (c | 32) <= 'f')
			value = value << 4 | (uint64_t)((c | 32) - 'a' + 10);
		else
			break;
	}
	*out = value;
	if (*at == begin || *at == end || **at != ' ')
		return false;
	++*at;
	return true;
}

/* One line; what is none of this format is passed over. 0 or -ENOMEM. */
static int parse_line(struct jitmap *jitmap, const char *at, const char *end)
{
	struct function function = { .order = jitmap->lines++ };
	uint64_t bytes;
	size_t len;

	if (!take_hex(&at, end, &function.start) || !take_hex(&at, end, &bytes) || at == end || !bytes ||
	    bytes > UINT64_MAX - function.start || jitmap->count >= JITMAP_FUNCTIONS_MAX)
		return 0;
	function.end = function.start + bytes;
	if (jitmap->count == jitmap->size) {
		size_t size = jitmap->size ? jitmap->size * 2 : 256;
		struct function *more = reallocarray(jitmap->functions, size, sizeof(*more));

		if (!more)
			return -ENOMEM;
		jitmap->functions = more;
		jitmap->size = size;
	}
	len = (size_t)(end - at);
	function.name = strndup(at, len < NAME_MAX_LEN ? len : NAME_MAX_LEN);
	if (!function.name)
		return -ENOMEM;
	jitmap->functions[jitmap->count++] = function;
	jitmap->bytes += sizeof(function) + strlen(function.name) + 1;
	return 0;
}

ssize_t jitmap_parse(struct jitmap *jitmap, const char *text, size_t len)
{
	const char *at = text, *end = text + len, *newline;

	while (at < end && (newline = memchr(at, '\n', (size_t)(end - at)))) {
		if (parse_line(jitmap, at, newline))
			return -ENOMEM;
		at = newline + 1;
	}
	return at - text;
}

/* Takes what the file has got since the last time. */
static void read_more(struct jitmap *jitmap, size_t bytes_max)
{
	char *chunk;
	struct stat st;
	ssize_t got;

	if (!open_file(jitmap) || fstat(jitmap->fd, &st) || st.st_size <= jitmap->read)
		return;
	chunk = malloc(READ_CHUNK);
	while (chunk && (size_t)jitmap->read < JITMAP_BYTES_MAX && jitmap->bytes < bytes_max) {
		got = pread(jitmap->fd, chunk, READ_CHUNK, jitmap->read);
		/* A line that fills the chunk is none. */
		got = got > 0 ? jitmap_parse(jitmap, chunk, (size_t)got) : 0;
		if (got <= 0)
			break;
		jitmap->read += got;
	}
	free(chunk);
}

static int compare(const void *a, const void *b)
{
	const struct function *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return (x->order > y->order) - (x->order < y->order);
}

static const struct function *find(struct jitmap *jitmap, uint64_t addr)
{
	const struct function *found = NULL;
	size_t low;

	if (jitmap->sorted < jitmap->count)
		qsort(jitmap->functions, jitmap->count, sizeof(*jitmap->functions), compare);
	jitmap->sorted = jitmap->count;
	low = SEARCH_ABOVE(jitmap->functions, jitmap->count, start, addr);
	for (unsigned int i = 0; low && i < OVERLAP_MAX; i++) {
		const struct function *function = &jitmap->functions[--low];

		if (addr < function->end && (!found || function->order > found->order))
			found = function;
	}
	return found;
}

const char *jitmap_find(struct jitmap *jitmap, uint64_t addr, size_t bytes_max, uint64_t *ret_offset)
{
	const struct function *function;

	read_more(jitmap, bytes_max);
	function = find(jitmap, addr);
	if (!function)
		return NULL;
	*ret_offset = addr - function->start;
	return function->name;
}
