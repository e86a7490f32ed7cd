/* SPDX-License-Identifier: GPL-2.0-only */
/* slab_lock: a lock for sections of some tens of ns that costs one atomic operation to take, a plain store to release,
 * and nothing while the process has one thread. Who finds it taken spins, then yields, then sleeps for short times: a
 * release that had to look for sleepers would cost a second atomic operation, which is a sixth of malloc and free. */
#ifndef TARGET_SLAB_LOCK_H
#define TARGET_SLAB_LOCK_H

#include <features.h> /* __GLIBC__ */
#include <stdbool.h>

#if defined(__GLIBC__) && __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#define SLAB_SINGLE_THREADED __libc_single_threaded
#else
#define SLAB_SINGLE_THREADED false
#endif

struct slab_lock {
	bool taken;
};

/* The slow path of slab_lock_take: returns when it has taken the lock. Leaves errno alone. */
void slab_lock_wait(struct slab_lock *lock);

/* Whether the lock was free, and is taken now. */
static inline bool slab_lock_try(struct slab_lock *lock)
{
	return !__atomic_exchange_n(&lock->taken, true, __ATOMIC_ACQUIRE);
}

static inline void slab_lock_take(struct slab_lock *lock)
{
	if (!slab_lock_try(lock))
		slab_lock_wait(lock);
}

static inline void slab_lock_release(struct slab_lock *lock)
{
	__atomic_store_n(&lock->taken, false, __ATOMIC_RELEASE);
}

/* Takes the lock if there is another thread. The result is for slab_lock_end: no thread can start in between, as the
 * holder starts none. */
static inline bool slab_lock_begin(struct slab_lock *lock)
{
	if (SLAB_SINGLE_THREADED)
		return false;
	slab_lock_take(lock);
	return true;
}

static inline void slab_lock_end(struct slab_lock *lock, bool taken)
{
	if (taken)
		slab_lock_release(lock);
}

#endif
