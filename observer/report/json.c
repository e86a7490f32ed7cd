/* SPDX-License-Identifier: GPL-2.0-only */
#include "report/json.h"

#include "base/escape.h"

/* A comma where a value came before, and the key. What was written last tells: no string ends in an open bracket, as
 * its quote comes after. */
static void begin(struct buf *buf, const char *key)
{
	char last = '\n';

	if (buf->len)
		last = buf->data[buf->len - 1];
	if (last != '{' && last != '[' && last != '\n')
		buf_add_char(buf, ',');
	if (!key)
		return;
	buf_add_char(buf, '"');
	buf_add_str(buf, key);
	buf_add(buf, "\":", 2);
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
