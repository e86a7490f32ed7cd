/* SPDX-License-Identifier: GPL-2.0-only */
/* For the tests of the slab allocator: what the kernel says of its pages, and contents by which a block is known. */
#ifndef HEAPTRACE_SLAB_PAGES_H
#define HEAPTRACE_SLAB_PAGES_H

#include "target/order.h"
#include "target/reading.h"
#include "target/slab.h"
#include "target/slab_region.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define PAGE SLAB_PAGE_BYTES

static inline bool is_resident(const void *ptr)
{
	unsigned char resident = 0;

	return mincore((void *)((uintptr_t)ptr & -PAGE), PAGE, &resident) == 0 && resident & 1;
}

static inline bool is_mapped(const void *ptr)
{
	unsigned char resident;

	return mincore((void *)((uintptr_t)ptr & -PAGE), PAGE, &resident) == 0;
}

static inline unsigned int count_resident(char *const *blocks, size_t count, size_t step)
{
	unsigned int resident = 0;

	for (size_t i = 0; i < count; i += step)
		resident += is_resident(blocks[i]);
	return resident;
}

static inline uint64_t virt_bytes(void)
{
	static char buffer[READING_BUFFER_BYTES];
	struct reading reading;
	int fd = reading_open();

	assert_true(fd >= 0);
	assert_int_equal(reading_take(fd, buffer, &reading), 0);
	close(fd);
	return reading.virt_bytes;
}

/* Each test begins and ends with nothing allocated and nothing kept. */
static inline int set_up(void **state)
{
	(void)state;
	if (slab_init() < 0)
		return -1;
	slab_set_keep(0);
	slab_trim();
	return 0;
}

/* Fills by address and number, so that a byte of another block is found out. */
static inline void fill(unsigned char *block, size_t size, unsigned int seed)
{
	for (size_t i = 0; i < size; i++)
		block[i] = (unsigned char)(seed + i);
}

static inline bool is_filled(const unsigned char *block, size_t size, unsigned int seed)
{
	for (size_t i = 0; i < size; i++)
		if (block[i] != (unsigned char)(seed + i))
			return false;
	return true;
}

static inline size_t random_size(struct order_rng *rng)
{
	static const size_t limits[] = { 64, 600, 2100, 9000, 70000, 300000 };

	return order_random(rng, limits[order_random(rng, 6)]);
}

#endif
