/* SPDX-License-Identifier: GPL-2.0-only */
/* json: members of JSON objects and elements of arrays, added to a buffer. Commas are set as needed. */
#ifndef HEAPTRACE_JSON_H
#define HEAPTRACE_JSON_H

#include "base/buf.h"
#include "base/escape.h"
#include "base/pen.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Begins a member: a comma where a value came before, and the key. What was written last tells: no string ends in an open
 * bracket, as its quote comes after. Inline, as most of a row is literal keys, whose lengths are then known. */
static inline void json_key(struct buf *buf, const char *key)
{
	size_t len = key ? strlen(key) : 0;
	char last = '\n', *at = buf_reserve(buf, len + sizeof(",\"\":"));

	if (!at)
		return;
	if (buf->len)
		last = buf->data[buf->len - 1];
	if (last != '{' && last != '[' && last != '\n')
		*at++ = ',';
	if (key) {
		*at++ = '"';
		memcpy(at, key, len);
		at += len;
		*at++ = '"';
		*at++ = ':';
	}
	*at = '\0';
	buf->len = (size_t)(at - buf->data);
}

/* Begin and end an object or an array. @key is a literal that needs no escaping, NULL within an array or on top. */
static inline void json_open_object(struct buf *buf, const char *key)
{
	json_key(buf, key);
	buf_add_char(buf, '{');
}

static inline void json_close_object(struct buf *buf)
{
	buf_add_char(buf, '}');
}

static inline void json_open_array(struct buf *buf, const char *key)
{
	json_key(buf, key);
	buf_add_char(buf, '[');
}

static inline void json_close_array(struct buf *buf)
{
	buf_add_char(buf, ']');
}

/* Add one value; @key as above. json_str() escapes, and writes null for NULL. */
static inline void json_str(struct buf *buf, const char *key, const char *value)
{
	json_key(buf, key);
	escape_json(buf, value);
}

static inline void json_bool(struct buf *buf, const char *key, bool value)
{
	json_key(buf, key);
	buf_add_str(buf, value ? "true" : "false");
}

/* Adds a member that is a number to an object that has a member already: key and comma are one literal, and there is one look
 * for room. */
#define json_next_u64(buf, key, value) json_number(buf, ",\"" key "\":", value)
#define json_next_i64(buf, key, value) json_signed(buf, ",\"" key "\":", value)

static inline void json_number(struct buf *buf, const char *before, uint64_t value)
{
	char *at = buf_reserve(buf, strlen(before) + PEN_NUMBER_BYTES);

	if (at)
		buf_end(buf, pen_u64(pen_str(at, before), value));
}

static inline void json_signed(struct buf *buf, const char *before, int64_t value)
{
	char *at = buf_reserve(buf, strlen(before) + PEN_NUMBER_BYTES);

	if (at)
		buf_end(buf, pen_i64(pen_str(at, before), value));
}

/* Numbers that may come first, or in an array. */
static inline void json_u64(struct buf *buf, const char *key, uint64_t value)
{
	json_key(buf, key);
	buf_add_u64(buf, value);
}

static inline void json_i64(struct buf *buf, const char *key, int64_t value)
{
	json_key(buf, key);
	buf_add_i64(buf, value);
}

static inline void json_null(struct buf *buf, const char *key)
{
	json_key(buf, key);
	buf_add(buf, "null", 4);
}

#endif
