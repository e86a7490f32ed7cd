/* SPDX-License-Identifier: GPL-2.0-only */
/* pairs: what malloc and free cost on whatever allocator this program runs on.
 *
 *   pairs SIZE LIVE THREADS COUNT    each thread makes COUNT pairs with LIVE blocks of SIZE alive: the oldest is freed, a
 *                                    new one allocated and its first byte written
 *
 * Prints "pairs CPU_NS", the CPU time of one pair. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define LIVE_MAX    100000u
#define THREADS_MAX 64u

static size_t size;
static unsigned int live, threads;
static unsigned long count;

static void *turn(void *arg)
{
	static __thread void *blocks[LIVE_MAX];

	for (unsigned long i = 0; i < count; i++) {
		void **slot = &blocks[i % live];

		free(*slot);
		*slot = malloc(size);
		if (!*slot)
			abort();
		*(volatile char *)*slot = 1;
	}
	for (unsigned int i = 0; i < live; i++)
		free(blocks[i]);
	return arg;
}

static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int main(int argc, char **argv)
{
	pthread_t others[THREADS_MAX];
	uint64_t begin;

	if (argc != 5)
		return 2;
	size = strtoul(argv[1], NULL, 10);
	live = (unsigned int)strtoul(argv[2], NULL, 10);
	threads = (unsigned int)strtoul(argv[3], NULL, 10);
	count = strtoul(argv[4], NULL, 10);
	if (live == 0 || live > LIVE_MAX || threads == 0 || threads > THREADS_MAX || count == 0)
		return 2;
	begin = cpu_ns();
	for (unsigned int i = 1; i < threads; i++)
		if (pthread_create(&others[i], NULL, turn, NULL) != 0)
			return 1;
	turn(NULL);
	for (unsigned int i = 1; i < threads; i++)
		pthread_join(others[i], NULL);
	printf("pairs %.2f\n", (double)(cpu_ns() - begin) / (double)count / threads);
	return 0;
}
