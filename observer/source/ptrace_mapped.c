/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/ptrace_mapped.h"

#include "base/search.h"

#include <stdlib.h>
#include <string.h>

void mapped_clear(struct mapped *mapped)
{
	mapped->count = 0;
	mapped->known = true;
}

void mapped_forget(struct mapped *mapped)
{
	mapped->count = 0;
	mapped->known = false;
}

void mapped_free(struct mapped *mapped)
{
	free(mapped->ranges);
	*mapped = (struct mapped){ 0 };
}

/* Puts @count others in the place of the ranges from @low up to @high. */
static void splice(struct mapped *mapped, size_t low, size_t high, const struct ptrace_range *ranges, size_t count)
{
	size_t left = mapped->count - high, want = low + count + left;

	if (want > mapped->cap) {
		size_t cap = want * 2;
		struct ptrace_range *more = reallocarray(mapped->ranges, cap, sizeof(*more));

		if (!more) {
			mapped_forget(mapped);
			return;
		}
		mapped->ranges = more;
		mapped->cap = cap;
	}
	memmove(mapped->ranges + low + count, mapped->ranges + high, left * sizeof(*ranges));
	for (size_t i = 0; i < count; i++)
		mapped->ranges[low + i] = ranges[i];
	mapped->count = want;
}

void mapped_add(struct mapped *mapped, uint64_t start, uint64_t end)
{
	struct ptrace_range range = { start, end };
	size_t low, high;

	if (!mapped->known || start >= end)
		return;
	/* Those that touch it become one with it. */
	low = start ? SEARCH_ABOVE(mapped->ranges, mapped->count, end, start - 1) : 0;
	high = SEARCH_ABOVE(mapped->ranges, mapped->count, start, end);
	if (low < high && mapped->ranges[low].start < start)
		range.start = mapped->ranges[low].start;
	if (low < high && mapped->ranges[high - 1].end > end)
		range.end = mapped->ranges[high - 1].end;
	splice(mapped, low, high, &range, 1);
}

void mapped_cut(struct mapped *mapped, uint64_t start, uint64_t end)
{
	struct ptrace_range left[2];
	size_t low, high, count = 0;

	if (!mapped->known || start >= end)
		return;
	low = SEARCH_ABOVE(mapped->ranges, mapped->count, end, start);
	high = SEARCH_ABOVE(mapped->ranges, mapped->count, start, end - 1);
	if (low >= high)
		return;
	if (mapped->ranges[low].start < start)
		left[count++] = (struct ptrace_range){ mapped->ranges[low].start, start };
	if (mapped->ranges[high - 1].end > end)
		left[count++] = (struct ptrace_range){ end, mapped->ranges[high - 1].end };
	splice(mapped, low, high, left, count);
}

bool mapped_whole(const struct mapped *mapped, uint64_t start, uint64_t end)
{
	size_t i = SEARCH_ABOVE(mapped->ranges, mapped->count, end, start);

	return i < mapped->count && mapped->ranges[i].start <= start && mapped->ranges[i].end >= end;
}

bool mapped_gap(const struct mapped *mapped, uint64_t start, uint64_t end, struct ptrace_range *out)
{
	size_t i = SEARCH_ABOVE(mapped->ranges, mapped->count, end, start);
	struct ptrace_range found = { 0 };
	unsigned int count = 0;

	for (uint64_t at = start; at < end; i++) {
		uint64_t until = i < mapped->count && mapped->ranges[i].start < end ? mapped->ranges[i].start : end;

		if (until > at) {
			found = (struct ptrace_range){ at, until };
			count++;
		}
		at = i < mapped->count && until < end ? mapped->ranges[i].end : end;
	}
	if (count == 1)
		*out = found;
	return count == 1;
}
