/* SPDX-License-Identifier: GPL-2.0-only */
/* pen: text written to memory that was reserved for all of it (buf_reserve), without a look at each step. Each of these writes
 * at @at and returns where it ends. */
#ifndef HEAPTRACE_PEN_H
#define HEAPTRACE_PEN_H

#include <stdint.h>
#include <string.h>

/* The room that a number needs; what is behind its end may be written, too. */
#define PEN_NUMBER_BYTES 24

/* How many digits @value has in decimal. */
unsigned int pen_digits(uint64_t value);

/* Writes @value in decimal so that it ends before @end, with at most 20 digits. Returns where it begins. */
char *pen_decimal(char *end, uint64_t value);

/* Writes @value in decimal behind @sign (NUL: none), and before it blanks, so that it all is @width long at least: it needs room
 * for these besides. */
char *pen_column(char *at, uint64_t value, char sign, unsigned int width);

/* Writes @value, below a million, with six digits. */
char *pen_six(char *at, uint32_t value);

/* Writes a number in hex with a leading 0x. */
char *pen_hex(char *at, uint64_t value);

/* Writes a NUL-terminated string; the length of a literal is known to the compiler. */
static inline char *pen_str(char *at, const char *str)
{
	return mempcpy(at, str, strlen(str));
}

/* Writes a number in decimal. */
static inline char *pen_u64(char *at, uint64_t value)
{
	if (value < 10) { /* most are 0 */
		*at = (char)('0' + value);
		return at + 1;
	}
	at += pen_digits(value);
	pen_decimal(at, value);
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
