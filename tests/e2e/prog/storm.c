/* SPDX-License-Identifier: GPL-2.0-only */
/* storm: `storm own|shared THREADS ROUNDS`: many threads change one address space at once. In "own" each keeps to
 * mappings of its own and counts what it has done, so that the effect of each thread is known:
 * {"threads":[{"tid":1,"virt":4096,"anon":4096},...]}. In "shared" they map, fill and unmap over each other. */
#include "prog.h"

#include <pthread.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>

#define RW	    (PROT_READ | PROT_WRITE)
#define ANON	    (MAP_PRIVATE | MAP_ANONYMOUS)
#define THREADS_MAX 256U
#define ARENA_PAGES 2048U

struct worker {
	pthread_t thread;
	unsigned int index, random;
	int tid;
	long virt_pages, anon_pages;
	char pad[64];
};

static struct {
	bool shared;
	unsigned int threads, rounds;
	pthread_barrier_t barrier;
	char *arena;
	int zero, shm;
} storm;

static unsigned int next_random(struct worker *w)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 17;
	w->random ^= w->random << 5;
	return w->random;
}

/* A mapping that grows downward, fault by fault, far from all others: a fault that grows it holds the lock for writing, and
 * then on for reading beside other readers. */
static void grow_down(const struct worker *w)
{
	char *top = (char *)((1ul << 40) + w->index * (16ul << 20));

	must(mmap(top, PAGE, RW, ANON | MAP_GROWSDOWN | MAP_FIXED, -1, 0) == top);
	for (size_t i = 1; i < 4; i++)
		touch(top - i * PAGE, PAGE);
	must(munmap(top - 3 * PAGE, 4 * PAGE) == 0);
}

/* Maps, touches, moves, cuts and drops mappings of its own; leaves some pages behind each round. */
static void own_round(struct worker *w)
{
	unsigned char resident[128];
	size_t pages = 24 + next_random(w) % 40;
	char *at = mmap(NULL, pages * PAGE, RW, ANON, -1, 0), *moved, *shm;

	must(at != MAP_FAILED);
	touch(at, pages * PAGE);
	grow_down(w);
	must(mincore(at, pages * PAGE, resident) == 0); /* a reader of the lock */
	must(mprotect(at, 4 * PAGE, PROT_READ) == 0);
	must(madvise(at + 4 * PAGE, 4 * PAGE, MADV_DONTNEED) == 0);
	must(madvise(at + 8 * PAGE, 4 * PAGE, MADV_FREE) == 0);
	must(mmap(at + 12 * PAGE, 4 * PAGE, RW, ANON | MAP_FIXED | MAP_POPULATE, -1, 0) == at + 12 * PAGE);
	moved = mremap(at + 16 * PAGE, 4 * PAGE, 32 * PAGE, MREMAP_MAYMOVE);
	must(moved != MAP_FAILED);
	touch(moved, 32 * PAGE);
	must(munmap(moved + 2 * PAGE, 30 * PAGE) == 0);
	shm = shmat(storm.shm, NULL, 0);
	must(shm != (char *)-1);
	peek(shm, 4 * PAGE);
	must(shmdt(shm) == 0);
	must(munmap(at, 16 * PAGE) == 0);
	must(munmap(at + 21 * PAGE, (pages - 21) * PAGE) == 0);
	w->virt_pages += 3; /* the two of @moved, and the one at @at + 20 */
	w->anon_pages += 3;
}

/* Acts on a random part of the arena that all share. What is filled, the kernel fills: a range that another thread has
 * just unmapped is an error then, not the end. */
