/* SPDX-License-Identifier: GPL-2.0-only */
/* startup: preloaded into heaptrace, adds up the time that it spends inside bpf(2), and writes it at the end to the file
 * descriptor that STARTUP_FD names: "bpf WALL_NS CPU_NS LOAD_WALL_NS LOAD_CPU_NS", the last two of BPF_PROG_LOAD, the
 * verifier and the JIT. libbpf calls bpf(2) through syscall(3). */
#include <dlfcn.h>
#include <linux/bpf.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct span {
	uint64_t wall_ns, cpu_ns;
};

static struct span all, load;
static pid_t owner;

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static struct span now(void)
{
	return (struct span){ clock_ns(CLOCK_MONOTONIC), clock_ns(CLOCK_PROCESS_CPUTIME_ID) };
}

static void add(struct span *sum, const struct span *begun, const struct span *ended)
{
	sum->wall_ns += ended->wall_ns - begun->wall_ns;
	sum->cpu_ns += ended->cpu_ns - begun->cpu_ns;
}

long syscall(long number, ...)
{
	static long (*real)(long number, ...);
	long argument[6], ret;
	struct span begun, ended;
	va_list list;

	va_start(list, number);
	for (int i = 0; i < 6; i++)
		argument[i] = va_arg(list, long);
	va_end(list);
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "syscall");
	if (!real)
		abort();
	begun = now();
	ret = real(number, argument[0], argument[1], argument[2], argument[3], argument[4], argument[5]);
	ended = now();
	if (number == SYS_bpf)
		add(&all, &begun, &ended);
	if (number == SYS_bpf && argument[0] == BPF_PROG_LOAD)
		add(&load, &begun, &ended);
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
	if (fd && all.wall_ns && getpid() == owner)
		dprintf(atoi(fd), "bpf %llu %llu %llu %llu\n", (unsigned long long)all.wall_ns,
			(unsigned long long)all.cpu_ns, (unsigned long long)load.wall_ns,
			(unsigned long long)load.cpu_ns);
}
