/* SPDX-License-Identifier: GPL-2.0-only */
/* The rules of real objects against what libdw says of the same addresses, and the pages against the table. */
#include "source/table.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* Of each object, every so many rows are compared. */
#define SAMPLE 7

struct opened {
	int fd;
	Elf *elf;
	Dwarf_CFI *cfi;
	struct unwind_object object;
	struct table *table;
};

static bool object_open(const char *path, struct opened *out)
{
	struct stat status;
	struct object_bytes bytes;

	out->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (out->fd < 0)
		return false;
	assert_int_equal(fstat(out->fd, &status), 0);
	bytes = (struct object_bytes){ .fd = out->fd, .size = (uint64_t)status.st_size };
	assert_int_equal(object_read(&bytes, &out->object), 0);
	assert_int_equal(table_compile(&out->object, &out->table), 0);
	elf_version(EV_CURRENT);
	out->elf = elf_begin(out->fd, ELF_C_READ, NULL);
	assert_non_null(out->elf);
	out->cfi = dwarf_getcfi_elf(out->elf);
	assert_non_null(out->cfi);
	return true;
}

static void object_close(struct opened *opened)
{
	dwarf_cfi_end(opened->cfi);
	elf_end(opened->elf);
	table_free(opened->table);
	object_clear(&opened->object);
	close(opened->fd);
}

/* Whether libdw's operations for a saved register are "at CFA + off", or, as it writes CFA-relative ones, that. */
static bool is_at_cfa(const Dwarf_Op *ops, size_t count, int64_t off)
{
	if (count == 1 && !off)
		return ops[0].atom == DW_OP_call_frame_cfa;
	return count == 2 && ops[0].atom == DW_OP_call_frame_cfa && ops[1].atom == DW_OP_plus_uconst &&
	       (int64_t)ops[1].number == off;
}

static bool is_at_register(const Dwarf_Op *ops, size_t count, uint8_t atom, int64_t off)
{
	return count >= 1 && ops[0].atom == atom && (int64_t)ops[0].number == off &&
	       (count == 1 || ops[1].atom == DW_OP_deref || ops[1].atom == DW_OP_nop);
}

static void saved_compare(Dwarf_Frame *frame, int reg, uint8_t how, int64_t off)
{
	Dwarf_Op memory[3], *ops;
	size_t count;

	assert_int_equal(dwarf_frame_register(frame, reg, memory, &ops, &count), 0);
	switch (how) {
	case SAVED_CFA:
		assert_true(is_at_cfa(ops, count, off));
		return;
	case SAVED_RSP:
		assert_true(is_at_register(ops, count, DW_OP_breg7, off));
		return;
	case SAVED_RBP:
		assert_true(is_at_register(ops, count, DW_OP_breg6, off));
		return;
	default:
		/* Same value: no operations; not known: none either, and a pointer of its own. */
		assert_int_equal(count, 0);
	}
}

static void cfa_compare(Dwarf_Frame *frame, const struct wire_rule *rule)
{
	Dwarf_Op *ops;
	size_t count;

	assert_int_equal(dwarf_frame_cfa(frame, &ops, &count), 0);
	if (rule->cfa == RULE_REG) {
		int64_t off;

		assert_true(count >= 1);
		off = (int64_t)(ops[0].atom == DW_OP_bregx ? ops[0].number2 : ops[0].number);
		assert_int_equal(ops[0].atom == DW_OP_bregx ? ops[0].number : (Dwarf_Word)(ops[0].atom - DW_OP_breg0),
				 rule->reg);
		if (count > 1 && ops[1].atom == DW_OP_plus_uconst)
			off += (int64_t)ops[1].number;
		assert_int_equal(off, rule->off);
	} else if (rule->cfa == RULE_DEREF) {
		assert_int_equal(ops[0].atom, DW_OP_breg0 + rule->reg);
		assert_int_equal((int64_t)ops[0].number, rule->off);
		assert_int_equal(ops[1].atom, DW_OP_deref);
		assert_int_equal(count > 2 ? (int64_t)ops[2].number : 0, rule->add);
	} else {
		assert_int_equal(rule->cfa, RULE_PLT);
		assert_int_equal(ops[0].atom, DW_OP_breg7);
		assert_int_equal(ops[count - 1].atom, DW_OP_plus);
	}
}

