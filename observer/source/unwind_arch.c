/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/unwind_arch.h"

#include <elf.h>
#include <linux/audit.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* System V ABI, AMD64 supplement, figure 3.36, and struct user_regs_struct. */
enum { R15, R14, R13, R12, RBP, RBX, R11, R10, R9, R8, RAX, RCX, RDX, RSI, RDI, ORIG_RAX, RIP, CS, EFLAGS, RSP };

static const uint8_t x86_64_regs[] = { RAX, RDX, RCX, RBX, RSI, RDI, RBP, RSP, R8, R9, R10, R11, R12, R13, R14, R15 };
static const uint8_t x86_64_syscall[] = { 0x0f, 0x05 };

/* asm/perf_regs.h: AX BX CX DX SI DI BP SP IP, from 16 on R8 to R15. */
static const uint8_t x86_64_perf[] = { 0, 3, 2, 1, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23 };
#define X86_64_PERF_IP 8

/* DWARF for the Arm 64-bit architecture, and struct user_pt_regs: x0 to x30, sp, pc. */
static const uint8_t aarch64_regs[] = { 0,  1,	2,  3,	4,  5,	6,  7,	8,  9,	10, 11, 12, 13, 14, 15,
					16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31 };
static const uint8_t aarch64_syscall[] = { 0x01, 0x00, 0x00, 0xd4 }; /* svc #0 */

static const struct unwind_arch arches[] = {
	{ .machine = EM_X86_64,
	  .audit_arch = AUDIT_ARCH_X86_64,
	  .sp = 7,
	  .fp = 6,
	  .pc = 16,
	  .reg_count = COUNT(x86_64_regs),
	  .user_regs = x86_64_regs,
	  .user_words = RSP + 1,
	  .user_pc = RIP,
	  .user_mode = CS,
	  .user_mode_mask = 0xffff,
	  .user_mode_native = 0x33, /* __USER_CS */
	  .perf_regs = x86_64_perf,
	  .perf_mask = 0xff01ff,
	  .perf_pc = X86_64_PERF_IP,
	  .syscall = x86_64_syscall,
	  .syscall_len = sizeof(x86_64_syscall),
	  .code_mask = UINT64_MAX },
	{ .machine = EM_AARCH64,
	  .audit_arch = AUDIT_ARCH_AARCH64,
	  .sp = 31,
	  .fp = 29,
	  .reg_count = COUNT(aarch64_regs),
	  .user_regs = aarch64_regs,
	  .user_words = 34,
	  .user_pc = 32,
	  .user_mode = 33, /* pstate: PSR_MODE32_BIT */
	  .user_mode_mask = 0x10,
	  .perf_regs = aarch64_regs, /* the same order */
	  .perf_mask = 0x1ffffffff,
	  .perf_pc = 32,
	  .syscall = aarch64_syscall,
	  .syscall_len = sizeof(aarch64_syscall),
	  .code_mask = (1ull << 52) - 1 /* without the authentication code */ },
};

#if defined(__x86_64__)
#define HOST_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define HOST_MACHINE EM_AARCH64
#else
#define HOST_MACHINE EM_NONE
#endif

const struct unwind_arch *unwind_arch_host(void)
{
	for (size_t i = 0; i < COUNT(arches); i++) {
		if (arches[i].machine == HOST_MACHINE)
			return &arches[i];
	}
	return NULL;
}
