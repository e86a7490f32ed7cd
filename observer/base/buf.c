/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/buf.h"

#include "base/pen.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define BUF_FIRST_CAP 256

char *buf_grow(struct buf *buf, size_t more)
{
	size_t need, cap;
	char *data;

	if (buf->err)
		return NULL;
	if (more >= SIZE_MAX / 2 - buf->len) {
		buf->err = -ENOMEM;
		return NULL;
	}
	need = buf->len + more + 1;
	cap = buf->cap ? buf->cap : BUF_FIRST_CAP;
	while (cap < need)
		cap *= 2;
	data = realloc(buf->data, cap);
	if (!data) {
		buf->err = -ENOMEM;
		return NULL;
	}
	buf->data = data;
	buf->cap = cap;
	return data + buf->len;
}

void buf_add_repeated(struct buf *buf, const char *str, size_t count)
{
	size_t len = strlen(str);

	if (len == 1) {
		char *at = buf_reserve(buf, count);

		if (!at)
			return;
		memset(at, str[0], count);
		at[count] = '\0';
		buf->len += count;
		return;
	}
	while (count--)
		buf_add(buf, str, len);
}

void buf_add_between(struct buf *buf, char before, const char *str, size_t len, char after)
{
	char *at = buf_reserve(buf, len + 2);

	if (!at)
		return;
	at[0] = before;
	memcpy(at + 1, str, len);
	at[len + 1] = after;
	at[len + 2] = '\0';
	buf->len += len + 2;
}

void buf_addf(struct buf *buf, const char *fmt, ...)
{
	va_list args;
	char *at;
	int len;

	va_start(args, fmt);
	len = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (len < 0)
		return;
	at = buf_reserve(buf, (size_t)len);
	if (!at)
		return;
	va_start(args, fmt);
	vsnprintf(at, (size_t)len + 1, fmt, args);
	va_end(args);
	buf->len += (size_t)len;
}

void buf_add_u64(struct buf *buf, uint64_t value)
{
	char *at = buf_reserve(buf, PEN_NUMBER_BYTES);

	if (at)
		buf_end(buf, pen_u64(at, value));
}

void buf_add_i64(struct buf *buf, int64_t value)
{
	char *at = buf_reserve(buf, PEN_NUMBER_BYTES);

	if (at)
		buf_end(buf, pen_i64(at, value));
}

void buf_add_hex(struct buf *buf, uint64_t value)
{
	char *at = buf_reserve(buf, PEN_NUMBER_BYTES);

	if (at)
		buf_end(buf, pen_hex(at, value));
}

void buf_reset(struct buf *buf)
{
	buf->len = 0;
	if (buf->data)
		buf->data[0] = '\0';
}

int buf_error(const struct buf *buf)
{
	return buf->err;
}

void buf_free(struct buf *buf)
{
	if (!buf)
		return;
	free(buf->data);
	memset(buf, 0, sizeof(*buf));
}
