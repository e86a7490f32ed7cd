/* SPDX-License-Identifier: GPL-2.0-only */
/* search: a sorted array is searched by one of its elements' members, a 64-bit number. */
#ifndef HEAPTRACE_SEARCH_H
#define HEAPTRACE_SEARCH_H

#include <stddef.h>
#include <stdint.h>

/* How many of the @count elements of the array @elements have a @member of at most @value: the index of the first one above. */
#define SEARCH_ABOVE(elements, count, member, value) \
	search_above((elements), (count), sizeof(*(elements)), offsetof(__typeof__(*(elements)), member), (value))

static inline size_t search_above(const void *elements, size_t count, size_t size, size_t offset, uint64_t value)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (*(const uint64_t *)((const char *)elements + middle * size + offset) <= value)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

#endif
