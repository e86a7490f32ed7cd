/* SPDX-License-Identifier: GPL-2.0-only */
#include "reading.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct field {
	const char *label;
	size_t offset;
};

static const struct field status_fields[] = {
	{ "VmSize:", offsetof(struct reading, virt_bytes) },	{ "VmRSS:", offsetof(struct reading, rss_bytes) },
	{ "RssAnon:", offsetof(struct reading, anon_bytes) },	{ "RssFile:", offsetof(struct reading, file_bytes) },
	{ "RssShmem:", offsetof(struct reading, shmem_bytes) }, { "VmSwap:", offsetof(struct reading, swap_bytes) },
};

/* "\t  1234 kB" up to @end. */
static int parse_kb(const char *at, const char *end, uint64_t *out_bytes)
{
	uint64_t value = 0;
	int digits = 0;

	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	for (; at < end && *at >= '0' && *at <= '9'; at++, digits++) {
		if (digits == 16) /* below 2^54 kB, so that bytes fit */
			return -EBADMSG;
		value = value * 10 + (uint64_t)(*at - '0');
	}
	if (digits == 0 || end - at != 3 || memcmp(at, " kB", 3) != 0)
		return -EBADMSG;
	*out_bytes = value * 1024;
	return 0;
}

static int parse_line(const struct field *fields, size_t count, const char *line, const char *end, struct reading *out)
{
	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(fields[i].label);

		if ((size_t)(end - line) > len && memcmp(line, fields[i].label, len) == 0)
			return parse_kb(line + len, end, (uint64_t *)((char *)out + fields[i].offset));
	}
	return 0;
}

int reading_parse(const char *text, size_t len, struct reading *out)
{
	struct reading reading;
	const char *end = text + len;

	memset(&reading, 0xff, sizeof(reading)); /* all READING_UNKNOWN */
	while (text < end) {
		const char *eol = memchr(text, '\n', (size_t)(end - text));
		int err;

		if (!eol)
			break; /* a line cut off by the buffer's end says nothing */
		err = parse_line(status_fields, sizeof(status_fields) / sizeof(status_fields[0]), text, eol, &reading);
		if (err < 0)
			return err;
		text = eol + 1;
	}
	if (reading.virt_bytes == READING_UNKNOWN || reading.rss_bytes == READING_UNKNOWN)
		return -EBADMSG;
	*out = reading;
	return 0;
}

/* Where status lags behind what is resident (kernels up to 6.1, and some up to 6.16), smaps_rollup has it; else -1. */
static int rollup_fd = -1;

int reading_parse_rollup(const char *text, size_t len, struct reading *out)
{
	static const struct field rollup_fields[] = {
		{ "Rss:", offsetof(struct reading, rss_bytes) },
		{ "Anonymous:", offsetof(struct reading, anon_bytes) },
		{ "Swap:", offsetof(struct reading, swap_bytes) },
	};
	const char *end = text + len;
	struct reading reading = *out;

	reading.rss_bytes = READING_UNKNOWN;
	for (const char *eol; text < end && (eol = memchr(text, '\n', (size_t)(end - text))); text = eol + 1) {
		int err = parse_line(rollup_fields, sizeof(rollup_fields) / sizeof(rollup_fields[0]), text, eol,
				     &reading);

		if (err < 0)
			return err;
	}
	if (reading.rss_bytes == READING_UNKNOWN)
		return -EBADMSG;
	/* It does not tell the two apart. */
	reading.file_bytes = reading.shmem_bytes = READING_UNKNOWN;
	*out = reading;
	return 0;
}

/* Whether status has pages as soon as they are touched, by touching some: fewer than counters that lag move at once; twice,
 * as such counters may move in one of two rounds. The reading may touch pages of its own. */
static bool status_follows(int fd, char *buffer)
{
	const size_t rounds = 2, pages = 7, page = (size_t)sysconf(_SC_PAGESIZE), bytes = rounds * pages * page;
	volatile char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct reading before, after;
	bool follows = true;

	if (memory == MAP_FAILED)
		return true;
	for (size_t round = 0; round < rounds && follows && !reading_take(fd, buffer, &before); round++) {
		for (size_t i = 0; i < pages; i++)
			memory[(round * pages + i) * page] = 1;
		if (!reading_take(fd, buffer, &after))
			follows = after.anon_bytes - before.anon_bytes >= pages * page;
	}
	munmap((void *)memory, bytes);
	return follows;
}

int reading_open(void)
{
	static char buffer[READING_BUFFER_BYTES];
	static bool tried;
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	struct reading warm;

	if (fd < 0)
		return -errno;
	if (!tried) {
		tried = true;
		reading_take(fd, buffer, &warm); /* brings what it needs into memory */
		if (!status_follows(fd, buffer))
			rollup_fd = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
	}
	return fd;
}

int reading_take(int fd, char *buffer, struct reading *out)
{
	ssize_t len = pread(fd, buffer, READING_BUFFER_BYTES, 0);
	struct reading reading;
	int err = len < 0 ? -errno : reading_parse(buffer, (size_t)len, &reading);

	if (!err && rollup_fd >= 0) {
		len = pread(rollup_fd, buffer, READING_BUFFER_BYTES, 0);
		err = len < 0 ? -errno : reading_parse_rollup(buffer, (size_t)len, &reading);
	}
	if (!err)
		*out = reading;
	return err;
}
