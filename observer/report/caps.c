/* SPDX-License-Identifier: GPL-2.0-only */
#include "report/caps.h"

const struct cap_text cap_texts[CAP_TEXTS] = {
	{ CAP_SYSCALLS, "syscalls", "memory syscalls", "memory syscalls" },
	{ CAP_FAULTS, "faults", "page faults", "the addresses of page faults" },
	{ CAP_KERNEL, "kernel", "faults inside the kernel and foreign actors",
	  "faults inside the kernel and foreign actors as causes of their own" },
	{ CAP_STACKS, "stacks", "call stacks", "call stacks" },
};