static void shared_round(struct worker *w)
{
	unsigned int first = next_random(w) % (ARENA_PAGES - 64), count = 1 + next_random(w) % 64;
	char *at = storm.arena + first * PAGE;
	size_t len = count * PAGE;

	switch (next_random(w) % 8) {
	case 0:
		must(mmap(at, len, RW, ANON | MAP_FIXED, -1, 0) == at);
		break;
	case 1:
		must(mmap(at, len, RW, ANON | MAP_FIXED | MAP_POPULATE, -1, 0) == at);
		break;
	case 2:
		must(munmap(at, len) == 0);
		break;
	case 3:
		(void)!read(storm.zero, at, len);
		break;
	case 4:
		(void)madvise(at, len, 23 /* MADV_POPULATE_WRITE */);
		break;
	case 5:
		(void)madvise(at, len, next_random(w) % 2 ? MADV_DONTNEED : MADV_FREE);
		break;
	case 6:
		(void)mprotect(at, len, next_random(w) % 2 ? PROT_READ : RW);
		break;
	case 7:
		(void)mremap(at, len, len, MREMAP_MAYMOVE | MREMAP_FIXED,
			     storm.arena + (first + ARENA_PAGES / 2) % (ARENA_PAGES - 64) * PAGE);
		break;
	}
}

/* The readings around the storm are taken while every thread waits at the barrier. */
static void wait_for_threads(const struct worker *workers)
{
	for (unsigned int i = 0; i < storm.threads; i++)
		wait_asleep(workers[i].tid);
}

/* A warm-up round first, so that stack and code of each thread are there when the counting starts. */
static void *work(void *arg)
{
	struct worker *w = arg;

	w->tid = (int)gettid();
	storm.shared ? shared_round(w) : own_round(w);
	pthread_barrier_wait(&storm.barrier);
	w->virt_pages = w->anon_pages = 0;
	pthread_barrier_wait(&storm.barrier);
	for (unsigned int i = 0; i < storm.rounds; i++)
		storm.shared ? shared_round(w) : own_round(w);
	pthread_barrier_wait(&storm.barrier);
	pthread_barrier_wait(&storm.barrier);
	return NULL;
}

static void print_threads(const struct worker *workers)
{
	printf("{\"threads\":[");
	for (unsigned int i = 0; i < storm.threads; i++)
		printf("%s{\"tid\":%d,\"virt\":%ld,\"anon\":%ld}", i ? "," : "", workers[i].tid,
		       workers[i].virt_pages * (long)PAGE, workers[i].anon_pages * (long)PAGE);
	printf("]}\n");
	must(fflush(stdout) == 0);
}

int main(int argc, char **argv)
{
	static struct worker workers[THREADS_MAX];

	must(argc == 4);
	storm.shared = !strcmp(argv[1], "shared");
	storm.threads = (unsigned int)atoi(argv[2]);
	storm.rounds = (unsigned int)atoi(argv[3]);
	must(storm.threads > 0 && storm.threads <= THREADS_MAX);
	must(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0);
	storm.arena = mmap(NULL, (size_t)ARENA_PAGES * PAGE, RW, ANON, -1, 0);
	storm.zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	storm.shm = shmget(IPC_PRIVATE, 4 * PAGE, IPC_CREAT | 0600);
	must(storm.arena != MAP_FAILED && storm.zero >= 0 && storm.shm >= 0);
	must(pthread_barrier_init(&storm.barrier, NULL, storm.threads + 1) == 0);
	point("start");
	for (unsigned int i = 0; i < storm.threads; i++) {
		workers[i].index = i;
		workers[i].random = 2463534242U + i * 7919U;
		must(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
	}
	pthread_barrier_wait(&storm.barrier);
	wait_for_threads(workers);
	STEP("storm", pthread_barrier_wait(&storm.barrier); pthread_barrier_wait(&storm.barrier);
	     wait_for_threads(workers));
	pthread_barrier_wait(&storm.barrier);
	for (unsigned int i = 0; i < storm.threads; i++)
		must(pthread_join(workers[i].thread, NULL) == 0);
	must(shmctl(storm.shm, IPC_RMID, NULL) == 0);
	point("end");
	print_threads(workers);
	points_print();
	return 0;
}
