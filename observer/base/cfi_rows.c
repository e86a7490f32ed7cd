/* SPDX-License-Identifier: GPL-2.0-only */
/* The machine that makes rows of the instructions of call frame information. */
#include "base/cfi.h"
#include "base/cfi_entry.h"

#include <errno.h>
#include <string.h>

/* Compilers nest once; a table that needs more bytes for one function than this is not worth its time. */
#define REMEMBER_MAX 8
#define CODE_MAX     (256u << 10)

/* DW_CFA_*. The first three have an operand in their low six bits. */
enum {
	OP_ADVANCE = 0x40,
	OP_OFFSET = 0x80,
	OP_RESTORE = 0xc0,
	OP_NOP = 0x00,
	OP_SET_LOC = 0x01,
	OP_ADVANCE1 = 0x02,
	OP_ADVANCE2 = 0x03,
	OP_ADVANCE4 = 0x04,
	OP_OFFSET_EXTENDED = 0x05,
	OP_RESTORE_EXTENDED = 0x06,
	OP_UNDEFINED = 0x07,
	OP_SAME_VALUE = 0x08,
	OP_REGISTER = 0x09,
	OP_REMEMBER = 0x0a,
	OP_RECALL = 0x0b,
	OP_DEF_CFA = 0x0c,
	OP_DEF_CFA_REGISTER = 0x0d,
	OP_DEF_CFA_OFFSET = 0x0e,
	OP_DEF_CFA_EXPRESSION = 0x0f,
	OP_EXPRESSION = 0x10,
	OP_OFFSET_EXTENDED_SF = 0x11,
	OP_DEF_CFA_SF = 0x12,
	OP_DEF_CFA_OFFSET_SF = 0x13,
	OP_VAL_OFFSET = 0x14,
	OP_VAL_OFFSET_SF = 0x15,
	OP_VAL_EXPRESSION = 0x16,
	OP_NEGATE_RA_STATE = 0x2d, /* aarch64; SPARC's window_save */
	OP_ARGS_SIZE = 0x2e,
	OP_NEGATIVE_OFFSET = 0x2f,
};

struct machine {
	const struct cfi *cfi;
	const struct cfi_cie *cie;
	struct cfi_scan scan;
	struct cfi_row row, first; /* @first: as the CIE leaves it */
	struct cfi_row kept[REMEMBER_MAX];
	unsigned int kept_count;
	uint64_t loc, end; /* the row begins here; the function ends there */
	cfi_row_fn fn;
	void *ctx;
};

static void rule_set(struct machine *machine, uint64_t reg, struct cfi_rule rule)
{
	if (reg >= CFI_REGS)
		return;
	machine->row.regs[reg] = rule;
	if (rule.kind != CFI_UNSET)
		machine->row.named |= 1ull << reg;
	else
		machine->row.named &= ~(1ull << reg);
}

static void rule_set_kind(struct machine *machine, uint64_t reg, enum cfi_kind kind)
{
	rule_set(machine, reg, (struct cfi_rule){ .kind = (uint8_t)kind });
}

/* A rule with an offset, in bytes. One that is too far is no rule. */
static void rule_set_offset(struct machine *machine, uint64_t reg, enum cfi_kind kind, int64_t offset)
{
	if (offset != (int32_t)offset)
		machine->scan.bad = true;
	rule_set(machine, reg, (struct cfi_rule){ .kind = (uint8_t)kind, .offset = (int32_t)offset });
}

static void rule_restore(struct machine *machine, uint64_t reg)
{
	if (reg < CFI_REGS)
		rule_set(machine, reg, machine->first.regs[reg]);
}

static int64_t scaled(const struct machine *machine, int64_t factored)
{
	return (int64_t)((uint64_t)factored * (uint64_t)machine->cie->data_align);
}

/* An expression: its length, then its bytes, which stay where they are. */
static struct cfi_rule expression_take(struct machine *machine, enum cfi_kind kind)
{
	struct cfi_scan *scan = &machine->scan;
	uint64_t len = cfi_uleb(scan);
	struct cfi_rule rule = { .kind = (uint8_t)kind };

	if (scan->bad || len > scan->end - scan->pos || len > UINT16_MAX) {
		scan->bad = true;
		return rule;
	}
	rule.offset = (int32_t)scan->pos;
	rule.len = (uint16_t)len;
	scan->pos += len;
	return rule;
}

static void cfa_set(struct machine *machine, uint64_t reg, int64_t offset)
{
	if (reg >= CFI_REGS || offset != (int32_t)offset) {
		machine->scan.bad = true;
		return;
	}
	machine->row.cfa = (struct cfi_rule){ .kind = CFI_REGISTER, .reg = (uint8_t)reg, .offset = (int32_t)offset };
}

