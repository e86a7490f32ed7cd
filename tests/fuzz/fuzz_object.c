/* SPDX-License-Identifier: GPL-2.0-only */
/* Any bytes as an ELF file of which a process has mapped code: where its segments and its tables of frames are, and the
 * table that is made of them. Read from memory or from a file, it is the same. */
#include "source/table.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same(const struct unwind_object *a, const struct unwind_object *b)
{
	if (a->entry != b->entry || a->bytes != b->bytes || a->segment_count != b->segment_count ||
	    memcmp(a->segments, b->segments, sizeof(a->segments)) != 0 ||
	    memcmp(a->plains, b->plains, sizeof(a->plains)) != 0)
		abort();
	for (int i = 0; i < 2; i++) {
		if (a->frames[i].len != b->frames[i].len || a->frames[i].fde_count != b->frames[i].fde_count)
			abort();
	}
}

static void address_check(const struct unwind_object *object, const struct table *table, uint64_t addr)
{
	const struct cfi *code = NULL;
	struct cfi_row row;

	if (!object_row(object, addr, &row, &code) && !code)
		abort();
	if (object_plain_depth(object, addr) > 16)
		abort();
	(void)object_is_start(object, addr);
	(void)object_begins_function(object, addr);
	if (table && !table_find(table, addr))
		abort();
}

static void object_check(const struct unwind_object *object, size_t size)
{
	struct table *table = NULL;
	uint64_t addr = object->entry;

	(void)table_compile(object, &table);
	for (uint32_t i = 1; table && i < table->count; i++) {
		if (table->pcs[i] < table->pcs[i - 1] || table->rule_of[i] >= table->rule_count)
			abort();
	}
	address_check(object, table, addr);
	for (size_t at = 0; at < size; at += 1 + size / 16) {
		if (object_addr(object, at, &addr))
			address_check(object, table, addr);
	}
	for (unsigned int i = 0; i < OBJECT_PLAINS; i++)
		address_check(object, table, object->plains[i].start);
	table_free(table);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct object_bytes memory = { .fd = -1, .data = data, .size = size };
	struct object_bytes file = { .fd = memfd_create("object", MFD_CLOEXEC), .size = size };
	struct unwind_object one, other;
	int err;

	if (file.fd < 0 || write(file.fd, data, size) != (ssize_t)size)
		abort();
	err = object_read(&memory, &one);
	if (object_read(&file, &other) != err)
		abort();
	close(file.fd);
	if (err)
		return 0;
	same(&one, &other);
	object_check(&one, size);
	object_clear(&one);
	object_clear(&other);
	return 0;
}
