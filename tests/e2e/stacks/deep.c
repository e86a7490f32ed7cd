/* SPDX-License-Identifier: GPL-2.0-only */
#include "chains.h"

/* Or else the compiler would make a loop of it. */
static int (*volatile self)(size_t pages, int depth) = chain_deep;

int chain_deep(size_t pages, int depth)
{
	return (depth ? self(pages, depth - 1) : chain_gamma(pages)) + 1;
}
