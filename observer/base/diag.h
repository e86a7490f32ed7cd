/* SPDX-License-Identifier: GPL-2.0-only */
/* diag: the reason why something failed, on its way up to the one place that prints it. */
#ifndef HEAPTRACE_DIAG_H
#define HEAPTRACE_DIAG_H

/* A reason of one line: what is wrong and how to mend it. Zero-initialise before use. */
struct diag {
	char text[512];
};

/* Sets the reason unless one is set already (the first, innermost reason is the useful one). Control characters are
 * replaced by '?', as names from the target may be part of it. @diag may be NULL. Always returns @err, so that a caller
 * can write `return diag_set(diag, -ENOENT, ...)`. */
int diag_set(struct diag *diag, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
