/* SPDX-License-Identifier: GPL-2.0-only */
/* pen: text written to memory that was reserved for all of it (buf_reserve), without a look at each step. Each of these writes
 * at @at and returns where it ends. */
#ifndef HEAPTRACE_PEN_H
#define HEAPTRACE_PEN_H

#include "base/buf.h"

#include <stdint.h>
#include <string.h>

/* Writes a NUL-terminated string; the length of a literal is known to the compiler. */
static inline char *pen_str(char *at, const char *str)
{
	size_t len = strlen(str);

	memcpy(at, str, len);
	return at + len;
}

/* Writes a number in decimal, 20 digits at most. */
static inline char *pen_u64(char *at, uint64_t value)
{
	if (value < 10) { /* most are 0 */
		*at = (char)('0' + value);
		return at + 1;
	}
	at += buf_digits(value);
	buf_decimal(at, value);
	return at;
}

/* The same with a sign where it is negative. */
static inline char *pen_i64(char *at, int64_t value)
{
	if (value >= 0)
		return pen_u64(at, (uint64_t)value);
	*at = '-';
	return pen_u64(at + 1, -(uint64_t)value);
}

#endif