/* Compares at @addr; true where there is a rule to compare. */
static bool address_compare(struct opened *opened, uint64_t addr)
{
	const struct wire_rule *rule = table_find(opened->table, addr);
	Dwarf_Frame *frame = NULL;
	bool has = !dwarf_cfi_addrframe(opened->cfi, addr, &frame), signalled;
	Dwarf_Op memory[3], *ops;
	Dwarf_Addr start, end;
	size_t count;

	if (rule->cfa == RULE_NONE || rule->cfa == RULE_OTHER) {
		if (rule->cfa == RULE_NONE)
			assert_false(has);
		free(frame);
		return false;
	}
	if (rule->cfa == RULE_END) {
		if (has) {
			assert_int_equal(dwarf_frame_register(frame, STACK_RA, memory, &ops, &count), 0);
			assert_int_equal(count, 0);
			assert_ptr_equal(ops, memory);
		}
		free(frame);
		return has;
	}
	if (!has && object_plain_depth(&opened->object, addr)) {
		assert_int_equal(rule->cfa, RULE_REG);
		assert_int_equal(rule->off, object_plain_depth(&opened->object, addr));
		return false;
	}
	assert_true(has);
	assert_int_equal(dwarf_frame_info(frame, &start, &end, &signalled), STACK_RA);
	assert_true(addr >= start && addr < end);
	assert_int_equal(signalled, rule->signalled);
	cfa_compare(frame, rule);
	saved_compare(frame, STACK_RA, RULE_SAVED_RA(rule->saved), rule->ra);
	saved_compare(frame, STACK_RBP, RULE_SAVED_RBP(rule->saved), rule->rbp);
	saved_compare(frame, STACK_RBX, RULE_SAVED_RBX(rule->saved), rule->rbx);
	free(frame);
	return true;
}

/* All that is on a Debian machine which has built this, and their like elsewhere: those that are there. */
static const char *const objects[] = {
	"/lib64/ld-linux-x86-64.so.2",
	"/lib/x86_64-linux-gnu/libc.so.6",
	"/lib/x86_64-linux-gnu/libm.so.6",
	"/lib/x86_64-linux-gnu/libcrypto.so.3",
	"/usr/lib/x86_64-linux-gnu/libstdc++.so.6",
	"/lib64/libc.so.6",
	"/usr/bin/python3",
	"/usr/bin/git",
	"/bin/bash",
	"/proc/self/exe",
};

static void agrees_with_libdw(void **state)
{
	unsigned int seen = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(objects) / sizeof(*objects); i++) {
		struct opened opened;
		unsigned int compared = 0;

		if (!object_open(objects[i], &opened))
			continue;
		for (uint32_t row = 0; row + 1 < opened.table->count; row += SAMPLE) {
			uint64_t first = opened.table->base + opened.table->pcs[row];
			uint64_t last = opened.table->base + opened.table->pcs[row + 1] - 1;

			compared += address_compare(&opened, first);
			compared += address_compare(&opened, last);
		}
		print_message("%s: %u rows, %u rules, %u addresses compared\n", objects[i], opened.table->count,
			      opened.table->rule_count, compared);
		assert_true(compared > 10);
		object_close(&opened);
		seen++;
	}
	assert_true(seen >= 3);
}

/* Few addresses of common libraries may need more than a rule can say. */
static void few_are_other(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(objects) / sizeof(*objects); i++) {
		struct opened opened;
		unsigned int other = 0;

		if (!object_open(objects[i], &opened))
			continue;
		for (uint32_t row = 0; row < opened.table->count; row++)
			other += opened.table->rules[opened.table->rule_of[row]].cfa == RULE_OTHER;
		assert_true(other <= 10);
		object_close(&opened);
	}
}

struct pages {
	struct wire_page *list;
	uint32_t first, count;
};

static struct wire_page *page_get(void *ctx, uint32_t number)
{
	struct pages *pages = ctx;

	return number >= pages->first && number - pages->first < pages->count ? &pages->list[number - pages->first]
									      : NULL;
}

static uint32_t page_search(const struct wire_page *page, uint32_t pc)
{
	uint32_t at = 0;

	for (uint32_t half = TABLE_FAN / 2; half; half >>= 1)
		if (page->pcs[at + half] <= pc)
			at += half;
	return at;
}

/* As the kernel side searches. */
static const struct wire_rule *pages_find(struct pages *pages, const struct wire_object *object, uint32_t pc)
{
	uint32_t at = 0, rule;

	for (uint32_t level = object->depth; level-- > 1;) {
		const struct wire_page *page = page_get(pages, object->level[level] + at);

		assert_non_null(page);
		at = at * TABLE_FAN + page_search(page, pc);
	}
	assert_non_null(page_get(pages, object->level[0] + at));
	rule = page_get(pages, object->level[0] + at)->rule_of[page_search(page_get(pages, object->level[0] + at), pc)];
	return &page_get(pages, object->rules + rule / TABLE_RULES)->rules[rule % TABLE_RULES];
}

