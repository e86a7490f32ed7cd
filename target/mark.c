/* SPDX-License-Identifier: GPL-2.0-only */
#include "mark.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char prefix[] = "heaptrace:";

void mark_make(struct mark *mark, const char *word, size_t size, unsigned int round, unsigned int thread)
{
	int len = snprintf(mark->text, sizeof(mark->text), "%s%s %zu", prefix, word, size);

	if (round)
		len += snprintf(mark->text + len, sizeof(mark->text) - (size_t)len, " #%u", round);
	if (thread)
		len += snprintf(mark->text + len, sizeof(mark->text) - (size_t)len, " @%u", thread);
	mark->len = (size_t)len;
}

void mark_make_word(struct mark *mark, const char *word)
{
	mark->len = (size_t)snprintf(mark->text, sizeof(mark->text), "%s%s", prefix, word);
}

const char *mark_name(const struct mark *mark)
{
	return mark->text + sizeof(prefix) - 1;
}

void mark_send(const struct mark *mark)
{
	/* It has to fail; the variable is for compilers that insist on the result. */
	ssize_t expected = write(-1, mark->text, mark->len);

	(void)expected;
}
