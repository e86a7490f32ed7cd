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

#define TENS(n) (n), (n)*10, (n)*100, (n)*1000, (n)*10000
static const uint64_t tens[U64_DIGITS] = { TENS(1ull), TENS(100000ull), TENS(10000000000ull),
					   TENS(1000000000000000ull) };

unsigned int buf_digits(uint64_t value)
{
	/* 1233 / 4096 is the logarithm of 2: never more than they are, and at most one less. */
	unsigned int least = (64u - (unsigned int)__builtin_clzll(value | 1)) * 1233 >> 12;

	return least ? least + (value >= tens[least]) : 1;
}

char *buf_decimal(char *end, uint64_t value)
{
	static const char pairs[] =
		"0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849"
		"5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";

	for (; value >= 10000; value /= 10000) { /* two pairs that do not wait for each other */
		size_t four = value % 10000;

		end -= 4;
		memcpy(end, pairs + four / 100 * 2, 2);
		memcpy(end + 2, pairs + four % 100 * 2, 2);
	}
	if (value >= 100) {
		end -= 2;
		memcpy(end, pairs + value % 100 * 2, 2);
		value /= 100;
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
	char *at = buf_reserve(buf, U64_DIGITS), *end;

	if (!at)
		return;
	end = at + buf_digits(value);
	if (value < 10) /* most numbers of most outputs are 0 */
		*at = (char)('0' + value);
	else
		buf_decimal(end, value);
	*end = '\0';
	buf->len = (size_t)(end - buf->data);
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
	unsigned int digits = value ? (67u - (unsigned int)__builtin_clzll(value)) / 4 : 1;
	char *at = buf_reserve(buf, 2 + 16);

	if (!at)
		return;
	*at++ = '0';
	*at++ = 'x';
	for (char *to = at + digits; to > at; value >>= 4)
		*--to = "0123456789abcdef"[value & 15];
	at[digits] = '\0';
	buf->len += 2 + digits;
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
