/* SPDX-License-Identifier: GPL-2.0-only */
#include "event/event.h"

static const char *const cause_names[CAUSE_COUNT] = {
	[CAUSE_SYSCALL] = "syscall", [CAUSE_FAULT] = "fault", [CAUSE_KERNEL_FAULT] = "kernel-fault",
	[CAUSE_KERNEL] = "kernel",   [CAUSE_FORK] = "fork",   [CAUSE_EXEC] = "exec",
	[CAUSE_EXIT] = "exit",
};

const char *cause_name(enum cause cause)
{
	return cause_names[cause];
}
