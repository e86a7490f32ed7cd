/* SPDX-License-Identifier: GPL-2.0-only */
/* maps: what anonymous memory can be made to do, one step after the other. Each step lies between the marks "NAME {"
 * and "NAME }", so that its rows and its effect can be told apart. Sizes are in pages where no unit is given. */
#include "prog.h"

#include <alloca.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define RW   (PROT_READ | PROT_WRITE)

static char *map_pages(size_t pages, int flags)
{
	char *at = mmap(NULL, pages * PAGE, RW, ANON | flags, -1, 0);

	must(at != MAP_FAILED);
	return at;
}

static void do_unmap(void)
{
	char *at;

	STEP("populate 400", at = map_pages(400, MAP_POPULATE));
	STEP("munmap middle 100", must(munmap(at + 100 * PAGE, 100 * PAGE) == 0));
	STEP("munmap over a hole", must(munmap(at + 50 * PAGE, 200 * PAGE) == 0));
	STEP("munmap of nothing", must(munmap(at + 60 * PAGE, 100 * PAGE) == 0));
	STEP("munmap rest", must(munmap(at, 400 * PAGE) == 0));
	STEP("map 256", at = map_pages(256, 0));
	STEP("touch 256", touch(at, 256 * PAGE));
	STEP("touch again", touch(at, 256 * PAGE));
	STEP("fixed over 64", must(mmap(at + 64 * PAGE, 64 * PAGE, RW, ANON | MAP_FIXED, -1, 0) == at + 64 * PAGE));
	STEP("fixed none", must(mmap(at, 32 * PAGE, PROT_NONE, ANON | MAP_FIXED, -1, 0) == at));
	STEP("munmap 256", must(munmap(at, 256 * PAGE) == 0));
}

static void do_zero_page(void)
{
	char *at = map_pages(64, 0);

	STEP("read zero pages", peek(at, 64 * PAGE));
	STEP("write after zero pages", touch(at, 64 * PAGE));
	must(munmap(at, 64 * PAGE) == 0);
}

static void do_remap(void)
{
	char *at = map_pages(64, MAP_POPULATE), *other = map_pages(256, MAP_POPULATE), *target;

	STEP("mremap shrink", must(mremap(at, 64 * PAGE, 32 * PAGE, 0) == at));
	STEP("mremap grow", at = mremap(at, 32 * PAGE, 512 * PAGE, MREMAP_MAYMOVE));
	must(at != MAP_FAILED);
	STEP("mremap fixed onto 32",
	     target = mremap(at, 32 * PAGE, 32 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, other + 64 * PAGE));
	must(target == other + 64 * PAGE);
	STEP("mremap dontunmap", target = mremap(other, 16 * PAGE, 16 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0));
	must(target != MAP_FAILED);
	STEP("mremap move and shrink",
	     must(mremap(target, 16 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at + 100 * PAGE) != MAP_FAILED));
	must(munmap(at + 32 * PAGE, 480 * PAGE) == 0);
	must(munmap(other, 256 * PAGE) == 0);
}

static void do_brk(void)
{
	char *start = (char *)syscall(SYS_brk, 0);

	STEP("brk up 128", must((char *)syscall(SYS_brk, start + 128 * PAGE) == start + 128 * PAGE));
	STEP("brk touch", touch(start, 128 * PAGE));
	STEP("brk part", must((char *)syscall(SYS_brk, start + 100) == start + 100));
	STEP("brk refused", must((char *)syscall(SYS_brk, 1) == start + 100));
	STEP("brk down", must((char *)syscall(SYS_brk, start) == start));
}

static void do_protect(void)
{
	char *at = map_pages(64, MAP_POPULATE);

	STEP("mprotect none", must(mprotect(at + 16 * PAGE, 16 * PAGE, PROT_NONE) == 0));
	STEP("mprotect back", must(mprotect(at, 64 * PAGE, RW) == 0));
	/* Without protection keys the call fails; it is a row all the same. */
	STEP("pkey_mprotect", must(syscall(SYS_pkey_mprotect, at, 8 * PAGE, PROT_READ, -1) == 0 || errno == ENOSYS));
	must(munmap(at, 64 * PAGE) == 0);
}

static void __attribute__((noinline)) grow_stack(size_t bytes)
{
	volatile char *at = alloca(bytes);

	for (size_t i = bytes; i > PAGE; i -= PAGE)
		at[i - 1] = 1;
}

static void do_stack(void)
{
	char *low;

	STEP("stack 1 MiB", grow_stack(MB));
	STEP("stack again", grow_stack(MB));
	/* A mapping that grows downward, with more room below it than the kernel's guard gap of 256 pages. */
	low = map_pages(1024, 0);
	must(munmap(low, 1024 * PAGE) == 0);
	must(mmap(low + 1000 * PAGE, 4 * PAGE, RW, ANON | MAP_GROWSDOWN | MAP_FIXED, -1, 0) == low + 1000 * PAGE);
	STEP("growsdown 8", touch(low + 992 * PAGE, 8 * PAGE));
	must(munmap(low + 900 * PAGE, 104 * PAGE) == 0);
}

static void do_lock(void)
{
	struct rlimit limit;
	char *at = map_pages(64, 0), *next;

	must(getrlimit(RLIMIT_MEMLOCK, &limit) == 0);
	STEP("mlock 32", must(mlock(at, 32 * PAGE) == 0));
	STEP("mlock2 onfault", must(syscall(SYS_mlock2, at + 32 * PAGE, 32 * PAGE, 1 /* MLOCK_ONFAULT */) == 0));
	STEP("touch onfault", touch(at + 32 * PAGE, 32 * PAGE));
	STEP("munlock", must(munlock(at, 64 * PAGE) == 0));
	STEP("mlockall future", must(mlockall(MCL_FUTURE) == 0));
	STEP("mmap locked 16", next = map_pages(16, 0));
	STEP("munlockall", must(munlockall() == 0));
	must(munmap(next, 16 * PAGE) == 0 && munmap(at, 64 * PAGE) == 0);
}

static void do_advise(void)
{
	char *at = map_pages(128, 0);

	STEP("populate_write 128", must(madvise(at, 128 * PAGE, 23 /* MADV_POPULATE_WRITE */) == 0));
	STEP("dontneed 64", must(madvise(at, 64 * PAGE, MADV_DONTNEED) == 0));
	STEP("touch after dontneed", touch(at, 64 * PAGE));
	STEP("free 128", must(madvise(at, 128 * PAGE, MADV_FREE) == 0));
	STEP("touch after free", touch(at, 128 * PAGE));
	STEP("cold", must(madvise(at, 128 * PAGE, MADV_COLD) == 0));
	STEP("unmap advised", must(munmap(at, 128 * PAGE) == 0));
}

static void do_many_vmas(void)
{
	char *at = map_pages(400, 0);

	step_begin("stripes");
	for (size_t i = 0; i < 400; i += 2)
		must(mprotect(at + i * PAGE, PAGE, PROT_NONE) == 0);
	step_end("stripes");
	STEP("touch stripes", for (size_t i = 1; i < 400; i += 2) touch(at + i * PAGE, PAGE));
	STEP("unmap stripes", must(munmap(at, 400 * PAGE) == 0));
}

int main(void)
{
	/* No huge pages here, so that the counts are the same whatever the machine's setting is. */
	must(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0);
	STEP("nothing", (void)0);
	do_unmap();
	do_zero_page();
	do_remap();
	do_brk();
	do_protect();
	do_stack();
	do_lock();
	do_advise();
	do_many_vmas();
	point("end");
	points_print();
	return 0;
}
