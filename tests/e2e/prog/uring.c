/* SPDX-License-Identifier: GPL-2.0-only */
/* uring: io_uring reads a file into memory that nobody has touched. Status 77: this kernel does not do it. */
#include "prog.h"

#include <linux/io_uring.h>
#include <sys/mman.h>

#define RW    (PROT_READ | PROT_WRITE)
#define PAGES 64UL

struct ring {
	int fd;
	struct io_uring_params params;
	char *submit, *complete;
	struct io_uring_sqe *entries;
};

static char *map_ring(const struct ring *ring, size_t size, off_t offset)
{
	char *at = mmap(NULL, size, RW, MAP_SHARED | MAP_POPULATE, ring->fd, offset);

	must(at != MAP_FAILED);
	return at;
}

static bool ring_open(struct ring *ring)
{
	const struct io_uring_params *p = &ring->params;

	ring->fd = (int)syscall(SYS_io_uring_setup, 4U, &ring->params);
	if (ring->fd < 0)
		return false;
	ring->submit = map_ring(ring, p->sq_off.array + p->sq_entries * sizeof(uint32_t), IORING_OFF_SQ_RING);
	ring->complete =
		map_ring(ring, p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe), IORING_OFF_CQ_RING);
	ring->entries = (void *)map_ring(ring, p->sq_entries * sizeof(struct io_uring_sqe), IORING_OFF_SQES);
	return true;
}

/* One read of @len bytes of @fd to @at, submitted and waited for; returns its result. */
static int ring_read(const struct ring *ring, int fd, void *at, unsigned int len, unsigned char flags)
{
	const struct io_uring_params *p = &ring->params;
	uint32_t *tail = (void *)(ring->submit + p->sq_off.tail);
	uint32_t *head = (void *)(ring->complete + p->cq_off.head);
	uint32_t mask = *(uint32_t *)(void *)(ring->submit + p->sq_off.ring_mask);
	const struct io_uring_cqe *done = (void *)(ring->complete + p->cq_off.cqes);
	int result;

	ring->entries[*tail & mask] = (struct io_uring_sqe){
		.opcode = IORING_OP_READ, .fd = fd, .addr = (uintptr_t)at, .len = len, .flags = flags
	};
	((uint32_t *)(void *)(ring->submit + p->sq_off.array))[*tail & mask] = *tail & mask;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	must(syscall(SYS_io_uring_enter, ring->fd, 1U, 1U, IORING_ENTER_GETEVENTS, NULL, 0UL) == 1);
	result = done[*head & *(uint32_t *)(void *)(ring->complete + p->cq_off.ring_mask)].res;
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return result;
}

/* Reads all @len bytes: the kernel may stop a read of /dev/zero early, when it has work for the task. */
static bool ring_read_all(const struct ring *ring, int fd, char *at, unsigned int len, unsigned char flags)
{
	while (len) {
		int got = ring_read(ring, fd, at, len, flags);

		if (got <= 0 || (unsigned int)got > len)
			return false;
		at += got;
		len -= (unsigned int)got;
	}
	return true;
}

int main(void)
{
	struct ring ring = { .fd = -1 };
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	char *at = mmap(NULL, 2 * PAGES * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(zero >= 0 && at != MAP_FAILED);
	if (!ring_open(&ring))
		return 77;
	STEP("inline read", must(ring_read_all(&ring, zero, at, PAGES * PAGE, 0)));
	/* IOSQE_ASYNC: a worker thread of the kernel does it, on this process's memory. */
	STEP("worker read", must(ring_read_all(&ring, zero, at + PAGES * PAGE, PAGES * PAGE, IOSQE_ASYNC)));
	points_print();
	return 0;
}
