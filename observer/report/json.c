/* SPDX-License-Identifier: GPL-2.0-only */
#include "report/json.h"

#include "base/escape.h"

#include <string.h>

/* A comma where a value came before, and the key. What was written last tells: no string ends in an open bracket, as
 * its quote comes after. */
static void begin(struct buf *buf, const char *key)
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

void json_open_object(struct buf *buf, const char *key)
{
	begin(buf, key);
	buf_add_char(buf, '{');
}

void json_close_object(struct buf *buf)
{
	buf_add_char(buf, '}');
}

void json_open_array(struct buf *buf, const char *key)
{
	begin(buf, key);
	buf_add_char(buf, '[');
}

void json_close_array(struct buf *buf)
{
	buf_add_char(buf, ']');
}

void json_str(struct buf *buf, const char *key, const char *value)
{
	begin(buf, key);
	escape_json(buf, value);
}

void json_u64(struct buf *buf, const char *key, uint64_t value)
{
	begin(buf, key);
	buf_add_u64(buf, value);
}

void json_i64(struct buf *buf, const char *key, int64_t value)
{
	begin(buf, key);
	buf_add_i64(buf, value);
}

void json_bool(struct buf *buf, const char *key, bool value)
{
	begin(buf, key);
	buf_add_str(buf, value ? "true" : "false");
}

void json_null(struct buf *buf, const char *key)
{
	begin(buf, key);
	buf_add(buf, "null", 4);
}
