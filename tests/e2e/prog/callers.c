/* SPDX-License-Identifier: GPL-2.0-only */
/* callers: memory that is asked for and given back by functions whose names are known, each in a chain of three. */
#include "prog.h"

#define BLOCKS	    5
#define BLOCK_BYTES (400 * KB)

static void *blocks[BLOCKS];

/* No call may become a jump: the caller would be gone. */
#define KEEP_FRAME() __asm__ volatile("" ::: "memory")

static __attribute__((noinline)) void parse_chunk(int i)
{
	blocks[i] = malloc(BLOCK_BYTES + (size_t)i * PAGE); /* parse */
	must(blocks[i]);
	KEEP_FRAME();
}

static __attribute__((noinline)) void load_file(void)
{
	for (int i = 0; i < BLOCKS; i++)
		parse_chunk(i); /* load */
	KEEP_FRAME();
}

static __attribute__((noinline)) void drop_all(void)
{
	/* The other way round, and larger ones first, so that the threshold for mmap is raised once. */
	for (int i = BLOCKS; i--;)
		free(blocks[i]); /* drop */
	KEEP_FRAME();
}

int main(void)
{
	load_file(); /* main loads */
	drop_all();  /* main drops */
	hold();
	return 0;
}
