/* SPDX-License-Identifier: GPL-2.0-only */
/* load: the workloads whose cost under observation is measured. Each times itself, so that neither its own start nor
 * that of a tracer counts.
 *
 *   load NAME THREADS LIMIT   runs a workload for LIMIT ("250ms", or a number of operations a thread)
 *   load run CMD [ARG...]     one operation: CMD from its fork to its end, its output dropped
 *   load idle                 says "ready" and waits for the end of its input
 *
 * The result is one line: "load OPERATIONS WALL_NS CPU_NS", the last two for all operations together. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE	    4096ul
#define TOUCH_BYTES (128ul << 20)
#define BLOCK_BYTES (256ul << 10)
#define MIXED_BYTES (16 * PAGE)
#define THREADS_MAX 64u
#define DEEP_LEVELS 6u

#define RW   (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

struct span {
	uint64_t wall_ns, cpu_ns;
};

/* What a thread has done so far, and how long the measured part of it took. */
struct worker {
	pthread_t thread;
	uint64_t operations;
	struct span took;
	char pad[64];
};

struct workload {
	const char *name;
	/* Does a batch of operations and returns how many; adds what is not to be measured to @apart. */
	uint64_t (*batch)(struct span *apart);
};

static const struct workload *chosen;
static uint64_t limit_operations = UINT64_MAX, limit_ns = UINT64_MAX;
static pthread_barrier_t barrier;

static void die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t thread_cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static struct span span_begin(void)
{
	return (struct span){ now_ns(), thread_cpu_ns() };
}

/* Adds to @sum what has passed since @begin. */
static void span_add(struct span *sum, const struct span *begin)
{
	sum->cpu_ns += thread_cpu_ns() - begin->cpu_ns;
	sum->wall_ns += now_ns() - begin->wall_ns;
}

static char *map(size_t bytes)
{
	char *at = mmap(NULL, bytes, RW, ANON, -1, 0);

	if (at == MAP_FAILED)
		die("mmap");
	return at;
}

static void unmap(char *at, size_t bytes)
{
	if (munmap(at, bytes))
		die("munmap");
}

static uint64_t pair_batch(struct span *apart)
{
	(void)apart;
	for (int i = 0; i < 64; i++)
		unmap(map(PAGE), PAGE);
	return 64;
}

/* Up and down by a page: the C library would keep what it has. */
static uint64_t brk_batch(struct span *apart)
{
	char *top = sbrk(0);

	(void)apart;
	for (int i = 0; i < 64; i++)
		if (brk(top + PAGE) || brk(top))
			die("brk");
	return 64;
}

static uint64_t touch_batch(struct span *apart)
{
	struct span begin = span_begin();
	char *at = map(TOUCH_BYTES);

	span_add(apart, &begin);
	for (size_t i = 0; i < TOUCH_BYTES; i += PAGE)
		((volatile char *)at)[i] = 1;
	begin = span_begin();
	unmap(at, TOUCH_BYTES);
	span_add(apart, &begin);
	return TOUCH_BYTES / PAGE;
}

/* Four calls and six faults an operation. */
static uint64_t mixed_batch(struct span *apart)
{
	(void)apart;
	for (int i = 0; i < 16; i++) {
		volatile char *at = map(MIXED_BYTES);

		for (size_t page = 0; page < 6; page++)
			at[page * PAGE] = 1;
		if (mprotect((char *)at + 8 * PAGE, 4 * PAGE, PROT_READ) ||
		    madvise((char *)at, 4 * PAGE, MADV_DONTNEED))
			die("mprotect, madvise");
		unmap((char *)at, MIXED_BYTES);
	}
	return 16;
}

static uint64_t malloc_batch(struct span *apart)
{
	(void)apart;
	for (int i = 0; i < 64; i++) {
		char *volatile block = malloc(BLOCK_BYTES);

		if (!block)
			die("malloc");
		free(block);
	}
	return 64;
}

/* Each bit of @path chooses one of two places to go on from, so that no two paths are the same call chain. */
static __attribute__((noinline, noclone)) void deep(unsigned int level, unsigned int path)
{
	if (!level) {
		unmap(map(PAGE), PAGE);
	} else if (path & 1) {
		deep(level - 1, path >> 1);
		__asm__ volatile("nop" ::: "memory");
	} else {
		deep(level - 1, path >> 1);
		__asm__ volatile("" ::: "memory");
	}
}

/* A page mapped and unmapped: 14 frames with the C library's and main()'s. A chain comes again after all others. */
static uint64_t deep_batch(struct span *apart)
{
	(void)apart;
	for (unsigned int path = 0; path < 1u << DEEP_LEVELS; path++)
		deep(DEEP_LEVELS, path);
	return 1u << DEEP_LEVELS;
}

static uint64_t getppid_batch(struct span *apart)
{
	(void)apart;
	for (int i = 0; i < 256; i++)
		syscall(SYS_getppid);
	return 256;
}

/* The shortest memory call there is: it takes no lock. */
static uint64_t short_batch(struct span *apart)
{
	(void)apart;
	for (int i = 0; i < 256; i++)
		if (madvise(NULL, 0, MADV_NORMAL))
			die("madvise");
	return 256;
}

