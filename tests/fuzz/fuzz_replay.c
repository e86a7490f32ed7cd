/* SPDX-License-Identifier: GPL-2.0-only */
/* Any bytes as a recording, through the model into every format. Beyond not crashing: a recording that is read to its end
 * and written again as a recording comes out the same when that one is read and written. */
#include "tests/unit/replay_run.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Makes a file without a name of the bytes; its path goes to @path. */
static int make_file(const void *data, size_t size, char path[static 64])
{
	int fd = memfd_create("recording", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, 64, "/proc/self/fd/%d", fd);
	return fd;
}

static char *write_format(const char *path, const char *format, int *ret_said, size_t *ret_len)
{
	struct diag diag = { { 0 } };
	char *text = NULL;
	struct report_options options = { .verbose = 1, .out = open_memstream(&text, ret_len) };

	if (!options.out)
		abort();
	*ret_said = replay_run(path, report_by_name(format), &options, &diag);
	fclose(options.out);
	return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int said, fd;
	size_t len, again_len;
	char path[64], *text, *again;

	fd = make_file(data, size, path);
	for (unsigned int i = 0; report_at(i); i++)
		free(write_format(path, report_at(i)->name, &said, &len));
	text = write_format(path, "recording", &said, &len);
	close(fd);
	if (said == -ENODATA) {
		fd = make_file(text, len, path);
		again = write_format(path, "recording", &said, &again_len);
		if (said != -ENODATA || len != again_len || memcmp(text, again, len) != 0)
			abort();
		close(fd);
		free(again);
	}
	free(text);
	return 0;
}