static void pages_check(const struct table *table)
{
	struct pages pages = { .first = 77, .count = table_pages(table) };
	struct wire_object object;

	pages.list = calloc(pages.count, sizeof(*pages.list));
	assert_non_null(pages.list);
	assert_int_equal(table_write(table, pages.first, page_get, &pages, &object), 0);
	assert_int_equal(object.state, OBJECT_READY);
	assert_int_equal(object.base, table->base);
	assert_in_range(object.depth, 1, TABLE_LEVELS);
	for (uint32_t row = 0; row < table->count; row++) {
		uint32_t pc = table->pcs[row];

		assert_memory_equal(pages_find(&pages, &object, pc), table_find(table, table->base + pc),
				    sizeof(struct wire_rule));
		if (pc)
			assert_memory_equal(pages_find(&pages, &object, pc - 1),
					    table_find(table, table->base + pc - 1), sizeof(struct wire_rule));
	}
	pages.count--;
	assert_int_equal(table_write(table, pages.first, page_get, &pages, &object), -12);
	free(pages.list);
}

static void pages_find_all(void **state)
{
	struct opened opened;

	(void)state;
	if (!object_open("/proc/self/exe", &opened))
		abort();
	pages_check(opened.table);
	object_close(&opened);
}

/* Tables of every height, without objects of that size. */
static void pages_of_any_size(void **state)
{
	static const uint32_t sizes[] = { 1, 2, 511, 512, 513, 1023, 262143, 262144, 262145, 700001 };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct table table = { .base = 0x1000, .count = sizes[i], .rule_count = 300 };

		table.pcs = calloc(sizes[i], sizeof(*table.pcs));
		table.rule_of = calloc(sizes[i], sizeof(*table.rule_of));
		table.rules = calloc(table.rule_count, sizeof(*table.rules));
		assert_true(table.pcs && table.rule_of && table.rules);
		for (uint32_t rule = 0; rule < table.rule_count; rule++)
			table.rules[rule].off = (int32_t)rule;
		for (uint32_t row = 0; row < sizes[i]; row++) {
			table.pcs[row] = row * 3;
			table.rule_of[row] = (uint16_t)(row % table.rule_count);
		}
		pages_check(&table);
		free(table.pcs);
		free(table.rule_of);
		free(table.rules);
	}
}

/* The largest object that a machine which has built this has: a million rows and more than 100 MB, or what is left of them. */
static void giant(void **state)
{
	static const char *const patterns[] = { "/usr/lib/*/libLLVM-*.so.1", "/usr/lib64/libLLVM*.so*",
						"/usr/lib/libLLVM*.so*" };
	struct object_bytes bytes = { .fd = -1 };
	struct unwind_object object;
	struct table *table = NULL;
	struct stat status;
	glob_t found = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(patterns) / sizeof(*patterns) && !found.gl_pathc; i++)
		(void)glob(patterns[i], 0, NULL, &found);
	if (found.gl_pathc)
		bytes.fd = open(found.gl_pathv[0], O_RDONLY | O_CLOEXEC);
	globfree(&found);
	if (bytes.fd < 0)
		return;
	assert_int_equal(fstat(bytes.fd, &status), 0);
	bytes.size = (uint64_t)status.st_size;
	assert_int_equal(object_read(&bytes, &object), 0);
	assert_int_equal(table_compile(&object, &table), 0);
	print_message("%u rows, %u rules, %u pages\n", table->count, table->rule_count, table_pages(table));
	assert_true(table->count > 500000);
	for (uint32_t row = 0; row + 1 < table->count; row += 4999) {
		const struct cfi *code;
		struct cfi_row at;
		bool has = !object_row(&object, table->base + table->pcs[row], &at, &code);

		assert_int_equal(table->rules[table->rule_of[row]].cfa != RULE_NONE, has);
	}
	table_free(table);
	object_clear(&object);
	/* One that was cut off has less of it, or nothing. */
	for (uint64_t size = 1; size < (uint64_t)status.st_size; size *= 8) {
		bytes.size = size;
		if (object_read(&bytes, &object))
			continue;
		assert_int_equal(table_compile(&object, &table), -61);
		object_clear(&object);
	}
	close(bytes.fd);
}

static void nothing_to_compile(void **state)
{
	struct unwind_object object = { .segment_count = 0 };
	struct table *table = NULL;

	(void)state;
	assert_int_equal(table_compile(&object, &table), -61);
	assert_null(table);
	table_free(NULL);
}

#define SHARED_BYTES  500u
#define SHARED_STARTS 0x1000u

/* Adds @size bytes of @value, little-endian. */
static void add(uint8_t *data, size_t *len, uint64_t value, unsigned int size)
{
	for (unsigned int i = 0; i < size; i++)
		data[(*len)++] = (uint8_t)(value >> i * 8);
}

