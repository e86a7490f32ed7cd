/* SPDX-License-Identifier: GPL-2.0-only */
/* buf: a growable byte buffer. Zero-initialise before use; data is NUL-terminated from the first addition on.
 *
 * Lack of memory is remembered, not returned: additions after it do nothing, and the owner asks buf_error() once when
 * the text is complete. */
#ifndef HEAPTRACE_BUF_H
#define HEAPTRACE_BUF_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct buf {
	char *data; /* NULL before the first addition */
	size_t len; /* bytes, the final NUL left out */
	size_t cap;
	int err; /* 0 or -ENOMEM */
};

/* buf_reserve() for when there is no room yet. */
char *buf_grow(struct buf *buf, size_t more);

/* Makes room for @more bytes beyond the present ones (and a NUL) and returns where they go, or NULL on lack of memory.
 * The caller says by buf_end() how far it has written, or adds that to len. */
static inline char *buf_reserve(struct buf *buf, size_t more)
{
	if (!buf->err && more < buf->cap - buf->len)
		return buf->data + buf->len;
	return buf_grow(buf, more);
}

/* Has what was added end at @at, within what was reserved. */
static inline void buf_end(struct buf *buf, char *at)
{
	*at = '\0';
	buf->len = (size_t)(at - buf->data);
}

/* Adds @len bytes. */
static inline void buf_add(struct buf *buf, const void *data, size_t len)
{
	char *at = buf_reserve(buf, len);

	if (!at)
		return;
	if (len)
		memcpy(at, data, len);
	at[len] = '\0';
	buf->len += len;
}

/* Adds one byte. */
static inline void buf_add_char(struct buf *buf, char c)
{
	buf_add(buf, &c, 1);
}

/* Adds a NUL-terminated string. */
static inline void buf_add_str(struct buf *buf, const char *str)
{
	buf_add(buf, str, strlen(str));
}

/* Adds @count times the string @str. */
void buf_add_repeated(struct buf *buf, const char *str, size_t count);

/* Adds the @len bytes at @str between two others. */
void buf_add_between(struct buf *buf, char before, const char *str, size_t len, char after);

/* Adds text as printf does. */
void buf_addf(struct buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Add a number in decimal; in hex with a leading 0x. Much faster than buf_addf(): outputs write millions of them. */
void buf_add_u64(struct buf *buf, uint64_t value);
void buf_add_i64(struct buf *buf, int64_t value);
void buf_add_hex(struct buf *buf, uint64_t value);

/* Empties it and keeps its memory and its error. */
void buf_reset(struct buf *buf);

/* 0, or -ENOMEM where an addition failed since buf_free() or initialisation. */
int buf_error(const struct buf *buf);

/* Frees the memory and forgets the error: as new. NULL is legal. */
void buf_free(struct buf *buf);

#endif
