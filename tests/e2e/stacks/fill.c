/* SPDX-License-Identifier: GPL-2.0-only */
#include "chains.h"

#include <sys/mman.h>

int chain_fill(size_t pages)
{
	char *at = mmap(NULL, pages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	madvise(at, pages * 4096, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < pages * 4096; i += 64)
		((volatile char *)at)[i] = 1;
	return munmap(at, pages * 4096) + 1;
}
