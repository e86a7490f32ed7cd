/* SPDX-License-Identifier: GPL-2.0-only */
/* textstyle: how text for people is drawn: with or without UTF-8 and colour, in columns, in kB. */
#ifndef HEAPTRACE_TEXTSTYLE_H
#define HEAPTRACE_TEXTSTYLE_H

#include "base/buf.h"
#include "base/escape.h"

#include <stdbool.h>
#include <stdint.h>

/* Widths of the columns, the blanks before a number included: 2 TB are 2147483648 kB, and a change has a sign. */
#define COLUMN_KB    12u
#define COLUMN_COUNT 10

enum text_color { COLOR_NONE, COLOR_DIM, COLOR_BOLD, COLOR_GAIN, COLOR_GIVEN, COLOR_ERROR };

struct textstyle {
	enum escape_text escape; /* ESCAPE_UTF8 where the locale is one of UTF-8 */
	bool color;
	const char *rule;  /* one column of a horizontal line */
	const char *arrow; /* from a row to its caller */
};

/* The style for this locale (setlocale(3) is the caller's affair), with colour or without. */
void textstyle_init(struct textstyle *style, bool color);

/* Adds the start of @color, and its end: nothing where the style has no colour. */
void text_color(struct buf *buf, const struct textstyle *style, enum text_color color);
void text_color_end(struct buf *buf, const struct textstyle *style, enum text_color color);

/* Add a column of @width with @str at its left or right edge; @str is a literal of ASCII, never cut. */
void column_left(struct buf *buf, const char *str, unsigned int width);
void column_right(struct buf *buf, const char *str, unsigned int width);

/* Adds a number at the right edge of a column. */
void column_u64(struct buf *buf, uint64_t value, unsigned int width);

/* Adds a level of @bytes in kB = 1024 bytes at the right edge of a column. */
void column_kb(struct buf *buf, int64_t bytes, unsigned int width);

/* Adds a change of @bytes in kB with its sign, in colour by the sign where there is colour; "0" has none. */
void column_kb_change(struct buf *buf, const struct textstyle *style, int64_t bytes, unsigned int width);

/* Adds a time of @ns as seconds with 6 decimals at the right edge of a column. */
void column_seconds(struct buf *buf, int64_t ns, unsigned int width);

/* The columns that the text in @buf takes from byte @begin on, each character counted as one wide, colours as
 * nothing. */
size_t text_width(const struct buf *buf, size_t begin);

/* Add a size for running text: "2052 kB", or "1000 B" where it is no whole number of kB; a change with its sign. */
void text_size(struct buf *buf, uint64_t bytes);
void text_size_change(struct buf *buf, int64_t bytes);

#endif
