/* SPDX-License-Identifier: GPL-2.0-only */
/* For the tests whose threads share something. */
#ifndef HEAPTRACE_THREADS_H
#define HEAPTRACE_THREADS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#define THREADS 8

static pthread_barrier_t threads_barrier;

/* Waits until all threads are here. */
static inline void threads_meet(void)
{
	pthread_barrier_wait(&threads_barrier);
}

/* Runs @body in THREADS threads to their end. Its argument is the thread's number from 1 on, cast to a pointer. */
static inline void threads_run(void *(*body)(void *))
{
	pthread_t threads[THREADS];

	assert_int_equal(pthread_barrier_init(&threads_barrier, NULL, THREADS), 0);
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, body, (void *)(i + 1)), 0);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	pthread_barrier_destroy(&threads_barrier);
}

#endif
