/* SPDX-License-Identifier: GPL-2.0-only */
/* sampled: touches memory while the kernel samples it: at each page fault perf walks the stack by frame pointers, and meets
 * an address where nothing is mapped. Status 77: perf events are not to be had. */
#include "prog.h"

#include <linux/perf_event.h>
#include <sys/mman.h>

#define PAGES 64UL

static int sample_own_faults(void)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE,
					.size = sizeof(attr),
					.config = PERF_COUNT_SW_PAGE_FAULTS,
					.sample_period = 1,
					.sample_type = PERF_SAMPLE_IP | PERF_SAMPLE_CALLCHAIN,
					.exclude_kernel = 1,
					.exclude_callchain_kernel = 1 };
	int fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);

	if (fd < 0)
		return -1;
	/* Without a buffer nothing is sampled. */
	return mmap(NULL, 9 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : fd;
}

/* Writes to each page, with a frame pointer that leads nowhere. */
static void touch_lost(char *at, char *end)
{
#ifdef __x86_64__
	__asm__ volatile("mov %%rbp, %%r15\n\t"
			 "mov $0x1000, %%ebp\n"
			 "1:\n\t"
			 "movb $1, (%0)\n\t"
			 "add $4096, %0\n\t"
			 "cmp %1, %0\n\t"
			 "jb 1b\n\t"
			 "mov %%r15, %%rbp"
			 : "+r"(at)
			 : "r"(end)
			 : "r15", "memory", "cc");
#else
	for (; at < end; at += PAGE)
		*(volatile char *)at = 1;
#endif
}

int main(void)
{
	char *area = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(area != MAP_FAILED);
	if (sample_own_faults() < 0)
		return 77;
	point("warm");
	STEP("sampled", touch_lost(area, area + PAGES * PAGE));
	point("end");
	points_print();
	return 0;
}
