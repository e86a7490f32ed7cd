/* SPDX-License-Identifier: GPL-2.0-only */
/* crowd: `crowd THREADS`: as many threads, each of which maps a page, touches it, and waits. Once all are there it says "ready"; after a
 * line of standard input each unmaps its page and ends. */
#include "prog.h"

#include <limits.h>
#include <pthread.h>
#include <sys/mman.h>

static pthread_barrier_t barrier;

static void *work(void *arg)
{
	char *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(at != MAP_FAILED);
	touch(at, PAGE);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	must(munmap(at, PAGE) == 0);
	return arg;
}

int main(int argc, char **argv)
{
	pthread_attr_t small;
	pthread_t *threads;
	unsigned int count;
	char byte;

	must(argc == 2);
	count = (unsigned int)atoi(argv[1]);
	threads = calloc(count, sizeof(*threads));
	must(threads);
	must(pthread_barrier_init(&barrier, NULL, count + 1) == 0);
	must(pthread_attr_init(&small) == 0);
	must(pthread_attr_setstacksize(&small, PTHREAD_STACK_MIN) == 0);
	for (unsigned int i = 0; i < count; i++)
		must(pthread_create(&threads[i], &small, work, NULL) == 0);
	pthread_barrier_wait(&barrier);
	must(write(STDOUT_FILENO, "ready\n", 6) == 6);
	must(read(STDIN_FILENO, &byte, 1) == 1);
	pthread_barrier_wait(&barrier);
	for (unsigned int i = 0; i < count; i++)
		must(pthread_join(threads[i], NULL) == 0);
	free(threads);
	return 0;
}
