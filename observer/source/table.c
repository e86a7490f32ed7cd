/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/table.h"

#include "base/cfi.h"
#include "source/table_rows.h"

#include <dwarf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RULE_INDEX_OTHER 1 /* as RULE_INDEX_NONE: one that each table has */

struct compiler {
	const struct cfi *cfi; /* that the rows come from */
	uint64_t base, limit;  /* of the object's code */
	uint64_t end;	       /* of the function at hand, as far as it is its own */
	uint64_t told;	       /* up to where the rows of that function have come */
	size_t work;	       /* TABLE_WORK_MAX at most */
	struct rows rows;
	struct wire_rule *rules;
	uint32_t rule_count, rule_room;
	uint32_t *buckets; /* of rules by their hash: index + 1 */
};

static uint32_t rule_hash(const struct wire_rule *rule)
{
	uint64_t words[2];

	_Static_assert(sizeof(words) == sizeof(*rule), "a rule is two words, without padding");
	memcpy(words, rule, sizeof(words));
	words[0] = (words[0] ^ words[1] * 0x9e3779b97f4a7c15ull) * 0xff51afd7ed558ccdull;
	return (uint32_t)(words[0] >> 32);
}

/* Room for twice as many rules. */
static int rules_widen(struct compiler *compiler)
{
	uint32_t room = compiler->rule_room ? compiler->rule_room * 2 : 256, mask = room * 2 - 1;
	struct wire_rule *rules = reallocarray(compiler->rules, room, sizeof(*rules));
	uint32_t *buckets = calloc((size_t)room * 2, sizeof(*buckets));

	if (rules)
		compiler->rules = rules;
	if (!rules || !buckets) {
		free(buckets);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < compiler->rule_count; i++) {
		uint32_t at = rule_hash(&rules[i]) & mask;

		while (buckets[at])
			at = (at + 1) & mask;
		buckets[at] = i + 1;
	}
	free(compiler->buckets);
	compiler->buckets = buckets;
	compiler->rule_room = room;
	return 0;
}

/* The index of @rule, entered if it is new; RULE_OTHER's where there are too many. */
static int rule_intern(struct compiler *compiler, const struct wire_rule *rule, uint16_t *ret_index)
{
	uint32_t at, mask, entry;

	if (compiler->rule_count == compiler->rule_room) {
		int err = rules_widen(compiler);

		if (err)
			return err;
	}
	mask = compiler->rule_room * 2 - 1;
	for (at = rule_hash(rule) & mask; (entry = compiler->buckets[at]); at = (at + 1) & mask) {
		if (!memcmp(&compiler->rules[entry - 1], rule, sizeof(*rule))) {
			*ret_index = (uint16_t)(entry - 1);
			return 0;
		}
	}
	if (compiler->rule_count == TABLE_RULES_MAX) {
		*ret_index = RULE_INDEX_OTHER;
		return 0;
	}
	compiler->rules[compiler->rule_count] = *rule;
	compiler->buckets[at] = ++compiler->rule_count;
	*ret_index = (uint16_t)(compiler->rule_count - 1);
	return 0;
}

/* An expression's bytes. */
struct code {
	const uint8_t *at, *end;
};

static struct code code_of(const struct cfi *cfi, const struct cfi_rule *rule)
{
	return (struct code){ .at = cfi->data + rule->offset, .end = cfi->data + rule->offset + rule->len };
}

/* A LEB128 number of at most 4 bytes, as all offsets in practice are; false where it is longer or ends too soon. */
static bool leb_take(struct code *code, bool is_signed, int32_t *out)
{
	uint32_t value = 0;
	unsigned int shift = 0;

	while (code->at < code->end && shift < 28) {
		uint8_t byte = *code->at++;

		value |= (uint32_t)(byte & 0x7f) << shift;
		shift += 7;
		if (byte & 0x80)
			continue;
		if (is_signed && byte & 0x40)
			value |= ~0u << shift;
		*out = (int32_t)value;
		return true;
	}
	return false;
}

