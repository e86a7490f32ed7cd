/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/ptrace_sure.h"

#include "base/procfs.h"
#include "source/ptrace_books.h"
#include "source/ptrace_claims.h"

#include <string.h>
#include <sys/syscall.h>

/* Pages of a range that is looked at for that; an exit is cheaper than looking at more. */
#define PAGES_MAX 512

/* A call may split the mapping at both ends of its range. */
#define MAPS_A_CALL 2

void sure_mapped(struct ptrace_mm *mm, uint64_t start, uint64_t len)
{
	struct sure *sure = &mm->sure;

	sure->fresh[sure->next] = (struct ptrace_range){ start, start + len };
	sure->next = (sure->next + 1) % SURE_RANGES;
	sure->maps_at_most += MAPS_A_CALL;
}

void sure_changed(struct ptrace_mm *mm, const struct ptrace_range *ranges, unsigned int count)
{
	struct sure *sure = &mm->sure;

	sure->maps_at_most += MAPS_A_CALL;
	if (!count)
		memset(sure->fresh, 0, sizeof(sure->fresh));
	for (unsigned int i = 0; i < count; i++) {
		for (unsigned int k = 0; k < SURE_RANGES; k++) {
			struct ptrace_range *fresh = &sure->fresh[k];

			if (fresh->start < ranges[i].end && ranges[i].start < fresh->end)
				*fresh = (struct ptrace_range){ 0 };
		}
	}
}

static int map_count(void *ctx, const struct procfs_map *map)
{
	(void)map;
	++*(uint64_t *)ctx;
	return 0;
}

/* Whether there is room for two mappings more; counts them where there were too many calls to know. */
static bool maps_have_room(const struct tracer *tracer, struct ptrace_mm *mm)
{
	uint64_t count = 0;

	if (mm->sure.maps_at_most + MAPS_A_CALL < tracer->max_maps)
		return true;
	if (procfs_maps(mm->fd_tid, map_count, &count))
		return false;
	/* Where there are nearly as many as may be, counting again and again would cost more than it saves. */
	mm->sure.maps_at_most = count < tracer->max_maps / 2 ? count : tracer->max_maps / 2 + count;
	return mm->sure.maps_at_most + MAPS_A_CALL < tracer->max_maps;
}

static struct ptrace_range *fresh_find(struct sure *sure, uint64_t start, uint64_t len)
{
	for (unsigned int i = 0; i < SURE_RANGES; i++) {
		if (len && sure->fresh[i].start == start && sure->fresh[i].end - start == len)
			return &sure->fresh[i];
	}
	return NULL;
}

bool sure_call(struct tracer *tracer, struct ptrace_task *task)
{
	const struct ptrace_call *call = &task->call;
	struct ptrace_mm *mm = task->mm;
	struct ptrace_range *fresh;
	uint64_t size = tracer->page_size, start = call->args[0], len;
	int64_t pages;

	if (!call->memcall || call->nr != SYS_munmap || !task->filtered || !call->alone)
		return false;
	len = (call->args[1] + size - 1) & ~(size - 1);
	fresh = fresh_find(&mm->sure, start, len);
	if (!fresh || len > PAGES_MAX * size || !maps_have_room(tracer, mm) ||
	    !claims_all_own(mm, start, start + len, &pages))
		return false;
	*fresh = (struct ptrace_range){ 0 };
	mm->sure.maps_at_most += MAPS_A_CALL;
	shadow_set(&mm->shadow, start / size, len / size, PAGE_NONE);
	mm->sure.change = (struct event_change){
		.cause = CAUSE_SYSCALL,
		.name = call->memcall->name,
		.call = call->memcall,
		.args = { start, call->args[1] },
		.has_ret = true,
		.count = 1,
		.delta = { .virt = -(int64_t)len, .anon = -pages * (int64_t)size },
		.attributed = true,
	};
	mm->sure.ts_ns = call->ts_ns;
	mm->sure.tid = task->tid;
	mm->sure.waits = true;
	return true;
}

void sure_confirm(struct tracer *tracer, struct ptrace_mm *mm, bool certain)
{
	struct sure *sure = &mm->sure;
	const struct ptrace_task *task;
	struct usage now;

	if (!sure->waits)
		return;
	if (!certain && (books_level(tracer, mm, &now) || now.virt != mm->level.virt + sure->change.delta.virt))
		return;
	sure->waits = false;
	task = task_find(tracer, sure->tid);
	/* The thread has not come to another call yet, whose stack would be in its place. */
	stacks_put(tracer, task, &sure->change);
	books_row(tracer, mm, task, &sure->change, (int)sure->change.call->nr, sure->ts_ns);
}
