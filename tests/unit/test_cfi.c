/* SPDX-License-Identifier: GPL-2.0-only */
/* Call frame information and DWARF expressions, from bytes written by hand. */
#include "base/cfi.h"

#include "base/dwarf_expr.h"
#include "source/table.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECTION_ADDR 0x1000

/* A section that is being written. */
struct section {
	uint8_t data[4096];
	size_t len;
};

static void put(struct section *section, uint64_t value, unsigned int size)
{
	for (unsigned int i = 0; i < size; i++)
		section->data[section->len++] = (uint8_t)(value >> 8 * i);
}

static void put_bytes(struct section *section, const void *bytes, size_t len)
{
	memcpy(section->data + section->len, bytes, len);
	section->len += len;
}

/* Addresses relative to where they stand, four bytes; code in units of 1, data in units of -8; the CFA is rsp + 8. */
static size_t put_cie(struct section *section, const char *augmentation)
{
	size_t at = section->len;

	put(section, 0, 4);
	put(section, 0, 4);
	put(section, 1, 1);
	put_bytes(section, augmentation, strlen(augmentation) + 1);
	put_bytes(section, "\x01\x78\x10", 3);
	put_bytes(section, "\x01\x1b", 2);
	put_bytes(section, "\x0c\x07\x08\x90\x01", 5);
	section->data[at] = (uint8_t)(section->len - at - 4);
	return at;
}

static void put_fde(struct section *section, size_t cie, uint64_t start, const char *code, size_t len)
{
	size_t at = section->len;

	put(section, 0, 4);
	put(section, section->len - cie, 4);
	put(section, start - (SECTION_ADDR + section->len), 4);
	put(section, 0x100, 4);
	put(section, 0, 1);
	put_bytes(section, code, len);
	section->data[at] = (uint8_t)(section->len - at - 4);
	section->data[at + 1] = (uint8_t)((section->len - at - 4) >> 8);
}

static int init(struct cfi *cfi, const struct section *section)
{
	return cfi_init(cfi, section->data, section->len, SECTION_ADDR, false);
}

static void expect_cfa(const struct cfi *cfi, uint64_t addr, unsigned int reg, int offset)
{
	struct cfi_row row;

	assert_int_equal(cfi_row_at(cfi, addr, &row), 0);
	assert_int_equal(row.cfa.kind, CFI_REGISTER);
	assert_int_equal(row.cfa.reg, reg);
	assert_int_equal(row.cfa.offset, offset);
	assert_int_equal(row.ra, 16);
	assert_int_equal(row.regs[16].kind, CFI_AT_CFA);
	assert_int_equal(row.regs[16].offset, -8);
}

#define FDE(section, cie, start, code) put_fde(section, cie, start, code, sizeof(code) - 1)

static void test_prologue(void **state)
{
	/* push rbp; mov rbp, rsp; ...; leave; ret, with the state kept over a way out in the middle. */
	static const char code[] = "\x41\x0e\x10\x86\x02\x43\x0d\x06\x02\x20\x0a\xc6\x0c\x07\x08\x41\x0b\x03\x40\x00"
				   "\xc6\x0c\x07\x08";
	struct section section = { 0 };
	struct cfi_row row;
	struct cfi cfi;

	(void)state;
	FDE(&section, put_cie(&section, "zR"), 0x400000, code);
	assert_int_equal(init(&cfi, &section), 0);
	assert_int_equal(cfi.fde_count, 1);
	expect_cfa(&cfi, 0x400000, 7, 8);
	expect_cfa(&cfi, 0x400001, 7, 16);
	expect_cfa(&cfi, 0x400004, 6, 16);
	expect_cfa(&cfi, 0x400023, 6, 16);
	expect_cfa(&cfi, 0x400024, 7, 8);
	expect_cfa(&cfi, 0x400025, 6, 16);
	expect_cfa(&cfi, 0x400064, 6, 16);
	expect_cfa(&cfi, 0x400065, 7, 8);
	expect_cfa(&cfi, 0x4000ff, 7, 8);
	assert_int_equal(cfi_row_at(&cfi, 0x400100, &row), -ENOENT);
	assert_int_equal(cfi_row_at(&cfi, 0x3fffff, &row), -ENOENT);
	assert_int_equal(cfi_row_at(&cfi, 0x400030, &row), 0);
	assert_int_equal(row.regs[6].kind, CFI_AT_CFA);
	assert_int_equal(row.regs[6].offset, -16);
	assert_int_equal(cfi_row_at(&cfi, 0x400070, &row), 0);
	assert_int_equal(row.regs[6].kind, CFI_UNSET);
	cfi_free(&cfi);
}

