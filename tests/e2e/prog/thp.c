/* SPDX-License-Identifier: GPL-2.0-only */
/* thp: huge pages made by one touch each, split by a partial change, and collapsed where the process asks for it. Prints its
 * readings; a machine without huge pages shows in them. */
#include "prog.h"

#include <sys/mman.h>

#define HUGE (2 * MB)

static char *map_huge(size_t huge_pages)
{
	char *raw = mmap(NULL, (huge_pages + 1) * HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *at;

	must(raw != MAP_FAILED);
	at = (char *)(((uintptr_t)raw + HUGE - 1) & ~(HUGE - 1));
	must(madvise(at, huge_pages * HUGE, MADV_HUGEPAGE) == 0);
	return at;
}

int main(void)
{
	char *at = map_huge(8), *collapsed = map_huge(4);

	STEP("touch one byte", at[5] = 1);
	STEP("touch three more", touch(at + HUGE, 3 * HUGE));
	STEP("split by dontneed", must(madvise(at, 4 * PAGE, MADV_DONTNEED) == 0));
	STEP("split by munmap", must(munmap(at + HUGE, 16 * PAGE) == 0));
	STEP("split by mprotect", must(mprotect(at + 2 * HUGE, 16 * PAGE, PROT_READ) == 0));
	STEP("dontneed whole", must(madvise(at + 3 * HUGE, HUGE, MADV_DONTNEED) == 0));
	must(madvise(collapsed, HUGE, MADV_NOHUGEPAGE) == 0);
	touch(collapsed, 64 * PAGE);
	must(madvise(collapsed, HUGE, MADV_HUGEPAGE) == 0);
	/* Fails where no huge page is to be had; then nothing changes. */
	STEP("collapse", (void)madvise(collapsed, HUGE, 25 /* MADV_COLLAPSE */));
	STEP("read huge zero", peek(collapsed + HUGE, HUGE));
	STEP("unmap all", must(munmap(collapsed, 4 * HUGE) == 0 && munmap(at, 8 * HUGE) == 0));
	point("end");
	points_print();
	return 0;
}
