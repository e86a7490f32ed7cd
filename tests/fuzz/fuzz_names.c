/* SPDX-License-Identifier: GPL-2.0-only */
/* Any bytes as a mangled name, and as an answer of the process that reads symbols. */
#include "base/buf.h"
#include "model/sym_demangle.h"
#include "model/sym_wire.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

/* What could be taken can be sent again, and is the same. */
static void as_answer(const uint8_t *data, size_t size)
{
	struct sym_frame frames[SYM_FRAMES_MAX], again[SYM_FRAMES_MAX];
	size_t pos = 0, before = 0;
	int count;

	while ((count = sym_wire_take((const char *)data, size, &pos, frames)) >= 0) {
		struct buf packet = { 0 };
		size_t from = 0;

		if (pos <= before || pos > size)
			abort();
		before = pos;
		if (sym_wire_put(&packet, frames, (unsigned int)count) &&
		    (sym_wire_take(packet.data, packet.len, &from, again) != count || from != packet.len))
			abort();
		buf_free(&packet);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	as_name(data, size);
	as_answer(data, size);
	return 0;
}
