/* SPDX-License-Identifier: GPL-2.0-only */
#include "report/json.h"

#include "base/escape.h"

#include <string.h>

void json_open_object(struct buf *buf, const char *key)
{
	json_key(buf, key);
	buf_add_char(buf, '{');
}

void json_close_object(struct buf *buf)
{
	buf_add_char(buf, '}');
}

void json_open_array(struct buf *buf, const char *key)
{
	json_key(buf, key);
	buf_add_char(buf, '[');
}

void json_close_array(struct buf *buf)
{
	buf_add_char(buf, ']');
}

void json_str(struct buf *buf, const char *key, const char *value)
{
	json_key(buf, key);
	escape_json(buf, value);
}

void json_bool(struct buf *buf, const char *key, bool value)
{
	json_key(buf, key);
	buf_add_str(buf, value ? "true" : "false");
}
