/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/perf_ring.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int perf_ring_map(struct perf_ring *ring, int fd, uint64_t *bytes, uint64_t min)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *at = MAP_FAILED;

	while (at == MAP_FAILED) {
		at = mmap(NULL, page + *bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (at != MAP_FAILED)
			break;
		if (*bytes <= min)
			return -errno;
		*bytes /= 2;
	}
	ring->page = at;
	ring->data = (char *)at + page;
	ring->bytes = *bytes;
	ring->owner_fd = fd;
	return 0;
}

void perf_ring_unmap(struct perf_ring *ring)
{
	if (ring->page)
		munmap(ring->page, ring->bytes + (size_t)sysconf(_SC_PAGESIZE));
	ring->page = NULL;
}

void perf_ring_look(struct perf_ring *ring)
{
	ring->head = __atomic_load_n(&ring->page->data_head, __ATOMIC_ACQUIRE);
}

size_t perf_ring_take(struct perf_ring *ring, void *out, size_t cap)
{
	while (ring->tail != ring->head) {
		uint64_t at = ring->tail & (ring->bytes - 1), left = ring->bytes - at;
		const struct perf_event_header *header = (const void *)(ring->data + at);
		size_t size = header->size, part = size < left ? size : left;

		if (size < sizeof(*header) || size > ring->head - ring->tail) { /* never, as the kernel writes it */
			ring->tail = ring->head;
			return 0;
		}
		ring->tail += size;
		if (size > cap)
			continue;
		memcpy(out, header, part);
		memcpy((char *)out + part, ring->data, size - part);
		return size;
	}
	return 0;
}

void perf_ring_release(struct perf_ring *ring)
{
	__atomic_store_n(&ring->page->data_tail, ring->tail, __ATOMIC_RELEASE);
}
