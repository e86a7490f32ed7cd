/* SPDX-License-Identifier: GPL-2.0-only */
/* flood: `flood THREADS ROUNDS [short]`: as many memory events a second as the machine can make, after the line "ready" and a byte
 * on standard input. Each round is an mmap, a fault, two mprotects and a munmap, for which the threads wait for each other; or
 * (short) one madvise of nothing, which takes no lock, so that they are millions a second. The numbers of calls are known
 * beforehand. */
#include "prog.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#define THREADS_MAX 64U

static unsigned long rounds;
static void (*once)(void);
static pthread_barrier_t barrier;

static void map_once(void)
{
	char *at = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(at != MAP_FAILED);
	touch(at, PAGE);
	must(mprotect(at, PAGE, PROT_READ) == 0);
	must(mprotect(at, PAGE, PROT_READ | PROT_WRITE) == 0);
	must(munmap(at, 2 * PAGE) == 0);
}

static void advise_once(void)
{
	must(madvise(NULL, 0, MADV_NORMAL) == 0);
}

static void *work(void *arg)
{
	*(int *)arg = (int)gettid();
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	for (unsigned long i = 0; i < rounds; i++)
		once();
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	return arg;
}

/* The readings around the flood are taken while every thread waits at the barrier. */
static void meet(const int *tids, unsigned int count)
{
	pthread_barrier_wait(&barrier);
	for (unsigned int i = 0; i < count; i++)
		wait_asleep(tids[i]);
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS_MAX];
	int tids[THREADS_MAX];
	unsigned int count;
	char byte;

	must(argc == 3 || (argc == 4 && !strcmp(argv[3], "short")));
	once = argc == 4 ? advise_once : map_once;
	count = (unsigned int)atoi(argv[1]);
	rounds = strtoul(argv[2], NULL, 10);
	must(count > 0 && count <= THREADS_MAX);
	must(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0);
	must(pthread_barrier_init(&barrier, NULL, count + 1) == 0);
	for (unsigned int i = 0; i < count; i++)
		must(pthread_create(&threads[i], NULL, work, &tids[i]) == 0);
	must(write(STDOUT_FILENO, "ready\n", 6) == 6);
	must(read(STDIN_FILENO, &byte, 1) == 1);
	meet(tids, count);
	STEP("flood", pthread_barrier_wait(&barrier); meet(tids, count));
	pthread_barrier_wait(&barrier);
	for (unsigned int i = 0; i < count; i++)
		must(pthread_join(threads[i], NULL) == 0);
	point("end");
	points_print();
	return 0;
}
