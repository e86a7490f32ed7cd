/* SPDX-License-Identifier: GPL-2.0-only */
/* emit: the way of finished text to its stream, with every error seen. */
#ifndef HEAPTRACE_EMIT_H
#define HEAPTRACE_EMIT_H

#include "base/buf.h"

#include <stdio.h>

/* Writes @text to @out and empties it. 0 or -errno; lack of memory while @text was made shows here. */
int emit_text(FILE *out, struct buf *text);

/* Flushes @out: the last word on whether all of it was written. 0 or -errno. */
int emit_finish(FILE *out);

#endif
