/* SPDX-License-Identifier: GPL-2.0-only */
#include "chains.h"

#include <string.h>

int chain_room(size_t pages)
{
	char room[pages];

	memset(room, 1, pages);
	__asm__ volatile("" : : "r"(room) : "memory");
	return chain_gamma(pages) + room[pages / 2];
}
