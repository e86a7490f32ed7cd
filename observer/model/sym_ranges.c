/* SPDX-License-Identifier: GPL-2.0-only */
#include "model/sym_ranges.h"

#include "base/search.h"

#include <errno.h>
#include <stdlib.h>

/* Ranges may lie in each other: so many before an address are tried. */
#define OVERLAP_MAX 64

int sym_ranges_add(struct sym_ranges *ranges, uint64_t low, uint64_t high, uint64_t value)
{
	if (!low || low >= high)
		return 0;
	if (ranges->count >= SYM_RANGES_MAX)
		return -E2BIG;
	if (ranges->count == ranges->size) {
		size_t size = ranges->size ? ranges->size * 2 : 64;
		struct sym_range *more = reallocarray(ranges->list, size, sizeof(*more));

		if (!more)
			return -ENOMEM;
		ranges->list = more;
		ranges->size = size;
	}
	ranges->list[ranges->count++] = (struct sym_range){ low, high, value };
	return 0;
}

static int compare(const void *a, const void *b)
{
	const struct sym_range *x = a, *y = b;

	if (x->low != y->low)
		return x->low < y->low ? -1 : 1;
	return (x->high < y->high) - (x->high > y->high);
}

void sym_ranges_finish(struct sym_ranges *ranges)
{
	if (ranges->count)
		qsort(ranges->list, ranges->count, sizeof(*ranges->list), compare);
}

const struct sym_range *sym_ranges_find(const struct sym_ranges *ranges, uint64_t addr)
{
	size_t low = SEARCH_ABOVE(ranges->list, ranges->count, low, addr);

	for (unsigned int i = 0; low && i < OVERLAP_MAX; i++) {
		const struct sym_range *range = &ranges->list[--low];

		if (addr < range->high)
			return range;
	}
	return NULL;
}

void sym_ranges_free(struct sym_ranges *ranges)
{
	free(ranges->list);
	*ranges = (struct sym_ranges){ 0 };
}
