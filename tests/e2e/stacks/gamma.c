/* SPDX-License-Identifier: GPL-2.0-only */
#include "chains.h"

#include <sys/mman.h>

int chain_gamma(size_t pages)
{
	void *at = mmap(NULL, pages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return munmap(at, pages * 4096) + 1;
}
