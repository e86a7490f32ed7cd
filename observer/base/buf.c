/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define BUF_FIRST_CAP 256
#define U64_DIGITS    20

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

char *buf_decimal(char *end, uint64_t value)
{
	static const char pairs[] =
		"0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849"
		"5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";

	for (; value >= 100; value /= 100) {
		end -= 2;
		memcpy(end, pairs + value % 100 * 2, 2);
	}
	if (value < 10) {
		*--end = (char)('0' + value);
		return end;
	}
	end -= 2;
	memcpy(end, pairs + value * 2, 2);
	return end;
}

void buf_add_u64(struct buf *buf, uint64_t value)
{
	char digits[U64_DIGITS], *end = digits + sizeof(digits), *begin;

	if (value < 10) { /* most numbers of most outputs are 0 */
		buf_add_char(buf, (char)('0' + value));
		return;
	}
	begin = buf_decimal(end, value);
	buf_add(buf, begin, (size_t)(end - begin));
}

void buf_add_i64(struct buf *buf, int64_t value)
{
	uint64_t magnitude = (uint64_t)value;

	if (value < 0) {
		buf_add_char(buf, '-');
		magnitude = -magnitude;
	}
	buf_add_u64(buf, magnitude);
}

void buf_add_hex(struct buf *buf, uint64_t value)
{
	char digits[2 + 16];
	size_t first = sizeof(digits);

	do {
		digits[--first] = "0123456789abcdef"[value & 15];
		value >>= 4;
	} while (value);
	digits[--first] = 'x';
	digits[--first] = '0';
	buf_add(buf, digits + first, sizeof(digits) - first);
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
