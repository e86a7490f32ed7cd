/* SPDX-License-Identifier: GPL-2.0-only */
/* mark: a phase label that an observer of syscalls sees, and nobody else. */
#ifndef TARGET_MARK_H
#define TARGET_MARK_H

#include <stddef.h>

/* "heaptrace:", the word for the step, a size of 20 digits, " #" and round, " @" and thread. */
#define MARK_BYTES 96

struct mark {
	char text[MARK_BYTES]; /* "heaptrace:NAME", terminated */
	size_t len;
};

/* Builds the label "@word @size", then " #@round" where it is not 0, then " @@thread" where it is not 0. The work of
 * formatting is done here, so that mark_send is one syscall. */
void mark_make(struct mark *mark, const char *word, size_t size, unsigned int round, unsigned int thread);

/* Builds a label that is one word. */
void mark_make_word(struct mark *mark, const char *word);

/* NAME, without the prefix. Valid as long as @mark. */
const char *mark_name(const struct mark *mark);

/* write(2) of the label to descriptor -1: fails with EBADF, changes nothing. */
void mark_send(const struct mark *mark);

#endif
