/* SPDX-License-Identifier: GPL-2.0-only */
/* dwarf_expr: evaluates DWARF expressions, as far as call frame information has them (DWARF 5 sections 2.5 and 6.4.2). */
#ifndef HEAPTRACE_DWARF_EXPR_H
#define HEAPTRACE_DWARF_EXPR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads exactly @len bytes at @addr of the target. False where they cannot be had. */
typedef bool (*dwarf_read_fn)(void *ctx, uint64_t addr, void *out, size_t len);

struct dwarf_expr_frame {
	const uint64_t *regs; /* 64 of them, by DWARF number */
	uint64_t known;	      /* bit set: regs[] has that register's value */
	dwarf_read_fn read;
	void *ctx;
};

/* Evaluates @len bytes at @code, beginning with *@first on the stack (NULL: with nothing). 0 with *@out being what is then on
 * top; -EBADMSG for bytes that are no such expression, or take too long; -EFAULT for a register or memory that is not known. */
int dwarf_expr(const uint8_t *code, size_t len, const struct dwarf_expr_frame *frame, const uint64_t *first,
	       uint64_t *out);

#endif
