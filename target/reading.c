/* SPDX-License-Identifier: GPL-2.0-only */
#include "reading.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static const struct field {
	const char *label;
	size_t offset;
} fields[] = {
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

static int parse_line(const char *line, const char *end, struct reading *out)
{
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
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
		err = parse_line(text, eol, &reading);
		if (err < 0)
			return err;
		text = eol + 1;
	}
	if (reading.virt_bytes == READING_UNKNOWN || reading.rss_bytes == READING_UNKNOWN)
		return -EBADMSG;
	*out = reading;
	return 0;
}

int reading_open(void)
{
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int reading_take(int fd, char *buffer, struct reading *out)
{
	ssize_t len = pread(fd, buffer, READING_BUFFER_BYTES, 0);

	return len < 0 ? -errno : reading_parse(buffer, (size_t)len, out);
}
