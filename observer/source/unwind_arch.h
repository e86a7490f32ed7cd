/* SPDX-License-Identifier: GPL-2.0-only */
/* unwind_arch: what unwinding has to know of an architecture. */
#ifndef HEAPTRACE_UNWIND_ARCH_H
#define HEAPTRACE_UNWIND_ARCH_H

#include <stddef.h>
#include <stdint.h>

struct unwind_arch {
	const uint8_t *user_regs; /* by DWARF number: which of the 64-bit words of NT_PRSTATUS has it */
	size_t user_words;	  /* of NT_PRSTATUS, as far as they are needed */
	uint64_t user_mode_mask, user_mode_native; /* what of the word user_mode tells 64-bit code, and how */
	const uint8_t *syscall;			   /* the instruction */
	const uint8_t *perf_regs;		   /* by DWARF number: their numbers in perf events, PERF_REG_* */
	uint64_t perf_mask;			   /* of all of them, and of the instruction pointer */
	uint64_t code_mask;			   /* which bits of a return address are an address */
	uint32_t audit_arch;			   /* AUDIT_ARCH_* of its system calls */
	uint16_t machine;			   /* EM_* of its ELF files */
	uint8_t sp, fp;				   /* their DWARF numbers */
	uint8_t pc;				   /* likewise; 0 where it has none */
	uint8_t reg_count;
	uint8_t user_pc, user_mode; /* which words of NT_PRSTATUS these are */
	uint8_t perf_pc;	    /* the number of that in perf events */
	uint8_t syscall_len;
};

/* That of this machine, or NULL where there is no table for it. */
const struct unwind_arch *unwind_arch_host(void);

#endif