/* reg + off, as an expression may begin, and + constant, where that is next. */
static bool base_take(struct code *code, uint8_t *ret_reg, int32_t *ret_off)
{
	int32_t more = 0;

	if (code->at == code->end || *code->at < DW_OP_breg0 || *code->at >= DW_OP_breg0 + STACK_REGISTERS)
		return false;
	*ret_reg = (uint8_t)(*code->at++ - DW_OP_breg0);
	if (!leb_take(code, true, ret_off))
		return false;
	if (code->at < code->end && *code->at == DW_OP_plus_uconst) {
		code->at++;
		if (!leb_take(code, false, &more))
			return false;
	}
	return !__builtin_add_overflow(*ret_off, more, ret_off);
}

/* What linkers write for the entries of the PLT: rsp + 8 + ((rip & 15) >= N) * 8. */
static bool plt_match(struct code code, int32_t *ret_from)
{
	static const uint8_t before[] = { DW_OP_breg7, 8, DW_OP_breg16, 0, DW_OP_lit15, DW_OP_and };
	static const uint8_t after[] = { DW_OP_ge, DW_OP_lit3, DW_OP_shl, DW_OP_plus };
	const uint8_t *at = code.at;

	if (code.end - at != sizeof(before) + 1 + sizeof(after) || memcmp(at, before, sizeof(before)) != 0 ||
	    memcmp(at + sizeof(before) + 1, after, sizeof(after)) != 0)
		return false;
	at += sizeof(before);
	if (*at < DW_OP_lit0 || *at > DW_OP_lit15)
		return false;
	*ret_from = *at - DW_OP_lit0;
	return true;
}

/* The CFA of @row. False where a rule cannot say it. */
static bool cfa_convert(const struct cfi *cfi, const struct cfi_rule *cfa, struct wire_rule *out)
{
	struct code code;
	int32_t add = 0;

	out->cfa = RULE_REG;
	if (cfa->kind == CFI_REGISTER && cfa->reg < STACK_REGISTERS) {
		out->reg = cfa->reg;
		out->off = cfa->offset;
		return true;
	}
	if (cfa->kind != CFI_EXPR)
		return false;
	code = code_of(cfi, cfa);
	if (plt_match(code, &out->off)) {
		out->cfa = RULE_PLT;
		out->reg = STACK_RSP;
		return true;
	}
	if (!base_take(&code, &out->reg, &out->off))
		return false;
	if (code.at == code.end)
		return true;
	out->cfa = RULE_DEREF;
	if (*code.at++ != DW_OP_deref)
		return false;
	if (code.at < code.end && (*code.at++ != DW_OP_plus_uconst || !leb_take(&code, false, &add)))
		return false;
	out->add = (int16_t)add;
	return code.at == code.end && add == out->add;
}

/* Where a caller's register is. False where a rule cannot say it. */
static bool saved_convert(const struct cfi *cfi, const struct cfi_rule *rule, enum rule_saved *ret_how,
			  int16_t *ret_off)
{
	int32_t off = rule->offset;
	struct code code;
	uint8_t reg;

	*ret_how = SAVED_NOT;
	if (rule->kind == CFI_UNSET || rule->kind == CFI_SAME || rule->kind == CFI_UNDEFINED)
		return true;
	*ret_how = SAVED_CFA;
	if (rule->kind == CFI_AT_EXPR) {
		code = code_of(cfi, rule);
		if (!base_take(&code, &reg, &off) || code.at != code.end || (reg != STACK_RSP && reg != STACK_RBP))
			return false;
		*ret_how = reg == STACK_RSP ? SAVED_RSP : SAVED_RBP;
	} else if (rule->kind != CFI_AT_CFA) {
		return false;
	}
	*ret_off = (int16_t)off;
	return off == *ret_off;
}

/* Whether the caller's stack pointer is the CFA, as it is but for signal frames, which may say it in a rule of its own. */
static bool is_cfa(const struct cfi *cfi, const struct cfi_rule *rsp, const struct wire_rule *rule)
{
	enum rule_saved how;
	int16_t off = 0;

	if (rsp->kind == CFI_UNSET || (rsp->kind == CFI_CFA_OFFSET && !rsp->offset))
		return true;
	return rule->cfa == RULE_DEREF && rule->reg == STACK_RSP && !rule->add && saved_convert(cfi, rsp, &how, &off) &&
	       how == SAVED_RSP && off == rule->off;
}

