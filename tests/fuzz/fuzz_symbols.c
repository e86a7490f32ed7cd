/* SPDX-License-Identifier: GPL-2.0-only */
/* Any bytes as an object file, whose names are read by all ways that there are. The last 8 bytes are one of the addresses that
 * are asked for. */
#include "model/sym_reader.h"

#include "model/sym_demangle.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void find(struct sym_reader *reader, uint64_t offset)
{
	struct sym_frame frames[SYM_FRAMES_MAX];
	unsigned int count = sym_reader_find(reader, offset, frames);

	if (count > SYM_FRAMES_MAX)
		abort();
	for (unsigned int i = 0; i < count; i++) {
		if ((frames[i].symbol && strlen(frames[i].symbol) >= SYM_NAME_SIZE) ||
		    (frames[i].file && strlen(frames[i].file) >= SYM_FILE_SIZE) || frames[i].inlined != (i + 1 < count))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("object", MFD_CLOEXEC);
	struct sym_reader *reader;
	uint64_t addr;

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	reader = sym_reader_new(fd, NULL);
	if (!reader)
		abort();
	sym_reader_set_debug_root(reader, "/nonexistent");
	for (size_t at = 0; at < size; at += 1 + size / 16)
		find(reader, at);
	if (size >= sizeof(addr)) {
		memcpy(&addr, data + size - sizeof(addr), sizeof(addr));
		find(reader, addr);
	}
	sym_reader_free(reader);
	return 0;
}
