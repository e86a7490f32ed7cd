/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/dwarf_expr.h"

#include "base/cfi_entry.h"

#include <errno.h>
#include <string.h>

#define STACK_MAX 64
#define STEPS_MAX 1000

/* DW_OP_* */
enum {
	OP_ADDR = 0x03,
	OP_DEREF = 0x06,
	OP_CONST1U = 0x08,
	OP_CONST1S = 0x09,
	OP_CONST2U = 0x0a,
	OP_CONST2S = 0x0b,
	OP_CONST4U = 0x0c,
	OP_CONST4S = 0x0d,
	OP_CONST8U = 0x0e,
	OP_CONST8S = 0x0f,
	OP_CONSTU = 0x10,
	OP_CONSTS = 0x11,
	OP_DUP = 0x12,
	OP_DROP = 0x13,
	OP_OVER = 0x14,
	OP_PICK = 0x15,
	OP_SWAP = 0x16,
	OP_ROT = 0x17,
	OP_ABS = 0x19,
	OP_AND = 0x1a,
	OP_DIV = 0x1b,
	OP_MINUS = 0x1c,
	OP_MOD = 0x1d,
	OP_MUL = 0x1e,
	OP_NEG = 0x1f,
	OP_NOT = 0x20,
	OP_OR = 0x21,
	OP_PLUS = 0x22,
	OP_PLUS_UCONST = 0x23,
	OP_SHL = 0x24,
	OP_SHR = 0x25,
	OP_SHRA = 0x26,
	OP_XOR = 0x27,
	OP_BRA = 0x28,
	OP_EQ = 0x29,
	OP_GE = 0x2a,
	OP_GT = 0x2b,
	OP_LE = 0x2c,
	OP_LT = 0x2d,
	OP_NE = 0x2e,
	OP_SKIP = 0x2f,
	OP_LIT0 = 0x30,
	OP_BREG0 = 0x70,
	OP_BREGX = 0x92,
	OP_DEREF_SIZE = 0x94,
	OP_NOP = 0x96,
};

struct evaluation {
	const struct dwarf_expr_frame *frame;
	struct cfi_scan scan;
	uint64_t stack[STACK_MAX];
	unsigned int depth;
	int err;
};

static void fail(struct evaluation *eval, int err)
{
	if (!eval->err)
		eval->err = err;
}

static void push(struct evaluation *eval, uint64_t value)
{
	if (eval->depth == STACK_MAX)
		fail(eval, -EBADMSG);
	else
		eval->stack[eval->depth++] = value;
}

static uint64_t pop(struct evaluation *eval)
{
	if (!eval->depth) {
		fail(eval, -EBADMSG);
		return 0;
	}
	return eval->stack[--eval->depth];
}

/* Pushes a copy of what is @from_top below the top. */
static void pick(struct evaluation *eval, unsigned int from_top)
{
	if (from_top >= eval->depth)
		fail(eval, -EBADMSG);
	else
		push(eval, eval->stack[eval->depth - 1 - from_top]);
}

static void push_register(struct evaluation *eval, uint64_t reg)
{
	uint64_t offset = (uint64_t)cfi_sleb(&eval->scan);

	if (reg >= 64 || !(eval->frame->known >> reg & 1))
		fail(eval, -EFAULT);
	else
		push(eval, eval->frame->regs[reg] + offset);
}

static void dereference(struct evaluation *eval, uint64_t size)
{
	uint64_t value = 0, addr = pop(eval);

	if (!size || size > sizeof(value))
		fail(eval, -EBADMSG);
	else if (!eval->err && !eval->frame->read(eval->frame->ctx, addr, &value, size))
		fail(eval, -EFAULT);
	push(eval, value);
}

static void jump(struct evaluation *eval, bool taken)
{
	int16_t by = (int16_t)cfi_uint(&eval->scan, 2);
	int64_t to = (int64_t)eval->scan.pos + by;

	if (!taken)
		return;
	if (to < 0 || to > (int64_t)eval->scan.end)
		fail(eval, -EBADMSG);
	else
		eval->scan.pos = (size_t)to;
}

static bool run_constant(struct evaluation *eval, uint8_t op)
{
	struct cfi_scan *scan = &eval->scan;

	switch (op) {
	case OP_ADDR:
	case OP_CONST8U:
	case OP_CONST8S:
		push(eval, cfi_uint(scan, 8));
		return true;
	case OP_CONST1U:
		push(eval, cfi_uint(scan, 1));
		return true;
	case OP_CONST1S:
		push(eval, (uint64_t)(int8_t)cfi_uint(scan, 1));
		return true;
	case OP_CONST2U:
		push(eval, cfi_uint(scan, 2));
		return true;
	case OP_CONST2S:
		push(eval, (uint64_t)(int16_t)cfi_uint(scan, 2));
		return true;
	case OP_CONST4U:
		push(eval, cfi_uint(scan, 4));
		return true;
	case OP_CONST4S:
		push(eval, (uint64_t)(int32_t)cfi_uint(scan, 4));
		return true;
	case OP_CONSTU:
		push(eval, cfi_uleb(scan));
		return true;
	case OP_CONSTS:
		push(eval, (uint64_t)cfi_sleb(scan));
		return true;
	default:
		return false;
	}
}