static void remember(struct machine *machine)
{
	if (machine->kept_count == REMEMBER_MAX)
		machine->scan.bad = true;
	else
		machine->kept[machine->kept_count++] = machine->row;
}

static void recall(struct machine *machine)
{
	if (!machine->kept_count)
		machine->scan.bad = true;
	else
		machine->row = machine->kept[--machine->kept_count];
}

/* The row is complete as far as @to. */
static int advance(struct machine *machine, uint64_t to)
{
	uint64_t from = machine->loc;

	if (to > machine->end)
		to = machine->end;
	if (to <= from)
		return 0;
	machine->loc = to;
	return machine->fn(machine->ctx, from, to, &machine->row);
}

static int advance_by(struct machine *machine, uint64_t units)
{
	uint64_t bytes, to;

	if (__builtin_mul_overflow(units, machine->cie->code_align, &bytes) ||
	    __builtin_add_overflow(machine->loc, bytes, &to))
		to = machine->end;
	return advance(machine, to);
}

/* The instructions that define the CFA. False where @op is none of them. */
static bool run_cfa(struct machine *machine, uint8_t op)
{
	struct cfi_scan *scan = &machine->scan;
	uint64_t reg;

	switch (op) {
	case OP_DEF_CFA:
		reg = cfi_uleb(scan);
		cfa_set(machine, reg, (int64_t)cfi_uleb(scan));
		return true;
	case OP_DEF_CFA_SF:
		reg = cfi_uleb(scan);
		cfa_set(machine, reg, scaled(machine, cfi_sleb(scan)));
		return true;
	case OP_DEF_CFA_REGISTER:
		scan->bad |= machine->row.cfa.kind != CFI_REGISTER;
		cfa_set(machine, cfi_uleb(scan), machine->row.cfa.offset);
		return true;
	case OP_DEF_CFA_OFFSET:
		scan->bad |= machine->row.cfa.kind != CFI_REGISTER;
		cfa_set(machine, machine->row.cfa.reg, (int64_t)cfi_uleb(scan));
		return true;
	case OP_DEF_CFA_OFFSET_SF:
		scan->bad |= machine->row.cfa.kind != CFI_REGISTER;
		cfa_set(machine, machine->row.cfa.reg, scaled(machine, cfi_sleb(scan)));
		return true;
	case OP_DEF_CFA_EXPRESSION:
		machine->row.cfa = expression_take(machine, CFI_EXPR);
		return true;
	default:
		return false;
	}
}

/* The instructions that say where a register is: those for which has_register() holds. */
static bool run_rule(struct machine *machine, uint8_t op)
{
	struct cfi_scan *scan = &machine->scan;
	uint64_t reg = cfi_uleb(scan), other;

	switch (op) {
	case OP_OFFSET_EXTENDED:
		rule_set_offset(machine, reg, CFI_AT_CFA, scaled(machine, (int64_t)cfi_uleb(scan)));
		return true;
	case OP_OFFSET_EXTENDED_SF:
		rule_set_offset(machine, reg, CFI_AT_CFA, scaled(machine, cfi_sleb(scan)));
		return true;
	case OP_NEGATIVE_OFFSET:
		rule_set_offset(machine, reg, CFI_AT_CFA, -scaled(machine, (int64_t)(cfi_uleb(scan) & INT64_MAX)));
		return true;
	case OP_VAL_OFFSET:
		rule_set_offset(machine, reg, CFI_CFA_OFFSET, scaled(machine, (int64_t)cfi_uleb(scan)));
		return true;
	case OP_VAL_OFFSET_SF:
		rule_set_offset(machine, reg, CFI_CFA_OFFSET, scaled(machine, cfi_sleb(scan)));
		return true;
	case OP_RESTORE_EXTENDED:
		rule_restore(machine, reg);
		return true;
	case OP_UNDEFINED:
		rule_set_kind(machine, reg, CFI_UNDEFINED);
		return true;
	case OP_SAME_VALUE:
		rule_set_kind(machine, reg, CFI_SAME);
		return true;
	case OP_REGISTER:
		other = cfi_uleb(scan);
		rule_set(machine, reg,
			 (struct cfi_rule){ .kind = other < CFI_REGS ? CFI_REGISTER : CFI_UNDEFINED,
					    .reg = (uint8_t)other });
		return true;
	case OP_EXPRESSION:
		rule_set(machine, reg, expression_take(machine, CFI_AT_EXPR));
		return true;
	case OP_VAL_EXPRESSION:
		rule_set(machine, reg, expression_take(machine, CFI_EXPR));
		return true;
	default:
		return false;
	}
}

