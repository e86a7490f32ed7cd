/* SPDX-License-Identifier: GPL-2.0-only */
/* mmap: each block is a private anonymous mapping; the sized delete unmaps it, so no record of sizes is needed. */
#include "alloc.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t page_bytes;

static int mmap_init(void)
{
	page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	return 0;
}

/* Whole pages, at least one, as a mapping of length 0 does not exist. 0 where @size cannot be rounded. */
static size_t mmap_length(size_t size)
{
	if (size > PTRDIFF_MAX - page_bytes)
		return 0;
	return size ? (size + page_bytes - 1) & ~(page_bytes - 1) : page_bytes;
}

static void *mmap_alloc(size_t size)
{
	size_t length = mmap_length(size);
	void *ptr;

	if (length == 0) {
		errno = ENOMEM;
		return NULL;
	}
	ptr = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return ptr == MAP_FAILED ? NULL : ptr;
}

static void mmap_free(void *ptr, size_t size)
{
	if (munmap(ptr, mmap_length(size)) < 0) {
		perror("target: munmap");
		abort();
	}
}

const struct allocator alloc_mmap = {
	.name = "mmap",
	.help = "one anonymous mapping a block; delete is told the size and unmaps at once",
	.init = mmap_init,
	.alloc = mmap_alloc,
	.free = mmap_free,
};