/* Operations that move what is on the stack, read memory or jump. */
static bool run_stack(struct evaluation *eval, uint8_t op)
{
	uint64_t a, b, c;

	switch (op) {
	case OP_DUP:
		pick(eval, 0);
		return true;
	case OP_DROP:
		(void)pop(eval);
		return true;
	case OP_OVER:
		pick(eval, 1);
		return true;
	case OP_PICK:
		pick(eval, (unsigned int)cfi_uint(&eval->scan, 1));
		return true;
	case OP_SWAP:
		a = pop(eval);
		b = pop(eval);
		push(eval, a);
		push(eval, b);
		return true;
	case OP_ROT:
		a = pop(eval);
		b = pop(eval);
		c = pop(eval);
		push(eval, a);
		push(eval, c);
		push(eval, b);
		return true;
	case OP_DEREF:
		dereference(eval, sizeof(uint64_t));
		return true;
	case OP_DEREF_SIZE:
		dereference(eval, cfi_uint(&eval->scan, 1));
		return true;
	case OP_BRA:
		jump(eval, pop(eval) != 0);
		return true;
	case OP_SKIP:
		jump(eval, true);
		return true;
	case OP_NOP:
		return true;
	default:
		return false;
	}
}

static bool run_unary(struct evaluation *eval, uint8_t op)
{
	uint64_t value;

	if (op != OP_ABS && op != OP_NEG && op != OP_NOT && op != OP_PLUS_UCONST)
		return false;
	value = pop(eval);
	if (op == OP_PLUS_UCONST)
		value += cfi_uleb(&eval->scan);
	else if (op == OP_NOT)
		value = ~value;
	else if (op == OP_NEG || (int64_t)value < 0)
		value = -value;
	push(eval, value);
	return true;
}

static bool compare(uint8_t op, int64_t left, int64_t right)
{
	switch (op) {
	case OP_EQ:
		return left == right;
	case OP_GE:
		return left >= right;
	case OP_GT:
		return left > right;
	case OP_LE:
		return left <= right;
	case OP_LT:
		return left < right;
	default:
		return left != right;
	}
}

static uint64_t divide(struct evaluation *eval, uint64_t left, uint64_t right)
{
	if (!right) {
		fail(eval, -EBADMSG);
		return 0;
	}
	/* The one quotient that does not fit. */
	return (int64_t)right == -1 ? -left : (uint64_t)((int64_t)left / (int64_t)right);
}

static uint64_t shift(uint8_t op, uint64_t left, uint64_t by)
{
	if (op == OP_SHL)
		return by < 64 ? left << by : 0;
	if (op == OP_SHR)
		return by < 64 ? left >> by : 0;
	if (by > 63)
		by = 63;
	/* Copies of the sign come in from above. */
	return (int64_t)left < 0 ? ~(~left >> by) : left >> by;
}

static void run_binary(struct evaluation *eval, uint8_t op)
{
	uint64_t right = pop(eval), left = pop(eval), value = 0;

	switch (op) {
	case OP_AND:
		value = left & right;
		break;
	case OP_OR:
		value = left | right;
		break;
	case OP_XOR:
		value = left ^ right;
		break;
	case OP_PLUS:
		value = left + right;
		break;
	case OP_MINUS:
		value = left - right;
		break;
	case OP_MUL:
		value = left * right;
		break;
	case OP_DIV:
		value = divide(eval, left, right);
		break;
	case OP_MOD:
		if (right)
			value = left % right;
		else
			fail(eval, -EBADMSG);
		break;
	case OP_SHL:
	case OP_SHR:
	case OP_SHRA:
		value = shift(op, left, right);
		break;
	default:
		if (op < OP_EQ || op > OP_NE)
			fail(eval, -EBADMSG);
		value = compare(op, (int64_t)left, (int64_t)right);
	}
	push(eval, value);
}

static void run_one(struct evaluation *eval)
{
	uint8_t op = (uint8_t)cfi_uint(&eval->scan, 1);

	if (op >= OP_LIT0 && op < OP_LIT0 + 32)
		push(eval, op - OP_LIT0);
	else if (op >= OP_BREG0 && op < OP_BREG0 + 32)
		push_register(eval, op - OP_BREG0);
	else if (op == OP_BREGX)
		push_register(eval, cfi_uleb(&eval->scan));
	else if (!run_constant(eval, op) && !run_stack(eval, op) && !run_unary(eval, op))
		run_binary(eval, op);
	if (eval->scan.bad)
		fail(eval, -EBADMSG);
}

int dwarf_expr(const uint8_t *code, size_t len, const struct dwarf_expr_frame *frame, const uint64_t *first,
	       uint64_t *out)
{
	struct evaluation eval = { .frame = frame, .scan = { .data = code, .end = len } };
	uint64_t value;

	if (first)
		push(&eval, *first);
	for (unsigned int steps = 0; eval.scan.pos < len && !eval.err; steps++) {
		run_one(&eval);
		if (steps == STEPS_MAX)
			fail(&eval, -EBADMSG);
	}
	value = pop(&eval);
	if (!eval.err)
		*out = value;
	return eval.err;
}