/* The instructions without a register, which end rows among others. 0, or what ends the walk. */
static int run_other(struct machine *machine, uint8_t op)
{
	struct cfi_scan *scan = &machine->scan;
	uint64_t at;

	switch (op) {
	case OP_NOP:
		return 0;
	case OP_SET_LOC:
		at = machine->cfi->addr + scan->pos;
		return advance(machine, cfi_pointer(scan, machine->cie->encoding, at));
	case OP_ADVANCE1:
		return advance_by(machine, cfi_uint(scan, 1));
	case OP_ADVANCE2:
		return advance_by(machine, cfi_uint(scan, 2));
	case OP_ADVANCE4:
		return advance_by(machine, cfi_uint(scan, 4));
	case OP_REMEMBER:
		remember(machine);
		return 0;
	case OP_RECALL:
		recall(machine);
		return 0;
	case OP_NEGATE_RA_STATE:
		machine->row.ra_signed = !machine->row.ra_signed;
		return 0;
	case OP_ARGS_SIZE:
		(void)cfi_uleb(scan);
		return 0;
	default: /* not known, so that nothing after it can be read */
		scan->bad = true;
		return 0;
	}
}

static bool has_register(uint8_t op)
{
	return (op >= OP_OFFSET_EXTENDED && op <= OP_REGISTER) || op == OP_EXPRESSION || op == OP_OFFSET_EXTENDED_SF ||
	       (op >= OP_VAL_OFFSET && op <= OP_VAL_EXPRESSION) || op == OP_NEGATIVE_OFFSET;
}

static int run_one(struct machine *machine)
{
	struct cfi_scan *scan = &machine->scan;
	uint8_t op = (uint8_t)cfi_uint(scan, 1), low = op & 0x3f;

	switch (op & 0xc0) {
	case OP_ADVANCE:
		return advance_by(machine, low);
	case OP_OFFSET:
		rule_set_offset(machine, low, CFI_AT_CFA, scaled(machine, (int64_t)cfi_uleb(scan)));
		return 0;
	case OP_RESTORE:
		rule_restore(machine, low);
		return 0;
	default:
		break;
	}
	if (run_cfa(machine, op) || (has_register(op) && run_rule(machine, op)))
		return 0;
	return run_other(machine, op);
}

static int run(struct machine *machine, size_t pos, size_t end)
{
	int got = 0;

	machine->scan = (struct cfi_scan){ .data = machine->cfi->data, .pos = pos, .end = end };
	if (end - pos > CODE_MAX)
		return -EBADMSG;
	while (machine->scan.pos < end && !got && !machine->scan.bad)
		got = run_one(machine);
	return got ? got : machine->scan.bad ? -EBADMSG : 0;
}

int cfi_rows(const struct cfi *cfi, const struct cfi_fde *fde, cfi_row_fn fn, void *ctx)
{
	struct cfi_cie cie = { .offset = SIZE_MAX };
	struct cfi_entry entry;
	struct cfi_fde self;
	struct machine machine = { .cfi = cfi, .cie = &cie, .fn = fn, .ctx = ctx };
	size_t pos = fde->offset;
	int got;

	if (pos >= cfi->len || !cfi_entry_next(cfi, &pos, &entry) || cfi_entry_fde(cfi, &entry, &cie, &self))
		return -EBADMSG;
	machine.row.ra = cie.ra;
	machine.row.signal = cie.signal;
	/* The CIE's instructions hold at the first address: none of them moves on. */
	got = run(&machine, cie.code, cie.code_end);
	if (got)
		return got;
	machine.first = machine.row;
	machine.kept_count = 0;
	machine.loc = self.start;
	machine.end = self.start + self.size < self.start ? UINT64_MAX : self.start + self.size;
	got = run(&machine, entry.pos, entry.end);
	return got ? got : advance(&machine, machine.end);
}

size_t cfi_work(const struct cfi *cfi, const struct cfi_fde *fde)
{
	struct cfi_cie cie = { .offset = SIZE_MAX };
	struct cfi_entry entry;
	struct cfi_fde self;
	size_t pos = fde->offset;

	if (pos >= cfi->len || !cfi_entry_next(cfi, &pos, &entry) || cfi_entry_fde(cfi, &entry, &cie, &self))
		return 0;
	return cie.code_end - cie.code + (entry.end - entry.pos);
}
