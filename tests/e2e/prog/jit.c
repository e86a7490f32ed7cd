/* SPDX-License-Identifier: GPL-2.0-only */
/* jit: code that is made at run time and calls back; its name is in the list that such compilers leave. */
#include "prog.h"

#include <sys/mman.h>

#define PAGES 77

/* push %rbp; mov %rsp, %rbp; call *%rdi; pop %rbp; ret */
static const unsigned char code[] = { 0x55, 0x48, 0x89, 0xe5, 0xff, 0xd7, 0x5d, 0xc3 };

static volatile int called;

static __attribute__((noinline)) void called_back(void)
{
	must(mmap(NULL, PAGES * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
	called++;
}

static __attribute__((noinline)) void call_made(void (*made)(void (*function)(void)))
{
	made(called_back);
	called++;
}

int main(void)
{
	void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char path[64];
	FILE *map;

	must(page != MAP_FAILED);
	memcpy(page, code, sizeof(code));
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)getpid());
	unlink(path);
	map = fopen(path, "wxe");
	must(map);
	fprintf(map, "%lx %zx made at run time\n", (unsigned long)page, sizeof(code));
	fclose(map);
	call_made((void (*)(void (*)(void)))(uintptr_t)page);
	hold();
	return called != 2;
}
