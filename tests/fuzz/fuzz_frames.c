/* SPDX-License-Identifier: GPL-2.0-only */
/* Any bytes as a section of call frame information, as the table compiled of it, and as a DWARF expression. What a table says
 * of an address must lead to the same caller as what the section itself says. */
#include "base/cfi.h"
#include "base/dwarf_expr.h"
#include "source/table.h"

#include <stdlib.h>
#include <string.h>

#define SECTION_ADDR 0x100000
#define CODE_SIZE    0x40000000
#define PC	     0x1008 /* of the registers below: in the middle of an entry of the PLT */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct check {
	const struct cfi *cfi;
	uint64_t from, to; /* the function's */
	unsigned int rows;
};

/* Memory as no program has it: each address has bytes of its own. */
static bool memory_read(void *ctx, uint64_t addr, void *out, size_t len)
{
	uint64_t value = addr * 0x9e3779b97f4a7c15ull;

	(void)ctx;
	memcpy(out, &value, len);
	return true;
}

static uint64_t word_at(uint64_t addr)
{
	uint64_t value;

	(void)memory_read(NULL, addr, &value, sizeof(value));
	return value;
}

static const uint64_t *registers(void)
{
	static uint64_t regs[64];

	for (uint64_t i = 0; i < 64 && !regs[63]; i++)
		regs[i] = i == STACK_RA ? PC : (i + 1) << 40;
	return regs;
}

static bool evaluate(const struct cfi *cfi, const struct cfi_rule *rule, const uint64_t *first, uint64_t *out)
{
	const struct dwarf_expr_frame frame = { .regs = registers(), .known = UINT64_MAX, .read = memory_read };

	if (rule->offset < 0 || (size_t)rule->offset + rule->len > cfi->len)
		abort();
	return !dwarf_expr(cfi->data + rule->offset, rule->len, &frame, first, out);
}

/* Rows follow each other within the function, and their rules within the section. */
static int row_check(void *ctx, uint64_t start, uint64_t end, const struct cfi_row *row)
{
	struct check *check = ctx;
	uint64_t first = 16, out;

	if (start != check->from || end <= start || end > check->to || row->ra >= CFI_REGS)
		abort();
	check->from = end;
	for (unsigned int i = 0; i <= CFI_REGS; i++) {
		const struct cfi_rule *rule = i < CFI_REGS ? &row->regs[i] : &row->cfa;

		if (i < CFI_REGS && (row->named >> i & 1) != (rule->kind != CFI_UNSET))
			abort();
		if (rule->kind == CFI_AT_EXPR || rule->kind == CFI_EXPR)
			(void)evaluate(check->cfi, rule, &first, &out);
	}
	return ++check->rows > 1000;
}

/* Where the section says that the caller's register @rule is: 0 for where it was. */
static uint64_t place_by_row(const struct cfi *cfi, const struct cfi_rule *rule, uint64_t cfa)
{
	uint64_t addr;

	switch ((enum cfi_kind)rule->kind) {
	case CFI_AT_CFA:
		return cfa + (uint64_t)(int64_t)rule->offset;
	case CFI_AT_EXPR:
		if (!evaluate(cfi, rule, &cfa, &addr))
			abort();
		return addr;
	case CFI_UNSET:
	case CFI_SAME:
	case CFI_UNDEFINED:
		return 0;
	case CFI_CFA_OFFSET:
	case CFI_REGISTER:
	case CFI_EXPR:
		break;
	}
	abort();
}

static uint64_t place_by_rule(unsigned int how, int16_t off, uint64_t cfa)
{
	const uint64_t *regs = registers();
	const uint64_t bases[] = { 0, cfa, regs[STACK_RSP], regs[STACK_RBP] };

	return how == SAVED_NOT ? 0 : bases[how] + (uint64_t)(int64_t)off;
}

