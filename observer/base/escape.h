/* SPDX-License-Identifier: GPL-2.0-only */
/* escape: strings from the target (process names, paths, marks, symbols) made safe for what they are written into.
 *
 * Such a string is any run of bytes. Characters that steer a terminal or reorder text (C0 and C1 controls, DEL, the
 * line and paragraph separators, the bidirectional controls) never come out as they are. */
#ifndef HEAPTRACE_ESCAPE_H
#define HEAPTRACE_ESCAPE_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How text for people is written. */
enum escape_text {
	ESCAPE_ASCII, /* all but printable ASCII becomes \xNN */
	ESCAPE_UTF8,  /* valid UTF-8 stays, except for what is said above */
};

/* Adds @str for a terminal or a text file: \n, \t, \r, \xNN a byte, and \\ for a backslash. */
void escape_text(struct buf *buf, const char *str, enum escape_text how);

/* The same in double quotes, with \" for a quote. */
void escape_quoted(struct buf *buf, const char *str, enum escape_text how);

/* Adds @str as a JSON string with its quotes, or null where @str is NULL. The output is always valid JSON and valid
 * UTF-8: each byte that is no part of valid UTF-8 becomes U+FFFD (JSON has no bytes; a recording keeps them). */
void escape_json(struct buf *buf, const char *str);

/* Adds @str as one word: all but printable ASCII, and of that space, '%', ',' and '=', becomes %NN. Lossless. */
void escape_word(struct buf *buf, const char *str);

/* Undoes escape_word() in place: @len bytes at @word become a NUL-terminated string. Its length, or -EINVAL where this is
 * nothing that escape_word() writes. word[len] must be writable. */
int64_t escape_word_undo(char *word, size_t len);

#endif
