/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/intern.h"
#include "event/memcalls.h"

#include <asm/unistd.h>
#include <stddef.h>
#include <stdio.h>

/* Syscalls that the running kernel may have and the headers of the machine that compiles may not. From 424 on a number
 * means the same on every architecture. */
static const struct {
	int nr;
	const char *name;
} newer_names[] = {
	{ 449, "futex_waitv" },	      { 450, "set_mempolicy_home_node" },
	{ 451, "cachestat" },	      { 452, "fchmodat2" },
	{ 453, "map_shadow_stack" },  { 454, "futex_wake" },
	{ 455, "futex_wait" },	      { 456, "futex_requeue" },
	{ 457, "statmount" },	      { 458, "listmount" },
	{ 459, "lsm_get_self_attr" }, { 460, "lsm_set_self_attr" },
	{ 461, "lsm_list_modules" },  { 462, "mseal" },
	{ 463, "setxattrat" },	      { 464, "getxattrat" },
	{ 465, "listxattrat" },	      { 466, "removexattrat" },
	{ 467, "open_tree_attr" },    { 468, "file_getattr" },
	{ 469, "file_setattr" },
};

static const char *const names[] = {
#define SYSCALL(name) [__NR_##name] = #name,
#include "syscall_names.inc"
#undef SYSCALL
};

const char *syscall_name(int nr)
{
	char text[32];

	if (nr >= 0 && (size_t)nr < sizeof(names) / sizeof(names[0]) && names[nr])
		return names[nr];
	for (size_t i = 0; i < sizeof(newer_names) / sizeof(newer_names[0]); i++) {
		if (newer_names[i].nr == nr)
			return newer_names[i].name;
	}
	snprintf(text, sizeof(text), "syscall_%d", nr);
	return intern(text, "syscall_unknown");
}