static void test_rules(void **state)
{
	/* undefined, same, register, val_offset, expression, val_expression; then a CFA that is computed. */
	static const char code[] =
		"\x07\x10\x08\x03\x09\x0c\x01\x14\x0d\x02\x10\x0e\x02\x77\x08\x16\x0f\x02\x77\x10\x05\x02\x03"
		"\x2f\x01\x02\x2e\x10\x44\x0f\x03\x77\x08\x06";
	struct section section = { 0 };
	struct cfi_row row;
	struct cfi cfi;

	(void)state;
	FDE(&section, put_cie(&section, "zR"), 0x400000, code);
	assert_int_equal(init(&cfi, &section), 0);
	assert_int_equal(cfi_row_at(&cfi, 0x400000, &row), 0);
	assert_int_equal(row.regs[16].kind, CFI_UNDEFINED);
	assert_int_equal(row.regs[3].kind, CFI_SAME);
	assert_int_equal(row.regs[12].kind, CFI_REGISTER);
	assert_int_equal(row.regs[12].reg, 1);
	assert_int_equal(row.regs[13].kind, CFI_CFA_OFFSET);
	assert_int_equal(row.regs[13].offset, -16);
	assert_int_equal(row.regs[14].kind, CFI_AT_EXPR);
	assert_int_equal(row.regs[14].len, 2);
	assert_memory_equal(cfi.data + row.regs[14].offset, "\x77\x08", 2);
	assert_int_equal(row.regs[15].kind, CFI_EXPR);
	assert_memory_equal(cfi.data + row.regs[15].offset, "\x77\x10", 2);
	assert_int_equal(row.regs[2].offset, -24);
	assert_int_equal(row.regs[1].offset, 16);
	assert_int_equal(cfi_row_at(&cfi, 0x400004, &row), 0);
	assert_int_equal(row.cfa.kind, CFI_EXPR);
	assert_int_equal(row.cfa.len, 3);
	assert_false(row.signal);
	cfi_free(&cfi);
}

static void test_many(void **state)
{
	struct section section = { 0 };
	struct cfi_row row;
	struct cfi cfi;
	size_t cie, other;

	(void)state;
	cie = put_cie(&section, "zR");
	FDE(&section, cie, 0x500000, "\x42\x0e\x10");
	FDE(&section, cie, 0x400000, "\x42\x0e\x20");
	put(&section, 0, 4); /* the end of one of the files that were linked */
	other = put_cie(&section, "zRS");
	FDE(&section, other, 0x600000, "\x42\x0e\x30");
	FDE(&section, cie, 0, "\x42\x0e\x40"); /* thrown away by the linker */
	assert_int_equal(init(&cfi, &section), 0);
	assert_int_equal(cfi.fde_count, 3);
	expect_cfa(&cfi, 0x400010, 7, 0x20);
	expect_cfa(&cfi, 0x500010, 7, 0x10);
	expect_cfa(&cfi, 0x600010, 7, 0x30);
	assert_int_equal(cfi_row_at(&cfi, 0x600000, &row), 0);
	assert_true(row.signal);
	assert_int_equal(cfi_row_at(&cfi, 0x500000, &row), 0);
	assert_false(row.signal);
	assert_ptr_equal(cfi_find(&cfi, 0x4000ff), &cfi.fdes[0]);
	assert_null(cfi_find(&cfi, 0x400100));
	cfi_free(&cfi);
}

static void expect_malformed(const char *code, size_t len)
{
	struct section section = { 0 };
	struct cfi_row row;
	struct cfi cfi;

	put_fde(&section, put_cie(&section, "zR"), 0x400000, code, len);
	assert_int_equal(init(&cfi, &section), 0);
	assert_int_equal(cfi_row_at(&cfi, 0x4000f0, &row), -EBADMSG);
	cfi_free(&cfi);
}

