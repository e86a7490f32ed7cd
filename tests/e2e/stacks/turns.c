/* SPDX-License-Identifier: GPL-2.0-only */
/* The same calls at the same depth of the stack, again and again, by callers that take turns: an observer that remembers stacks
 * must not mix them up. */
#include "chains.h"

#include <stdint.h>
#include <stdio.h>

#define NOINLINE __attribute__((noinline, noclone))
#define ROUNDS	 40

static volatile int sink;

NOINLINE void chain_left(void)
{
	sink += chain_gamma(221);
	sink += chain_room(223);
	sink += chain_aligned(225);
}

NOINLINE void chain_right(void)
{
	sink += chain_gamma(222);
	sink += chain_room(224);
	sink += chain_aligned(226);
}

int main(void)
{
	printf("main %p\n", (void *)(uintptr_t)main);
	fflush(stdout);
	for (int i = 0; i < ROUNDS; i++) {
		chain_left();
		chain_right();
		if (i % 3 == 0)
			chain_left();
		sink++;
	}
	return 0;
}
