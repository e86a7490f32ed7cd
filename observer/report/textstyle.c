/* SPDX-License-Identifier: GPL-2.0-only */
#include "report/textstyle.h"

#include "base/pen.h"

#include <langinfo.h>
#include <string.h>

#define KB	  1024
#define NS_PER_US 1000u
#define US_PER_S  1000000u

static const char *const color_starts[] = {
	[COLOR_NONE] = "",	   [COLOR_DIM] = "\033[2m",    [COLOR_BOLD] = "\033[1m",
	[COLOR_GAIN] = "\033[33m", [COLOR_GIVEN] = "\033[32m", [COLOR_ERROR] = "\033[31m",
};

void textstyle_init(struct textstyle *style, bool color)
{
	bool utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");

	*style = (struct textstyle){
		.escape = utf8 ? ESCAPE_UTF8 : ESCAPE_ASCII,
		.color = color,
		.rule = utf8 ? "─" : "-",
		.arrow = utf8 ? "←" : "<-",
	};
}

void text_color(struct buf *buf, const struct textstyle *style, enum text_color color)
{
	if (style->color)
		buf_add_str(buf, color_starts[color]);
}

void text_color_end(struct buf *buf, const struct textstyle *style, enum text_color color)
{
	if (style->color && color != COLOR_NONE)
		buf_add_str(buf, "\033[0m");
}

static void pad(struct buf *buf, size_t len, unsigned int width)
{
	if (len < width)
		buf_add_repeated(buf, " ", width - len);
}

void column_left(struct buf *buf, const char *str, unsigned int width)
{
	buf_add_str(buf, str);
	pad(buf, strlen(str), width);
}

void column_right(struct buf *buf, const char *str, unsigned int width)
{
	pad(buf, strlen(str), width);
	buf_add_str(buf, str);
}

static uint64_t magnitude(int64_t value)
{
	return value < 0 ? -(uint64_t)value : (uint64_t)value;
}

static void add_decimal(struct buf *buf, uint64_t value, char sign, unsigned int width)
{
	char *at = buf_reserve(buf, PEN_NUMBER_BYTES + width);

	if (at)
		buf_end(buf, pen_column(at, value, sign, width));
}

static char minus_of(int64_t value)
{
	return value < 0 ? '-' : '\0';
}

static char sign_of(int64_t change)
{
	if (change > 0)
		return '+';
	return minus_of(change);
}

void column_u64(struct buf *buf, uint64_t value, unsigned int width)
{
	add_decimal(buf, value, '\0', width);
}

void column_kb(struct buf *buf, int64_t bytes, unsigned int width)
{
	add_decimal(buf, magnitude(bytes) / KB, minus_of(bytes), width);
}

void column_kb_change(struct buf *buf, const struct textstyle *style, int64_t bytes, unsigned int width)
{
	enum text_color color = bytes > 0 ? COLOR_GAIN : bytes < 0 ? COLOR_GIVEN : COLOR_DIM;

	text_color(buf, style, color);
	add_decimal(buf, magnitude(bytes) / KB, sign_of(bytes), width);
	text_color_end(buf, style, color);
}

void column_seconds(struct buf *buf, int64_t ns, unsigned int width)
{
	const unsigned int fraction = sizeof(".000000") - 1;
	uint64_t us = magnitude(ns) / NS_PER_US;
	char *at = buf_reserve(buf, 2 * PEN_NUMBER_BYTES + width);

	if (!at)
		return;
	at = pen_column(at, us / US_PER_S, minus_of(ns), width > fraction ? width - fraction : 0);
	*at++ = '.';
	buf_end(buf, pen_six(at, us % US_PER_S));
}

/* The characters that the 8 bytes at @at are, without those that end in them: bytes in UTF-8 that begin with 10 go on with one. */
static size_t width_of_8(const char *at)
{
	const uint64_t ones = 0x0101010101010101u;
	uint64_t bytes, more;

	memcpy(&bytes, at, sizeof(bytes));
	more = bytes >> 7 & ~bytes >> 6 & ones;
	return 8 - (size_t)(more * ones >> 56);
}

size_t text_width(const struct buf *buf, size_t begin)
{
	size_t width = 0, at = begin;

	if (begin < buf->len && !memchr(buf->data + begin, '\033', buf->len - begin))
		for (; buf->len - at >= 8; at += 8)
			width += width_of_8(buf->data + at);
	for (; at < buf->len; at++) {
		/* A colour, up to its 'm'. */
		while (at < buf->len && buf->data[at] == '\033') {
			while (at < buf->len && buf->data[at] != 'm')
				at++;
			at++;
		}
		width += at < buf->len && ((unsigned char)buf->data[at] & 0xc0) != 0x80;
	}
	return width;
}

void text_size(struct buf *buf, uint64_t bytes)
{
	buf_add_u64(buf, bytes % KB ? bytes : bytes / KB);
	buf_add_str(buf, bytes % KB ? " B" : " kB");
}

void text_size_change(struct buf *buf, int64_t bytes)
{
	buf_add_str(buf, bytes < 0 ? "-" : "+");
	text_size(buf, magnitude(bytes));
}
