/* SPDX-License-Identifier: GPL-2.0-only */
/* leftover: mallocs, writes to and frees 20 MiB as its first use of malloc, with BYTE all over the stack below main: what
 * a library reads there before it has written it is that. */
#include <stdlib.h>
#include <string.h>

/* Through pointers that are filled in when the program is loaded: the loader's own frames would lie there otherwise. */
static void *(*volatile get)(size_t) = malloc;
static void (*volatile give)(void *) = free;

static __attribute__((noinline)) void fill(char byte)
{
	volatile char below[32 * 1024];

	for (size_t i = 0; i < sizeof(below); i++)
		below[i] = byte;
}

int main(int argc, char **argv)
{
	const size_t size = (size_t)20 << 20;
	char *block, byte = (char)(argc > 1 ? atoi(argv[1]) : 0);

	fill(byte);
	block = get(size);
	if (!block)
		return 1;
	for (size_t at = 0; at < size; at += 4096)
		((volatile char *)block)[at] = 1;
	give(block);
	return 0;
}
