/* SPDX-License-Identifier: GPL-2.0-only */
/* Any bytes as the list of names that a compiler at run time gives its functions. Read whole or in two pieces, as it grows while
 * it is read, it says the same. */
#include "model/jitmap.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same(struct jitmap *whole, struct jitmap *pieces, uint64_t addr)
{
	uint64_t offset = 0, other = 0;
	const char *name = jitmap_find(whole, addr, SIZE_MAX, &offset);
	const char *again = jitmap_find(pieces, addr, SIZE_MAX, &other);

	if (!name != !again || offset > addr || offset != other || (name && strcmp(name, again) != 0))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct jitmap *whole = jitmap_new_empty(), *pieces = jitmap_new_empty();
	const char *text = (const char *)data;
	uint64_t addr = 0x1000;
	ssize_t taken;

	if (!whole || !pieces)
		abort();
	taken = jitmap_parse(whole, text, size);
	if (taken < 0 || (size_t)taken > size || (taken && text[taken - 1] != '\n'))
		abort();
	taken = jitmap_parse(pieces, text, size / 2);
	same(pieces, pieces, addr);
	taken = jitmap_parse(pieces, text + taken, size - (size_t)taken);
	if (jitmap_bytes(whole) != jitmap_bytes(pieces))
		abort();
	same(whole, pieces, addr);
	for (size_t at = 0; at + sizeof(addr) <= size; at += sizeof(addr)) {
		memcpy(&addr, data + at, sizeof(addr));
		same(whole, pieces, addr);
		same(whole, pieces, strtoull("0x1000", NULL, 16) + at);
	}
	jitmap_free(whole);
	jitmap_free(pieces);
	return 0;
}