static struct wire_rule rule_convert(const struct cfi *cfi, const struct cfi_row *row)
{
	const struct wire_rule other = { .cfa = RULE_OTHER };
	struct wire_rule rule = { .cfa = RULE_END };
	enum rule_saved ra, rbp, rbx;

	if (row->ra != STACK_RA)
		return other;
	if (row->regs[STACK_RA].kind == CFI_UNDEFINED)
		return rule;
	if (!cfa_convert(cfi, &row->cfa, &rule) || !saved_convert(cfi, &row->regs[STACK_RA], &ra, &rule.ra) ||
	    !saved_convert(cfi, &row->regs[STACK_RBP], &rbp, &rule.rbp) ||
	    !saved_convert(cfi, &row->regs[STACK_RBX], &rbx, &rule.rbx) || ra == SAVED_NOT ||
	    !is_cfa(cfi, &row->regs[STACK_RSP], &rule))
		return other;
	rule.saved = RULE_SAVED(ra, rbp, rbx);
	rule.signalled = row->signal;
	return rule;
}

/* Has the rows say @rule from @addr on. */
static int row_add(struct compiler *compiler, uint64_t addr, uint16_t rule)
{
	return rows_add(&compiler->rows, (uint32_t)(addr - compiler->base), rule);
}

static int row_take(void *ctx, uint64_t start, uint64_t end, const struct cfi_row *row)
{
	struct compiler *compiler = ctx;
	struct wire_rule rule;
	uint16_t index;
	int err;

	if (start >= compiler->end)
		return 0;
	compiler->told = end < compiler->end ? end : compiler->end;
	rule = rule_convert(compiler->cfi, row);
	err = rule_intern(compiler, &rule, &index);
	return err ? err : row_add(compiler, start, index);
}

/* The rows of one section's functions; where they overlap, the one that begins later ends the other. */
static int functions_take(struct compiler *compiler)
{
	const struct cfi *cfi = compiler->cfi;
	int err = row_add(compiler, compiler->base, RULE_INDEX_NONE);

	for (size_t i = 0; i < cfi->fde_count && !err; i++) {
		const struct cfi_fde *fde = &cfi->fdes[i];

		if (fde->start < compiler->base || fde->start >= compiler->limit)
			continue;
		compiler->end = compiler->limit - fde->start < fde->size ? compiler->limit : fde->start + fde->size;
		if (i + 1 < cfi->fde_count && cfi->fdes[i + 1].start < compiler->end)
			compiler->end = cfi->fdes[i + 1].start;
		if (compiler->end <= fde->start)
			continue;
		compiler->work += cfi_work(cfi, fde);
		if (compiler->work > TABLE_WORK_MAX)
			return -E2BIG;
		compiler->told = fde->start;
		err = cfi_rows(cfi, fde, row_take, compiler);
		/* Nothing is known of what is behind a mistake. */
		if (!err || err == -EBADMSG)
			err = row_add(compiler, compiler->told, RULE_INDEX_NONE);
	}
	return err;
}

/* The same of one more section: it is asked where those before it say nothing. */
static int section_take(struct compiler *compiler, const struct cfi *cfi)
{
	struct rows above = compiler->rows;
	int err;

	if (!cfi->fde_count)
		return 0;
	compiler->cfi = cfi;
	compiler->rows = (struct rows){ 0 };
	err = functions_take(compiler);
	if (!err && above.count)
		err = rows_merge(&compiler->rows, &above);
	free(above.list);
	return err;
}

/* Has @rule hold from @start to @end, as far as nothing else does. */
static int gap_fill(struct compiler *compiler, uint64_t start, uint64_t end, const struct wire_rule *rule)
{
	uint16_t index;
	int err;

	if (start < compiler->base || start >= compiler->limit || end <= start)
		return 0;
	end = end < compiler->limit ? end : compiler->limit;
	err = rule_intern(compiler, rule, &index);
	return err ? err
		   : rows_fill(&compiler->rows, (uint32_t)(start - compiler->base), (uint32_t)(end - compiler->base),
			       index);
}

/* Assembler that is known without a description: nobody calls the piece at which the kernel starts a program, and some
 * functions of the start files are always the same. */
