/* SPDX-License-Identifier: GPL-2.0-only */
/* wakes: one thread touches memory and then makes one call that wakes many others. The first of these takes a reading while the
 * call still wakes the rest: what was touched before the call is a part of it. */
#include "prog.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>

#define CROWD 256
#define WARM  2 /* rounds without a reading that counts: each thread has touched its stack then */
#define PAGES 4UL

static _Atomic int reader_word, crowd_word, awake;
static _Atomic int tids[CROWD + 1];
static int rounds;

static void wait_for(_Atomic int *word, int last)
{
	while (atomic_load(word) == last)
		syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, last, NULL, NULL, 0);
}

static void *reader(void *arg)
{
	char name[32];

	(void)arg;
	tids[0] = (int)gettid();
	for (int round = 0; round < rounds; round++) {
		wait_for(&reader_word, round);
		snprintf(name, sizeof(name), "woken %d", round);
		point(name);
		atomic_fetch_sub(&awake, 1);
	}
	return NULL;
}

static void *one_of_many(void *arg)
{
	const struct sched_param lowest = { 0 };

	/* None of these is to take the CPU of who wakes them. */
	must(!sched_setscheduler(0, SCHED_IDLE, &lowest));
	atomic_store(&tids[(long)arg + 1], (int)gettid());
	for (int round = 0; round < rounds; round++) {
		wait_for(&crowd_word, round);
		atomic_fetch_sub(&awake, 1);
	}
	wait_for(&crowd_word, rounds); /* how a thread ends is code that nobody has run yet: after the last reading */
	return NULL;
}

/* Until the threads have done what they were woken for, and sleep again. */
static void wait_for_all(bool sleep)
{
	while (atomic_load(&awake))
		sched_yield();
	for (int i = 0; sleep && i <= CROWD; i++) {
		while (!atomic_load(&tids[i]))
			sched_yield();
		wait_asleep(tids[i]);
	}
}

int main(int argc, char **argv)
{
	pthread_t threads[CROWD + 1];
	char *area;

	must(argc == 2);
	rounds = WARM + atoi(argv[1]);
	area = mmap(NULL, (size_t)rounds * PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(area != MAP_FAILED);
	must(!pthread_create(&threads[0], NULL, reader, NULL));
	for (long i = 0; i < CROWD; i++)
		must(!pthread_create(&threads[i + 1], NULL, one_of_many, (void *)i));
	for (int round = 0; round < rounds; round++) {
		wait_for_all(true);
		awake = CROWD + 1;
		atomic_fetch_add(&reader_word, 1);
		touch(area + (size_t)round * PAGES * PAGE, PAGES * PAGE);
		/* The reader first, then, as the word of the others goes up by one, all of these. */
		must(syscall(SYS_futex, &reader_word, FUTEX_WAKE_OP_PRIVATE, 1, (long)INT_MAX, &crowd_word,
			     FUTEX_OP(FUTEX_OP_ADD, 1, FUTEX_OP_CMP_GE, 0)) > 0);
	}
	wait_for_all(false);
	atomic_fetch_add(&crowd_word, 1);
	must(syscall(SYS_futex, &crowd_word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0) >= 0);
	for (int i = 0; i <= CROWD; i++)
		must(!pthread_join(threads[i], NULL));
	points_print();
	return 0;
}
