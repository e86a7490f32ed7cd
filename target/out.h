/* SPDX-License-Identifier: GPL-2.0-only */
/* out: buffered output by write(2) from a static buffer, as stdio would allocate from the heap under test. */
#ifndef TARGET_OUT_H
#define TARGET_OUT_H

#include <stddef.h>

#define OUT_BYTES 8192

struct out {
	int fd;
	int err; /* the first error, negative, or 0; further output is dropped */
	size_t len;
	char text[OUT_BYTES];
};

/* Appends formatted text; at most OUT_BYTES / 2 in one call, of which the rest is cut off. No %f. */
void out_printf(struct out *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Writes what is buffered. 0, or the first error since the beginning (-errno). */
int out_flush(struct out *out);

/* One line on stderr: "target: ", the text with '?' for control characters, a newline. */
void out_complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