/* A program that has all its memory: reads 64 KiB of a file, sums them up, and says so. */
static uint64_t files_batch(struct span *apart)
{
	static int from = -1, to = -1;
	static unsigned char bytes[16 * PAGE];
	uint64_t sum = 0;
	ssize_t got;

	(void)apart;
	if (from < 0) { /* so in the batch before the clock runs */
		from = open("/dev/zero", O_RDONLY | O_CLOEXEC);
		to = open("/dev/null", O_WRONLY | O_CLOEXEC);
	}
	for (int i = 0; i < 16; i++) {
		got = read(from, bytes, sizeof(bytes));
		for (ssize_t at = 0; at < got; at++)
			sum = sum * 31 + bytes[at];
		if (got <= 0 || write(to, &sum, sizeof(sum)) <= 0)
			die("read, write");
	}
	return 16;
}

static const struct workload workloads[] = {
	{ "pair", pair_batch },	  { "brk", brk_batch },	      { "touch", touch_batch },
	{ "mixed", mixed_batch }, { "malloc", malloc_batch }, { "getppid", getppid_batch },
	{ "files", files_batch }, { "deep", deep_batch },     { "short", short_batch },
};

static void *work(void *argument)
{
	struct worker *worker = argument;
	struct span apart = { 0, 0 }, begin;

	if (chosen->batch != touch_batch)
		chosen->batch(&apart);
	pthread_barrier_wait(&barrier);
	begin = span_begin();
	do {
		worker->operations += chosen->batch(&apart);
	} while (worker->operations < limit_operations && now_ns() - begin.wall_ns - apart.wall_ns < limit_ns);
	span_add(&worker->took, &begin);
	worker->took.wall_ns -= apart.wall_ns;
	worker->took.cpu_ns -= apart.cpu_ns;
	return NULL;
}

static void result(uint64_t operations, struct span took)
{
	printf("load %llu %llu %llu\n", (unsigned long long)operations, (unsigned long long)took.wall_ns,
	       (unsigned long long)took.cpu_ns);
}

static int work_all(unsigned int threads)
{
	static struct worker workers[THREADS_MAX];
	struct span took = { 0, 0 };
	uint64_t operations = 0;

	if (pthread_barrier_init(&barrier, NULL, threads))
		die("pthread_barrier_init");
	for (unsigned int i = 1; i < threads; i++)
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			die("pthread_create");
	work(&workers[0]);
	for (unsigned int i = 1; i < threads; i++)
		if (pthread_join(workers[i].thread, NULL))
			die("pthread_join");
	for (unsigned int i = 0; i < threads; i++) {
		operations += workers[i].operations;
		took.cpu_ns += workers[i].took.cpu_ns;
		if (took.wall_ns < workers[i].took.wall_ns)
			took.wall_ns = workers[i].took.wall_ns;
	}
	result(operations, took);
	return 0;
}

static uint64_t timeval_ns(struct timeval time)
{
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_usec * 1000u;
}

static int run(char **command)
{
	uint64_t begin = now_ns();
	pid_t child = fork();
	struct rusage usage;
	struct span took;
	int status, null;

	if (child < 0)
		die("fork");
	if (!child) {
		null = open("/dev/null", O_WRONLY | O_CLOEXEC);
		if (null >= 0)
			dup2(null, STDOUT_FILENO);
		execvp(command[0], command);
		_exit(127);
	}
	if (wait4(child, &status, 0, &usage) < 0)
		die("wait4");
	took.wall_ns = now_ns() - begin;
	took.cpu_ns = timeval_ns(usage.ru_utime) + timeval_ns(usage.ru_stime);
	if (status) {
		fprintf(stderr, "load: %s ended with status %#x\n", command[0], (unsigned int)status);
		return 1;
	}
	result(1, took);
	return 0;
}

static int idle(void)
{
	char byte;

	puts("ready");
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return 0;
}

static bool limit_parse(const char *text)
{
	char *end;
	unsigned long long number = strtoull(text, &end, 10);

	if (!strcmp(end, "ms"))
		limit_ns = number * 1000000u;
	else if (!*end)
		limit_operations = number;
	else
		return false;
	return number > 0;
}

int main(int argc, char **argv)
{
	unsigned long threads;

	if (argc > 2 && !strcmp(argv[1], "run"))
		return run(argv + 2);
	if (argc == 2 && !strcmp(argv[1], "idle"))
		return idle();
	for (size_t i = 0; argc == 4 && i < sizeof(workloads) / sizeof(workloads[0]); i++)
		if (!strcmp(argv[1], workloads[i].name))
			chosen = &workloads[i];
	threads = chosen ? strtoul(argv[2], NULL, 10) : 0;
	if (!threads || threads > THREADS_MAX || !limit_parse(argv[3])) {
		fputs("usage: load pair|brk|touch|mixed|malloc|getppid|files|deep|short THREADS LIMIT[ms] | run CMD [ARG...] | idle\n",
		      stderr);
		return 2;
	}
	/* Small pages only, and every large block a mapping: malloc's threshold would move up at the first free. */
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	mallopt(M_MMAP_THRESHOLD, 128 << 10);
	return work_all((unsigned int)threads);
}