static int gaps_fill(struct compiler *compiler, const struct unwind_object *object)
{
	const struct wire_rule nobody = { .cfa = RULE_END };
	struct wire_rule rule = { .cfa = RULE_REG, .reg = STACK_RSP, .ra = -8, .saved = RULE_SAVED(SAVED_CFA, 0, 0) };
	uint64_t end = object->entry;
	int err;

	while (object_is_start(object, end))
		end++;
	err = gap_fill(compiler, object->entry, end, &nobody);
	for (unsigned int i = 0; i < OBJECT_PLAINS && !err; i++) {
		const struct object_plain *plain = &object->plains[i];

		for (uint64_t addr = plain->start; addr < plain->end && !err; addr = end) {
			rule.off = (int32_t)object_plain_depth(object, addr);
			for (end = addr + 1; end < plain->end; end++)
				if (object_plain_depth(object, end) != (unsigned int)rule.off)
					break;
			err = gap_fill(compiler, addr, end, &rule);
		}
	}
	return err;
}

/* Parts the rows into the arrays of a table. */
static int table_fill(struct compiler *compiler, struct table *table)
{
	if (compiler->rows.count > TABLE_ROWS_MAX)
		return -E2BIG;
	table->base = compiler->base;
	table->pcs = calloc(compiler->rows.count, sizeof(*table->pcs));
	table->rule_of = calloc(compiler->rows.count, sizeof(*table->rule_of));
	if (!table->pcs || !table->rule_of)
		return -ENOMEM;
	for (size_t i = 0; i < compiler->rows.count; i++) {
		table->pcs[i] = compiler->rows.list[i].pc;
		table->rule_of[i] = compiler->rows.list[i].rule;
	}
	table->count = (uint32_t)compiler->rows.count;
	table->rules = compiler->rules;
	table->rule_count = compiler->rule_count;
	compiler->rules = NULL;
	return 0;
}

/* The range of addresses that segments with code have. False where there is none that a table could span. */
static bool code_range(const struct unwind_object *object, uint64_t *ret_base, uint64_t *ret_limit)
{
	uint64_t base = UINT64_MAX, limit = 0;

	for (unsigned int i = 0; i < object->segment_count; i++) {
		const struct object_segment *segment = &object->segments[i];
		uint64_t end;

		if (__builtin_add_overflow(segment->addr, segment->size, &end))
			return false;
		base = segment->addr < base ? segment->addr : base;
		limit = end > limit ? end : limit;
	}
	*ret_base = base;
	*ret_limit = limit;
	return limit > base && limit - base < UINT32_MAX - 4;
}

int table_compile(const struct unwind_object *object, struct table **ret_table)
{
	static const struct wire_rule none = { .cfa = RULE_NONE }, other = { .cfa = RULE_OTHER };
	struct compiler compiler = { 0 };
	struct table *table;
	uint16_t index;
	int err;

	if ((!object->frames[0].fde_count && !object->frames[1].fde_count) ||
	    !code_range(object, &compiler.base, &compiler.limit))
		return -ENODATA;
	table = calloc(1, sizeof(*table));
	err = table ? rule_intern(&compiler, &none, &index) : -ENOMEM;
	if (!err)
		err = rule_intern(&compiler, &other, &index);
	for (int i = 0; i < 2 && !err; i++)
		err = section_take(&compiler, &object->frames[i]);
	if (!err)
		err = gaps_fill(&compiler, object);
	if (!err)
		err = table_fill(&compiler, table);
	if (!err) {
		*ret_table = table;
		table = NULL;
	}
	table_free(table);
	free(compiler.rows.list);
	free(compiler.rules);
	free(compiler.buckets);
	return err;
}

const struct wire_rule *table_find(const struct table *table, uint64_t addr)
{
	uint32_t low = 0, high = table->count;
	uint64_t pc = addr - table->base;

	if (addr < table->base || pc >= UINT32_MAX)
		return &table->rules[RULE_INDEX_NONE];
	while (high - low > 1) {
		uint32_t mid = low + (high - low) / 2;

		if (table->pcs[mid] <= pc)
			low = mid;
		else
			high = mid;
	}
	return &table->rules[table->rule_of[low]];
}

void table_free(struct table *table)
{
	if (!table)
		return;
	free(table->pcs);
	free(table->rule_of);
	free(table->rules);
	free(table);
}