static void test_malformed(void **state)
{
	struct section section = { 0 };
	struct cfi cfi;

	(void)state;
	expect_malformed("\x3f", 1);				     /* no such instruction */
	expect_malformed("\x0b", 1);				     /* nothing to restore */
	expect_malformed("\x0a\x0a\x0a\x0a\x0a\x0a\x0a\x0a\x0a", 9); /* too much to remember */
	expect_malformed("\x0e\x80", 2);			     /* cut off in a number */
	expect_malformed("\x0f\x05\x77", 3);			     /* an expression beyond the end */
	expect_malformed("\x0c\x40\x08", 3);			     /* a CFA in a register that is not kept */
	expect_malformed("\x0e\xff\xff\xff\xff\x7f", 6);	     /* too far */
	expect_malformed("\x0e\x90\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 12); /* a number that takes its time */
	/* Entries that lie about their length, or about where their CIE is. */
	FDE(&section, put_cie(&section, "zR"), 0x400000, "\x42");
	section.data[0] = 0xff;
	assert_int_equal(init(&cfi, &section), 0);
	assert_int_equal(cfi.fde_count, 0);
	section.len = 0;
	put_fde(&section, (size_t)-4096, 0x400000, "\x42", 1);
	assert_int_equal(init(&cfi, &section), 0);
	assert_int_equal(cfi.fde_count, 0);
	assert_int_equal(cfi_init(&cfi, section.data, CFI_SECTION_MAX + 1, 0, false), -EFBIG);
}

/* Memory in which each address holds itself, but for the first page. */
/* What all functions have in common is gone through for each of them. */
static void test_long_cie(void **state)
{
	struct section section = { 0 };
	struct cfi_row row;
	struct cfi cfi;
	size_t cie = put_cie(&section, "zR");

	(void)state;
	section.len += 600;
	section.data[cie] = (uint8_t)(section.len - cie - 4);
	section.data[cie + 1] = (uint8_t)((section.len - cie - 4) >> 8);
	FDE(&section, cie, 0x400000, "\x42");
	FDE(&section, put_cie(&section, "zR"), 0x400100, "\x42");
	assert_int_equal(init(&cfi, &section), 0);
	assert_int_equal(cfi.fde_count, 1);
	assert_int_equal(cfi_row_at(&cfi, 0x400000, &row), -ENOENT);
	expect_cfa(&cfi, 0x400100, 7, 8);
	cfi_free(&cfi);
}

/* A table says nothing of what is behind a mistake, as the section does not. */
static void test_table_of_mistake(void **state)
{
	struct section section = { 0 };
	struct unwind_object object = { .segments = { { .addr = 0x400000, .size = 0x1000 } }, .segment_count = 1 };
	size_t cie = put_cie(&section, "zR");
	struct table *table = NULL;

	(void)state;
	FDE(&section, cie, 0x400000, "\x44\x0e\x10\x44\x3f");
	FDE(&section, cie, 0x400200, "\x44\x0e\x10");
	assert_int_equal(init(&object.frames[0], &section), 0);
	assert_int_equal(table_compile(&object, &table), 0);
	assert_int_equal(table_find(table, 0x400000)->off, 8);
	assert_int_equal(table_find(table, 0x400007)->off, 16);
	assert_int_equal(table_find(table, 0x400008)->cfa, RULE_NONE);
	assert_int_equal(table_find(table, 0x4002ff)->off, 16);
	assert_int_equal(table_find(table, 0x400300)->cfa, RULE_NONE);
	table_free(table);
	cfi_free(&object.frames[0]);
}

static bool memory_read(void *ctx, uint64_t addr, void *out, size_t len)
{
	(void)ctx;
	if (addr < 4096)
		return false;
	memcpy(out, &addr, len);
	return true;
}

static int expression(const char *code, size_t len, uint64_t *out)
{
	static const uint64_t regs[64] = { [6] = 0x6000, [7] = 0x7000, [16] = 0x400b };
	const struct dwarf_expr_frame frame = { .regs = regs, .known = 0x100c0, .read = memory_read };
	const uint64_t first = 0x9000;

	return dwarf_expr((const uint8_t *)code, len, &frame, &first, out);
}

static void check_value(const char *code, size_t len, uint64_t value)
{
	uint64_t out = 0;

	assert_int_equal(expression(code, len, &out), 0);
	assert_int_equal(out, value);
}

#define VALUE(code, value) check_value(code, sizeof(code) - 1, value)
#define FAILS(code, err)   assert_int_equal(expression(code, sizeof(code) - 1, &out), err)

static void test_expression(void **state)
{
	uint64_t out = 42;

	(void)state;
	/* That of each procedure linkage table: 8 bytes more behind the first push. */
	VALUE("\x77\x08\x80\x00\x3f\x1a\x3b\x2a\x33\x24\x22", 0x7010);
	VALUE("", 0x9000);
	VALUE("\x77\xa0\x01\x06", 0x70a0);
	VALUE("\x76\x78\x94\x01", 0xf8);
	VALUE("\x92\x06\x78", 0x5ff8);
	VALUE("\x0a\xff\xff\x0b\xff\xff\x22", 0xfffe);
	VALUE("\x09\xf0\x1f", 16);
	VALUE("\x09\xf0\x32\x26", (uint64_t)-4);
	VALUE("\x09\xf0\x32\x1b", (uint64_t)-8);
	VALUE("\x33\x34\x16\x1c", 1);
	VALUE("\x31\x32\x33\x17\x1c\x1c", 4);
	VALUE("\x31\x28\x01\x00\x30\x35", 5);
	VALUE("\x23\x81\x01", 0x9081);
	FAILS("\x22", -EBADMSG);
	FAILS("\x72\x00", -EFAULT);
	FAILS("\x31\x06", -EFAULT);
	FAILS("\x31\x30\x1b", -EBADMSG);
	FAILS("\xe0", -EBADMSG);
	FAILS("\x0e\x01", -EBADMSG);
	FAILS("\x2f\xfd\xff", -EBADMSG);     /* for ever */
	FAILS("\x12\x2f\xfc\xff", -EBADMSG); /* more and more */
	assert_int_equal(out, 42);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prologue),   cmocka_unit_test(test_rules),
		cmocka_unit_test(test_many),	   cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_long_cie),   cmocka_unit_test(test_table_of_mistake),
		cmocka_unit_test(test_expression),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
