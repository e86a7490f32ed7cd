/* SPDX-License-Identifier: GPL-2.0-only */
#include "slab_lock.h"

#include <errno.h>
#include <sched.h>
#include <time.h>

/* So many turns are about 1 us, which a holder needs at most unless it is in the kernel or off its CPU. */
#define SPINS	 100
/* After as many yields the holder is taken for one that is not running, for which this thread is in the way. */
#define YIELDS	 10
#define SLEEP_NS 50000

static void pause_turn(unsigned int turn)
{
	if (turn < SPINS) {
#ifdef __x86_64__
		__builtin_ia32_pause();
#endif
	} else if (turn < SPINS + YIELDS) {
		sched_yield();
	} else {
		nanosleep(&(struct timespec){ .tv_nsec = SLEEP_NS }, NULL);
	}
}

void slab_lock_wait(struct slab_lock *lock)
{
	int saved_errno = errno;

	for (unsigned int turn = 0;; turn += turn < SPINS + YIELDS) {
		/* Read first: an exchange takes the cache line from the holder even where it fails. */
		if (!__atomic_load_n(&lock->taken, __ATOMIC_RELAXED) &&
		    !__atomic_exchange_n(&lock->taken, true, __ATOMIC_ACQUIRE))
			break;
		pause_turn(turn);
	}
	errno = saved_errno;
}
