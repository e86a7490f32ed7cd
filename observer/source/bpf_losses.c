/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/bpf_losses.h"

#include <stddef.h>

static const struct {
	size_t offset; /* of the counter in struct wire_stats */
	const char *what;
	bool detail, books;
} kinds[] = {
	{ offsetof(struct wire_stats, dropped_info), "marks, paths, mappings and ends of processes", .detail = true },
	{ offsetof(struct wire_stats, buried_mms), "ledgers of address spaces that ended", .books = true },
	{ offsetof(struct wire_stats, unwatched_mms), "address spaces that could not be watched", .books = true },
	{ offsetof(struct wire_stats, unwatched_tasks), "threads that could not be watched", .books = true },
};

int bpf_losses_tell(const volatile struct wire_stats *stats, struct wire_stats *told, uint64_t ts_ns, event_fn fn,
		    void *ctx)
{
	int err = 0;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds) && !err; i++) {
		uint64_t now = *(const volatile u64 *)((const volatile char *)stats + kinds[i].offset);
		u64 *before = (u64 *)((char *)told + kinds[i].offset);
		struct event event = { .kind = EVENT_LOST, .ts_ns = ts_ns };

		if (now == *before)
			continue;
		event.lost.records = now - *before;
		event.lost.what = kinds[i].what;
		event.lost.detail = kinds[i].detail;
		event.lost.books = kinds[i].books;
		*before = now;
		err = fn(ctx, &event);
	}
	return err;
}