/* Many functions that share instructions which take long: few of them are compiled, more are refused before much time is lost. */
static void work_is_bounded(void **state)
{
	const struct object_segment segment = { .size = 16 << 20, .addr = SHARED_STARTS };
	const unsigned int counts[] = { 10, 300000 };

	(void)state;
	for (int i = 0; i < 2; i++) {
		uint8_t *data = calloc(1, SHARED_BYTES + 64 + counts[i] * 24);
		struct unwind_object object = { .segments = { segment }, .segment_count = 1 };
		struct table *table = NULL;
		size_t len = 0;
		int err;

		assert_non_null(data);
		add(data, &len, SHARED_BYTES + 9, 4); /* the CIE: instructions that do nothing */
		add(data, &len, 0, 4);
		add(data, &len, 0x78010001, 4); /* version 1, no augmentation, factors 1 and -8 */
		add(data, &len, STACK_RA, 1);
		len = SHARED_BYTES + 13;
		for (unsigned int fde = 0; fde < counts[i]; fde++) {
			add(data, &len, 20, 4);
			add(data, &len, len, 4);
			add(data, &len, SHARED_STARTS + fde * 16, 8);
			add(data, &len, 16, 8);
		}
		assert_int_equal(cfi_init(&object.frames[0], data, len, 0, false), 0);
		assert_int_equal(object.frames[0].fde_count, counts[i]);
		err = table_compile(&object, &table);
		assert_int_equal(err, i ? -E2BIG : 0);
		table_free(table);
		cfi_free(&object.frames[0]);
		free(data);
	}
}

/* A section that says of each stretch that the CFA is rsp + @depth. */
static void section_make(struct cfi *out, uint8_t *data, bool debug_frame, uint8_t depth,
			 const uint64_t (*stretches)[2], size_t count)
{
	size_t len = 0;

	add(data, &len, 16, 4); /* the CIE */
	add(data, &len, debug_frame ? UINT32_MAX : 0, 4);
	add(data, &len, 0x78010001, 4); /* version 1, no augmentation, factors 1 and -8 */
	add(data, &len, STACK_RA | DW_CFA_def_cfa << 8 | STACK_RSP << 16 | (uint32_t)depth << 24, 4);
	add(data, &len, (DW_CFA_offset | STACK_RA) | 1 << 8, 4);
	for (size_t i = 0; i < count; i++) {
		add(data, &len, 20, 4);
		add(data, &len, debug_frame ? 0 : len, 4);
		add(data, &len, stretches[i][0], 8);
		add(data, &len, stretches[i][1], 8);
	}
	assert_int_equal(cfi_init(out, data, len, 0, debug_frame), 0);
	assert_int_equal(out->fde_count, count);
}

/* Where one section says nothing the other is asked: address by address as the object itself says. */
static void two_sections(void **state)
{
	static const uint64_t first[][2] = { { 0x1000, 16 }, { 0x1040, 32 }, { 0x1080, 16 } };
	static const uint64_t second[][2] = { { 0x1008, 16 }, { 0x1030, 64 }, { 0x10a0, 32 } };
	const struct object_segment segment = { .size = 0x100, .addr = 0x1000 };
	unsigned int seen[33] = { 0 };

	(void)state;
	for (int only = -1; only < 2; only++) {
		struct unwind_object object = { .segments = { segment }, .segment_count = 1 };
		uint8_t data[2][256];
		struct table *table = NULL;

		if (only)
			section_make(&object.frames[0], data[0], false, 16, first, 3);
		if (only < 1)
			section_make(&object.frames[1], data[1], true, 32, second, 3);
		assert_int_equal(table_compile(&object, &table), 0);
		for (uint64_t addr = 0x1000; addr < 0x1100; addr++) {
			const struct wire_rule *rule = table_find(table, addr);
			const struct cfi *code;
			struct cfi_row row;

			if (object_row(&object, addr, &row, &code)) {
				assert_int_equal(rule->cfa, RULE_NONE);
				continue;
			}
			assert_int_equal(rule->cfa, RULE_REG);
			assert_int_equal(rule->off, row.cfa.offset);
			seen[only < 0 ? rule->off : 0]++;
		}
		table_free(table);
		cfi_free(&object.frames[0]);
		cfi_free(&object.frames[1]);
	}
	assert_int_equal(seen[16], 16 + 32 + 16);
	assert_int_equal(seen[32], 8 + 16 + 16 + 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_libdw),  cmocka_unit_test(few_are_other),
		cmocka_unit_test(pages_find_all),     cmocka_unit_test(pages_of_any_size),
		cmocka_unit_test(nothing_to_compile), cmocka_unit_test(giant),
		cmocka_unit_test(work_is_bounded),    cmocka_unit_test(two_sections),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
