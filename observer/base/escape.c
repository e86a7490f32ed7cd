/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/escape.h"

#include <errno.h>
#include <string.h>

static const char hex_digits[] = "0123456789abcdef";

/* Decodes the UTF-8 character at @str: its length in bytes with its value in @ret_value, or 0 where the first byte begins
 * no valid one (overlong forms, surrogates and values above U+10FFFF are not valid). A NUL ends any sequence. */
static size_t decode_utf8(const unsigned char *str, uint32_t *ret_value)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint32_t value;
	size_t len;

	if (str[0] < 0x80) {
		*ret_value = str[0];
		return 1;
	}
	if (str[0] < 0xc2 || str[0] > 0xf4)
		return 0;
	len = str[0] < 0xe0 ? 2 : str[0] < 0xf0 ? 3 : 4;
	value = str[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((str[i] & 0xc0) != 0x80)
			return 0;
		value = value << 6 | (str[i] & 0x3fu);
	}
	if (value < least[len] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
		return 0;
	*ret_value = value;
	return len;
}

/* Characters that must not reach a terminal as they are. */
static bool is_steering(uint32_t value)
{
	return value < 0x20 || (value >= 0x7f && value <= 0x9f) || value == 0x61c || value == 0x200e ||
	       value == 0x200f || (value >= 0x2028 && value <= 0x202e) || (value >= 0x2066 && value <= 0x2069) ||
	       value == 0xfeff;
}

static void add_text_byte(struct buf *buf, unsigned char byte)
{
	static const char names[] = "tnvfr"; /* 9 to 13 */

	if (byte == '\t' || byte == '\n' || byte == '\r') {
		char named[2] = { '\\', names[byte - '\t'] };

		buf_add(buf, named, sizeof(named));
		return;
	}
	char escaped[4] = { '\\', 'x', hex_digits[byte >> 4], hex_digits[byte & 15] };

	buf_add(buf, escaped, sizeof(escaped));
}

/* Whether a byte is a character that stands for itself, in text and in JSON: printable, and neither quote nor backslash. */
static bool is_plain(unsigned char c)
{
	static const bool plain[256] = { [' ' ... '!'] = true, ['#' ... '['] = true, [']' ... '~'] = true };

	return plain[c];
}

static void add_text(struct buf *buf, const char *str, enum escape_text how, bool quoted)
{
	const unsigned char *at = (const unsigned char *)str, *plain;

	for (;;) {
		uint32_t value = 0;
		size_t len;

		for (plain = at; is_plain(*at); at++)
			;
		buf_add(buf, plain, (size_t)(at - plain));
		if (!*at)
			return;
		len = decode_utf8(at, &value);
		if (!len || is_steering(value) || (value >= 0x80 && how == ESCAPE_ASCII)) {
			for (size_t i = 0; i < (len ? len : 1); i++)
				add_text_byte(buf, at[i]);
		} else {
			if (value == '\\' || (quoted && value == '"'))
				buf_add_char(buf, '\\');
			buf_add(buf, at, len);
		}
		at += len ? len : 1;
	}
}

void escape_text(struct buf *buf, const char *str, enum escape_text how)
{
	add_text(buf, str, how, false);
}

void escape_quoted(struct buf *buf, const char *str, enum escape_text how)
{
	buf_add_char(buf, '"');
	add_text(buf, str, how, true);
	buf_add_char(buf, '"');
}

static void add_json_steering(struct buf *buf, uint32_t value)
{
	char escaped[6] = { '\\',
			    'u',
			    hex_digits[value >> 12 & 15],
			    hex_digits[value >> 8 & 15],
			    hex_digits[value >> 4 & 15],
			    hex_digits[value & 15] };

	buf_add(buf, escaped, sizeof(escaped));
}

void escape_json(struct buf *buf, const char *str)
{
	const unsigned char *at = (const unsigned char *)str, *plain;

	if (!str) {
		buf_add(buf, "null", 4);
		return;
	}
	while (is_plain(*at))
		at++;
	plain = (const unsigned char *)str;
	if (!*at) { /* as a rule */
		buf_add_between(buf, '"', str, (size_t)(at - plain), '"');
		return;
	}
	buf_add_char(buf, '"');
	while (*at) {
		uint32_t value = 0;
		size_t len;

		if (is_plain(*at)) {
			at++;
			continue;
		}
		len = decode_utf8(at, &value);

		if (len && !is_steering(value) && value != '"' && value != '\\') {
			at += len;
			continue;
		}
		buf_add(buf, plain, (size_t)(at - plain));
		if (!len)
			buf_add_str(buf, "\xef\xbf\xbd");
		else if (is_steering(value))
			add_json_steering(buf, value);
		else
			buf_add(buf, (char[]){ '\\', (char)value }, 2);
		at += len ? len : 1;
		plain = at;
	}
	buf_add(buf, plain, (size_t)(at - plain));
	buf_add_char(buf, '"');
}

static bool is_word_char(unsigned char c)
{
	return c > ' ' && c < 0x7f && c != '%' && c != ',' && c != '=';
}

void escape_word(struct buf *buf, const char *str)
{
	const unsigned char *at = (const unsigned char *)str, *plain = at;

	for (; *at; at++) {
		if (is_word_char(*at))
			continue;
		buf_add(buf, plain, (size_t)(at - plain));
		buf_add(buf, (char[]){ '%', hex_digits[*at >> 4], hex_digits[*at & 15] }, 3);
		plain = at + 1;
	}
	buf_add(buf, plain, (size_t)(at - plain));
}

static int hex_value(char c)
{
	const char *digit = c ? strchr(hex_digits, c) : NULL;

	return digit ? (int)(digit - hex_digits) : -EINVAL;
}

int64_t escape_word_undo(char *word, size_t len)
{
	size_t to = 0;

	for (size_t from = 0; from < len; from++) {
		int high, low;

		if (is_word_char((unsigned char)word[from])) {
			word[to++] = word[from];
			continue;
		}
		if (word[from] != '%' || len - from < 3)
			return -EINVAL;
		high = hex_value(word[from + 1]);
		low = hex_value(word[from + 2]);
		if (high < 0 || low < 0 || (!high && !low))
			return -EINVAL;
		word[to++] = (char)(high << 4 | low);
		from += 2;
	}
	word[to] = '\0';
	return (int64_t)to;
}
