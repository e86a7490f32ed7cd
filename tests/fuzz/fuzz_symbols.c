/* SPDX-License-Identifier: GPL-2.0-only */
/* Any bytes as an object file, whose names are read by all ways that there are; as a compiler's list of names; as a mangled
 * name; and as an answer of the process that reads such files. The first 8 bytes say which address is asked for. */
#include "base/buf.h"
#include "model/jitmap.h"
#include "model/sym_demangle.h"
#include "model/sym_wire.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_frames(const struct sym_frame *frames, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		if ((frames[i].symbol && strlen(frames[i].symbol) >= SYM_NAME_SIZE) ||
		    (frames[i].file && strlen(frames[i].file) >= SYM_FILE_SIZE))
			abort();
	}
}

static void as_object(const uint8_t *data, size_t size, uint64_t offset)
{
	struct sym_frame frames[SYM_FRAMES_MAX];
	int fd = memfd_create("object", MFD_CLOEXEC);
	struct sym_reader *reader;

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	reader = sym_reader_new(fd, NULL);
	if (!reader)
		abort();
	check_frames(frames, sym_reader_find(reader, offset % (size + 1), frames));
	check_frames(frames, sym_reader_find(reader, offset, frames));
	for (size_t at = 0; at < size && at < 1 << 16; at += 1 + size / 16)
		check_frames(frames, sym_reader_find(reader, at, frames));
	sym_reader_free(reader);
}

static void as_jitmap(const uint8_t *data, size_t size, uint64_t addr)
{
	struct jitmap *jitmap = jitmap_new_empty();
	uint64_t offset;

	if (!jitmap)
		abort();
	if (jitmap_parse(jitmap, (const char *)data, size) > (ssize_t)size)
		abort();
	(void)jitmap_find(jitmap, addr, 0, &offset);
	jitmap_free(jitmap);
}

static void as_name(const uint8_t *data, size_t size)
{
	char name[4096], out[SYM_NAME_SIZE];

	if (size >= sizeof(name))
		return;
	memcpy(name, data, size);
	name[size] = '\0';
	memset(out, 'x', sizeof(out));
	sym_demangle(name, out);
	if (!memchr(out, '\0', sizeof(out)))
		abort();
}

static void as_answer(const uint8_t *data, size_t size)
{
	struct sym_frame frames[SYM_FRAMES_MAX];
	struct buf packet = { 0 };
	size_t pos = 0;
	int count;

	while ((count = sym_wire_take((const char *)data, size, &pos, frames)) >= 0 && pos < size) {
		buf_reset(&packet);
		(void)sym_wire_put(&packet, frames, (unsigned int)count);
	}
	buf_free(&packet);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t addr;

	if (size < sizeof(addr) || size > 1 << 20)
		return 0;
	memcpy(&addr, data, sizeof(addr));
	data += sizeof(addr);
	size -= sizeof(addr);
	as_object(data, size, addr);
	as_jitmap(data, size, addr);
	as_name(data, size);
	as_answer(data, size);
	return 0;
}
