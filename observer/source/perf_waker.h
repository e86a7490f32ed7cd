/* SPDX-License-Identifier: GPL-2.0-only */
/* perf_waker: a thread that waits for buffers of perf events to fill, and interrupts the thread that reads them, which waits for
 * something else. The signal that the kernel can send itself (O_ASYNC) comes with each record and not by the watermark. */
#ifndef HEAPTRACE_PERF_WAKER_H
#define HEAPTRACE_PERF_WAKER_H

struct perf_waker;

/* Begins the thread, which sends @signal to the calling one. NULL where that is not possible. */
struct perf_waker *perf_waker_new(int signal);

/* Has it wait for the buffer of the event @fd too: there is one signal whenever its watermark is passed. 0 or -errno. */
int perf_waker_add(struct perf_waker *waker, int fd);

/* Ends the thread; NULL is legal. */
void perf_waker_free(struct perf_waker *waker);

#endif
