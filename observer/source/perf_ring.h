/* SPDX-License-Identifier: GPL-2.0-only */
/* perf_ring: the buffer that the kernel writes the records of perf events to. */
#ifndef HEAPTRACE_PERF_RING_H
#define HEAPTRACE_PERF_RING_H

#include <stddef.h>
#include <stdint.h>

struct perf_ring {
	struct perf_event_mmap_page *page; /* NULL: none yet */
	char *data;
	uint64_t bytes; /* of the data, a power of two */
	uint64_t head;	/* as last looked at */
	uint64_t tail;
	int owner_fd; /* the event whose buffer it is; others may write to it */
};

/* Maps the buffer of the event @fd, of *@bytes, or less, down to @min, where the user's allowance of locked memory is used up:
 * *@bytes is what it has become. 0 or -errno. */
int perf_ring_map(struct perf_ring *ring, int fd, uint64_t *bytes, uint64_t min);

/* Unmaps it, if it was mapped. */
void perf_ring_unmap(struct perf_ring *ring);

/* Looks at how far the kernel has written. */
void perf_ring_look(struct perf_ring *ring);

/* Copies the next record to @out and returns its size; longer ones than @cap are left out. 0 at the end of what was looked at. */
size_t perf_ring_take(struct perf_ring *ring, void *out, size_t cap);

/* Gives back to the kernel the room of all records that were taken. */
void perf_ring_release(struct perf_ring *ring);

#endif
