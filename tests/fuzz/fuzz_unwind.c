/* SPDX-License-Identifier: GPL-2.0-only */
/* Any bytes as an ELF file, as a section of call frame information, and as a DWARF expression. */
#include "base/cfi.h"
#include "base/dwarf_expr.h"
#include "source/unwind_object.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct check {
	const struct cfi *cfi;
	uint64_t from, to; /* the function's */
	unsigned int rows;
};

static bool memory_read(void *ctx, uint64_t addr, void *out, size_t len)
{
	(void)ctx;
	if (addr % 3 == 0)
		return false;
	memset(out, (int)addr, len);
	return true;
}

static void evaluate(const struct cfi *cfi, const struct cfi_rule *rule)
{
	static const uint64_t regs[64] = { 1, 2, 3, UINT64_MAX };
	const struct dwarf_expr_frame frame = { .regs = regs, .known = 0x1ffff, .read = memory_read };
	uint64_t first = 16, out;

	if (rule->kind != CFI_AT_EXPR && rule->kind != CFI_EXPR)
		return;
	if (rule->offset < 0 || (size_t)rule->offset + rule->len > cfi->len)
		abort();
	(void)dwarf_expr(cfi->data + rule->offset, rule->len, &frame, &first, &out);
}

/* Rows follow each other within the function, and their rules within the section. */
static int row_check(void *ctx, uint64_t start, uint64_t end, const struct cfi_row *row)
{
	struct check *check = ctx;

	if (start != check->from || end <= start || end > check->to || row->ra >= CFI_REGS)
		abort();
	check->from = end;
	evaluate(check->cfi, &row->cfa);
	for (unsigned int i = 0; i < CFI_REGS; i++) {
		if ((row->named >> i & 1) != (row->regs[i].kind != CFI_UNSET))
			abort();
		evaluate(check->cfi, &row->regs[i]);
	}
	return ++check->rows > 10000;
}

static void section_check(const struct cfi *cfi)
{
	for (size_t i = 0; i < cfi->fde_count && i < 1000; i++) {
		const struct cfi_fde *fde = &cfi->fdes[i];
		struct check check = { .cfi = cfi, .from = fde->start, .to = fde->start + fde->size };
		struct cfi_row row;

		if (i && fde->start < fde[-1].start)
			abort();
		if (check.to < check.from)
			check.to = UINT64_MAX;
		(void)cfi_rows(cfi, fde, row_check, &check);
		(void)cfi_row_at(cfi, fde->start + fde->size / 2, &row);
	}
}

static void file_check(const uint8_t *data, size_t size)
{
	const struct object_bytes bytes = { .fd = -1, .data = data, .size = size };
	struct unwind_object object;
	uint64_t addr;

	if (object_read(&bytes, &object))
		return;
	for (int i = 0; i < 2; i++)
		section_check(&object.frames[i]);
	(void)object_addr(&object, size / 2, &addr);
	(void)object_is_start(&object, addr);
	object_clear(&object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct dwarf_expr_frame frame = { .regs = (const uint64_t[64]){ 0 }, .known = 0xff, .read = memory_read };
	struct cfi cfi;
	uint64_t out;

	file_check(data, size);
	for (int i = 0; i < 2; i++) {
		if (!cfi_init(&cfi, data, size, 0x1000, i))
			section_check(&cfi);
		cfi_free(&cfi);
	}
	(void)dwarf_expr(data, size, &frame, NULL, &out);
	return 0;
}