static uint64_t cfa_by_rule(const struct wire_rule *rule)
{
	const uint64_t *regs = registers();

	if (rule->cfa == RULE_PLT)
		return regs[STACK_RSP] + 8 + ((PC & 15) >= rule->off ? 8 : 0);
	if (rule->cfa == RULE_DEREF)
		return word_at(regs[rule->reg] + (uint64_t)(int64_t)rule->off) + (uint64_t)(int64_t)rule->add;
	return regs[rule->reg] + (uint64_t)(int64_t)rule->off;
}

static void rule_check(const struct cfi *cfi, const struct cfi_row *row, const struct wire_rule *rule)
{
	uint64_t cfa;

	if (rule->cfa == RULE_END && row->regs[row->ra].kind == CFI_UNDEFINED)
		return;
	if (rule->cfa < RULE_REG || row->ra != STACK_RA || rule->reg >= STACK_REGISTERS)
		abort();
	if (row->cfa.kind == CFI_REGISTER)
		cfa = registers()[row->cfa.reg] + (uint64_t)(int64_t)row->cfa.offset;
	else if (!evaluate(cfi, &row->cfa, NULL, &cfa))
		abort();
	if (cfa != cfa_by_rule(rule) || rule->signalled != row->signal ||
	    place_by_row(cfi, &row->regs[STACK_RA], cfa) != place_by_rule(RULE_SAVED_RA(rule->saved), rule->ra, cfa) ||
	    place_by_row(cfi, &row->regs[STACK_RBP], cfa) !=
		    place_by_rule(RULE_SAVED_RBP(rule->saved), rule->rbp, cfa) ||
	    place_by_row(cfi, &row->regs[STACK_RBX], cfa) != place_by_rule(RULE_SAVED_RBX(rule->saved), rule->rbx, cfa))
		abort();
}

static void address_check(const struct cfi *cfi, const struct table *table, uint64_t addr)
{
	const struct wire_rule *rule = table ? table_find(table, addr) : NULL;
	struct cfi_row row;
	bool has = !cfi_row_at(cfi, addr, &row);

	if (!rule || addr >= CODE_SIZE || rule->cfa == RULE_OTHER)
		return;
	if ((rule->cfa != RULE_NONE) != has)
		abort();
	if (has)
		rule_check(cfi, &row, rule);
}

static void table_check(const struct table *table)
{
	if (!table->count || table->rule_count < 2 || table->rules[table->rule_of[table->count - 1]].cfa != RULE_NONE)
		abort();
	for (uint32_t i = 0; i < table->count; i++) {
		if ((i && table->pcs[i] <= table->pcs[i - 1]) || table->rule_of[i] >= table->rule_count)
			abort();
	}
}

static void section_check(const struct cfi *cfi)
{
	struct unwind_object object = { .frames = { *cfi }, .segments = { { .size = CODE_SIZE } }, .segment_count = 1 };
	struct table *table = NULL;

	if (!table_compile(&object, &table))
		table_check(table);
	for (size_t i = 0; i < cfi->fde_count && i < 50; i++) {
		const struct cfi_fde *fde = &cfi->fdes[i];
		struct check check = { .cfi = cfi, .from = fde->start, .to = fde->start + fde->size };

		if (i && fde->start < fde[-1].start)
			abort();
		if (check.to < check.from)
			check.to = UINT64_MAX;
		(void)cfi_rows(cfi, fde, row_check, &check);
		for (uint64_t at = 0; at < fde->size; at += 1 + fde->size / 8)
			address_check(cfi, table, fde->start + at);
		address_check(cfi, table, check.to - 1);
		address_check(cfi, table, check.to);
	}
	table_free(table);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct dwarf_expr_frame frame = { .regs = registers(), .known = 0xff, .read = memory_read };
	struct cfi cfi;
	uint64_t out;

	for (int i = 0; i < 2; i++) {
		if (!cfi_init(&cfi, data, size, SECTION_ADDR, i))
			section_check(&cfi);
		cfi_free(&cfi);
	}
	(void)dwarf_expr(data, size, &frame, NULL, &out);
	return 0;
}
