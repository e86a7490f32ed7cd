/* SPDX-License-Identifier: GPL-2.0-only */
#include "chains.h"

#include <string.h>

int chain_aligned(size_t pages)
{
	char block[128] __attribute__((aligned(128)));
	char *room = __builtin_alloca(pages % 64 + 16);

	memset(block, 1, sizeof(block));
	room[0] = block[5];
	__asm__ volatile("" : : "r"(block), "r"(room) : "memory");
	return chain_gamma(pages) + room[0];
}
