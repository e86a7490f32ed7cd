/* SPDX-License-Identifier: GPL-2.0-only */
#include "out.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int write_all(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t done = write(fd, text, len);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		text += done;
		len -= (size_t)done;
	}
	return 0;
}

int out_flush(struct out *out)
{
	if (out->err == 0)
		out->err = write_all(out->fd, out->text, out->len);
	out->len = 0;
	return out->err;
}

void out_printf(struct out *out, const char *fmt, ...)
{
	va_list args;
	int len;

	if (out->len > OUT_BYTES / 2)
		out_flush(out);
	va_start(args, fmt);
	len = vsnprintf(out->text + out->len, OUT_BYTES / 2, fmt, args);
	va_end(args);
	if (len > 0)
		out->len += (size_t)len < OUT_BYTES / 2 ? (size_t)len : OUT_BYTES / 2 - 1;
}

void out_complain(const char *fmt, ...)
{
	static const char prefix[] = "target: ";
	char line[1024];
	size_t len = sizeof(prefix) - 1;
	va_list args;
	int add;

	memcpy(line, prefix, len);
	va_start(args, fmt);
	add = vsnprintf(line + len, sizeof(line) - len, fmt, args);
	va_end(args);
	if (add > 0)
		len += (size_t)add < sizeof(line) - len ? (size_t)add : sizeof(line) - len - 1;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	line[len] = '\n'; /* in the place of the terminator */
	write_all(STDERR_FILENO, line, len + 1);
}
