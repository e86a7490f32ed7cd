/* SPDX-License-Identifier: GPL-2.0-only */
/* computes: `computes FILE PAGES` makes many calls in a row, so that whoever observes them is awake, maps so many pages last, and
 * then goes on without a call or a fault until the first byte of FILE is not 0. */
#include "prog.h"

#include <sys/mman.h>

#define CALLS 2000

int main(int argc, char **argv)
{
	const volatile char *flag;
	int fd;

	must(argc == 3);
	fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	must(fd >= 0);
	flag = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	must(flag != MAP_FAILED);
	must(!*flag);
	for (int i = 0; i < CALLS; i++)
		must(!munmap(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), PAGE));
	must(mmap(NULL, (size_t)atoi(argv[2]) * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
	while (!*flag)
		;
	return 0;
}
