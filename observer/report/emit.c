/* SPDX-License-Identifier: GPL-2.0-only */
#include "report/emit.h"

#include <errno.h>

int emit_text(FILE *out, struct buf *text)
{
	size_t len = text->len;

	if (buf_error(text))
		return buf_error(text);
	if (!len)
		return 0;
	errno = 0;
	if (fwrite(text->data, 1, len, out) != len)
		return errno ? -errno : -EIO;
	buf_reset(text);
	return 0;
}

int emit_finish(FILE *out)
{
	errno = 0;
	if (fflush(out) || ferror(out))
		return errno ? -errno : -EIO;
	return 0;
}
