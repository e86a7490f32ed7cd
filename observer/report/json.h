/* SPDX-License-Identifier: GPL-2.0-only */
/* json: members of JSON objects and elements of arrays, added to a buffer. Commas are set as needed. */
#ifndef HEAPTRACE_JSON_H
#define HEAPTRACE_JSON_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

/* Begin and end an object or an array. @key is a literal that needs no escaping, NULL within an array or on top. */
void json_open_object(struct buf *buf, const char *key);
void json_close_object(struct buf *buf);
void json_open_array(struct buf *buf, const char *key);
void json_close_array(struct buf *buf);

/* Add one value; @key as above. json_str() escapes, and writes null for NULL. */
void json_str(struct buf *buf, const char *key, const char *value);
void json_u64(struct buf *buf, const char *key, uint64_t value);
void json_i64(struct buf *buf, const char *key, int64_t value);
void json_bool(struct buf *buf, const char *key, bool value);
void json_null(struct buf *buf, const char *key);

#endif
