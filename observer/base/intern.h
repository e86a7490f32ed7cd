/* SPDX-License-Identifier: GPL-2.0-only */
/* intern: strings that are kept for ever, each once, so that events may point to them as if they were literals. */
#ifndef HEAPTRACE_INTERN_H
#define HEAPTRACE_INTERN_H

/* The kept copy of @str. The store is bounded, as names may come from a hostile recording: when it is full, and on lack
 * of memory, new strings all become @fallback, which must be a literal. */
const char *intern(const char *str, const char *fallback);

#endif
