/* SPDX-License-Identifier: GPL-2.0-only */
/* Any bytes as the files of /proc, which hold names that the target has chosen. */
#include "base/procfs.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct procfs_rollup rollup;
	struct procfs_status status;
	struct procfs_stat stat;
	struct procfs_map map;
	size_t pos = 0, before = 0;

	(void)procfs_parse_status(text, size, &status);
	(void)procfs_parse_rollup(text, size, &rollup);
	(void)procfs_parse_stat(text, size, &stat);
	while (procfs_parse_map(text, size, &pos, &map) == 1) {
		/* Each call moves on, and a path lies within the text. */
		if (pos <= before || pos > size || map.path < text || map.path + map.path_len > text + size)
			abort();
		before = pos;
	}
	return 0;
}
