/* SPDX-License-Identifier: GPL-2.0-only */
#include "model/sym_wire.h"

#include <errno.h>
#include <string.h>

/* Before each frame; its strings follow, each with its NUL, or nothing where the length is 0. */
struct wire_frame {
	uint64_t offset;
	uint32_t line;
	uint16_t symbol_size, file_size; /* with the NUL */
	uint32_t inlined;
};

static uint16_t size_of(const char *str)
{
	return str ? (uint16_t)(strlen(str) + 1) : 0;
}

bool sym_wire_put(struct buf *packet, const struct sym_frame *frames, unsigned int count)
{
	size_t need = sizeof(count);

	for (unsigned int i = 0; i < count; i++)
		need += sizeof(struct wire_frame) + size_of(frames[i].symbol) + size_of(frames[i].file);
	if (need > SYM_PACKET_MAX - packet->len)
		return false;
	buf_add(packet, &count, sizeof(count));
	for (unsigned int i = 0; i < count; i++) {
		struct wire_frame frame = {
			.offset = frames[i].offset,
			.line = frames[i].line,
			.symbol_size = size_of(frames[i].symbol),
			.file_size = size_of(frames[i].file),
			.inlined = frames[i].inlined,
		};

		buf_add(packet, &frame, sizeof(frame));
		buf_add(packet, frames[i].symbol, frame.symbol_size);
		buf_add(packet, frames[i].file, frame.file_size);
	}
	return true;
}

/* Copies @size bytes at *@pos. False where there are not as many. */
static bool take(const char *packet, size_t len, size_t *pos, void *out, size_t size)
{
	if (size > len - *pos)
		return false;
	memcpy(out, packet + *pos, size);
	*pos += size;
	return true;
}

static bool take_string(const char *packet, size_t len, size_t *pos, size_t size, const char **out)
{
	const char *at = packet + *pos;

	*out = NULL;
	if (!size)
		return true;
	if (size > len - *pos || size < 2 || strnlen(at, size) != size - 1)
		return false;
	*out = at;
	*pos += size;
	return true;
}

int sym_wire_take(const char *packet, size_t len, size_t *pos, struct sym_frame out[SYM_FRAMES_MAX])
{
	unsigned int count;

	if (!take(packet, len, pos, &count, sizeof(count)) || count > SYM_FRAMES_MAX)
		return -EBADMSG;
	for (unsigned int i = 0; i < count; i++) {
		struct wire_frame frame;

		if (!take(packet, len, pos, &frame, sizeof(frame)))
			return -EBADMSG;
		out[i] = (struct sym_frame){ .offset = frame.offset, .line = frame.line, .inlined = frame.inlined };
		if (!take_string(packet, len, pos, frame.symbol_size, &out[i].symbol) ||
		    !take_string(packet, len, pos, frame.file_size, &out[i].file))
			return -EBADMSG;
	}
	return (int)count;
}
