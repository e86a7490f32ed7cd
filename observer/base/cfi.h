/* SPDX-License-Identifier: GPL-2.0-only */
/* cfi: call frame information, the tables that say how to get from a function's frame to its caller's (.eh_frame and
 * .debug_frame; DWARF 5 section 6.4, LSB 5.0 chapter 10.6).
 *
 * The bytes come from the target's files and are not trusted: whatever they hold, nothing outside of them is read, and time and
 * memory are bounded. Addresses are those that the object was linked for. */
#ifndef HEAPTRACE_CFI_H
#define HEAPTRACE_CFI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Rules are kept for the registers below this number: on x86-64 the general ones and the return address (16), on aarch64
 * x0 to x30 and sp (31). Vector registers are callers' business. */
#define CFI_REGS 33

enum cfi_kind {
	CFI_UNSET,	/* nothing was said: the register is as it was; the stack pointer is the CFA */
	CFI_SAME,	/* as it was */
	CFI_UNDEFINED,	/* lost; of the return address: this is the outermost frame */
	CFI_AT_CFA,	/* saved in memory at CFA + offset */
	CFI_CFA_OFFSET, /* its value is CFA + offset */
	CFI_REGISTER,	/* its value is in register @reg; of the CFA: that register + offset */
	CFI_AT_EXPR,	/* saved in memory at the address that an expression gives */
	CFI_EXPR,	/* its value is what an expression gives */
};

struct cfi_rule {
	uint8_t kind; /* enum cfi_kind */
	uint8_t reg;
	uint16_t len;	/* of the expression */
	int32_t offset; /* in bytes; of an expression: where it begins in the section */
};

/* What holds at one instruction. */
struct cfi_row {
	struct cfi_rule cfa; /* CFI_REGISTER or CFI_EXPR; CFI_UNSET: not known */
	struct cfi_rule regs[CFI_REGS];
	uint64_t named; /* bit set: regs[] has a rule that is not CFI_UNSET */
	uint8_t ra;	/* the register that stands for the return address */
	bool signal;	/* a signal handler's return: the frame that it leads to was interrupted at this very address */
	bool ra_signed; /* aarch64: the return address carries an authentication code */
};

/* One function's entry. */
struct cfi_fde {
	uint64_t start;
	uint32_t size;
	uint32_t offset; /* in the section */
};

struct cfi {
	const uint8_t *data; /* the section; the caller's */
	size_t len;
	uint64_t addr;	      /* that it was linked for */
	bool debug_frame;     /* .debug_frame rather than .eh_frame */
	struct cfi_fde *fdes; /* in ascending order of start */
	size_t fde_count;
};

/* The most that a section may have. */
#define CFI_SECTION_MAX (64u << 20)

/* Reads the list of functions from a section of @len bytes, which must stay; what cannot be read is left out. 0, -EFBIG or
 * -ENOMEM. cfi_free() gives the list back. */
int cfi_init(struct cfi *cfi, const void *data, size_t len, uint64_t addr, bool debug_frame);

/* Frees the list of functions, not the section. NULL is legal. */
void cfi_free(struct cfi *cfi);

/* The function that has an instruction at @addr, or NULL. */
const struct cfi_fde *cfi_find(const struct cfi *cfi, uint64_t addr);

/* What holds at @addr: 0 with @out filled, -ENOENT where the section says nothing of it, -EBADMSG where it is malformed. */
int cfi_row_at(const struct cfi *cfi, uint64_t addr, struct cfi_row *out);

/* Takes what holds from @start up to @end. What is not 0 ends the walk. */
typedef int (*cfi_row_fn)(void *ctx, uint64_t start, uint64_t end, const struct cfi_row *row);

/* Calls @fn for each row of a function, in ascending order. 0, -EBADMSG where it is malformed (rows before that have been
 * handed over), or what @fn returned. */
int cfi_rows(const struct cfi *cfi, const struct cfi_fde *fde, cfi_row_fn fn, void *ctx);

/* How many bytes of instructions cfi_rows() goes through for a function: many functions may share long ones. */
size_t cfi_work(const struct cfi *cfi, const struct cfi_fde *fde);

#endif
