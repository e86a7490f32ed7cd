/* SPDX-License-Identifier: GPL-2.0-only */
/* startup: preloaded into heaptrace, adds up the time that it spends inside bpf(2), and writes it at the end to the file
 * descriptor that STARTUP_FD names: "bpf CALLS NS LOAD_NS BTF_NS", the last two of BPF_PROG_LOAD and BPF_BTF_LOAD. libbpf calls
 * bpf(2) through syscall(3). */
#include <dlfcn.h>
#include <linux/bpf.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static uint64_t calls, total_ns, load_ns, btf_ns;
static pid_t owner;

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void add(long command, uint64_t ns)
{
	calls++;
	total_ns += ns;
	if (command == BPF_PROG_LOAD)
		load_ns += ns;
	else if (command == BPF_BTF_LOAD)
		btf_ns += ns;
}

long syscall(long number, ...)
{
	static long (*real)(long number, ...);
	long argument[6], ret;
	uint64_t begin;
	va_list list;

	va_start(list, number);
	for (int i = 0; i < 6; i++)
		argument[i] = va_arg(list, long);
	va_end(list);
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "syscall");
	if (!real)
		abort();
	begin = now_ns();
	ret = real(number, argument[0], argument[1], argument[2], argument[3], argument[4], argument[5]);
	if (number == SYS_bpf)
		add(argument[0], now_ns() - begin);
	return ret;
}

__attribute__((constructor)) static void begin(void)
{
	owner = getpid();
}

__attribute__((destructor)) static void end(void)
{
	const char *fd = getenv("STARTUP_FD");

	/* A forked child that ends without exec has nothing to tell; nor has CMD, which makes no such call. */
	if (fd && calls && getpid() == owner)
		dprintf(atoi(fd), "bpf %llu %llu %llu %llu\n", (unsigned long long)calls, (unsigned long long)total_ns,
			(unsigned long long)load_ns, (unsigned long long)btf_ns);
}
