/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/ptrace_sure.h"

#include "base/procfs.h"
#include "source/ptrace_books.h"
#include "source/ptrace_calls.h"
#include "source/ptrace_claims.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

/* Pages of a range that is looked at for that; an exit is cheaper than looking at more. */
#define PAGES_MAX 512

/* Lines of maps that are read in the time that an exit takes. */
#define LINES_A_CALL 64

/* No address is above that. */
#define ADDRESS_END (1ull << 56)

#define GROWTH_LOOKS 8

/* A call may split the mapping at both ends of its range. */
#define MAPS_A_CALL 2

void sure_mapped(struct ptrace_mm *mm, uint64_t start, uint64_t len)
{
	struct sure *sure = &mm->sure;

	sure->fresh[sure->next] = (struct ptrace_range){ start, start + len };
	sure->next = (sure->next + 1) % SURE_RANGES;
	sure->maps_at_most += MAPS_A_CALL;
}

void sure_split(struct ptrace_mm *mm)
{
	mm->sure.maps_at_most += MAPS_A_CALL;
}

void sure_changed(struct ptrace_mm *mm, const struct ptrace_range *ranges, unsigned int count)
{
	struct sure *sure = &mm->sure;

	sure_split(mm);
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

static uint64_t round_up(uint64_t value, uint64_t page_size)
{
	return (value + page_size - 1) & ~(page_size - 1);
}

struct reading {
	struct mapped *mapped;
	uint64_t lines;
};

static int map_add(void *ctx, const struct procfs_map *map)
{
	struct reading *reading = ctx;

	mapped_add(reading->mapped, map->start, map->end);
	reading->lines++;
	return 0;
}

/* Whether it is known what is mapped; where it is not, maps are read, unless that would be dearer than to look at the exits. */
static bool mapped_know(struct ptrace_mm *mm)
{
	struct sure *sure = &mm->sure;
	struct reading reading = { .mapped = &sure->mapped };

	if (sure->mapped.known || ++sure->calls < sure->read_after)
		return sure->mapped.known;
	mapped_clear(&sure->mapped);
	if (procfs_maps(mm->fd_tid, map_add, &reading))
		mapped_forget(&sure->mapped);
	sure->calls = 0;
	sure->read_after = reading.lines / LINES_A_CALL;
	return sure->mapped.known;
}

/* mremap may have begun with unmapping where it fails; what is moved leaves its place, unless it is only copied. */
static void mapped_move(struct mapped *mapped, const uint64_t args[static 6], int64_t ret, uint64_t page_size)
{
	if (ptrace_failed(ret)) {
		mapped_forget(mapped);
		return;
	}
	if (args[1] && !(args[3] & MREMAP_DONTUNMAP))
		mapped_cut(mapped, args[0], args[0] + round_up(args[1], page_size));
	mapped_add(mapped, (uint64_t)ret, (uint64_t)ret + round_up(args[2], page_size));
}

static void mapped_brk(struct mapped *mapped, const struct ptrace_view *view, int64_t ret)
{
	uint64_t was = round_up(view->brk, view->page_size), is = round_up((uint64_t)ret, view->page_size);

	if (!view->brk)
		mapped_forget(mapped);
	mapped_add(mapped, was, is);
	mapped_cut(mapped, is, was);
}

void sure_returned(struct ptrace_mm *mm, const struct ptrace_call *call, int64_t ret, int64_t virt)
{
	struct mapped *mapped = &mm->sure.mapped;
	uint64_t start, len;
	bool failed = ptrace_failed(ret);

	if (!mapped->known || (!call->memcall && !virt))
		return;
	switch (call->memcall ? call->nr : -1) {
	case SYS_munmap:
	case SYS_mmap:
		start = call->nr == SYS_mmap ? (uint64_t)ret : call->args[0];
		len = round_up(call->args[1], mm->view.page_size);
		if (failed ? ret != -EINVAL : call->nr == SYS_mmap && call->args[3] & MAP_HUGETLB)
			mapped_forget(mapped);
		else if (!failed && call->nr == SYS_mmap)
			mapped_add(mapped, start, start + len);
		else if (!failed)
			mapped_cut(mapped, start, start + len);
		break;
	case SYS_mremap:
		mapped_move(mapped, call->args, ret, mm->view.page_size);
		break;
	case SYS_brk:
		mapped_brk(mapped, &mm->view, ret);
		break;
	default:
		if (virt || (call->memcall && call->memcall->flags & MEMCALL_MAP))
			mapped_forget(mapped);
		break;
	}
}

/* Whether it is known what it does to unmap the range, which is mapped. If so it is taken for unmapped. */
static bool sure_cut_out(struct tracer *tracer, struct ptrace_mm *mm, uint64_t start, uint64_t end)
{
	uint64_t size = tracer->page_size, len = end - start;
	int64_t pages;

	if (len > PAGES_MAX * size || !maps_have_room(tracer, mm) || !claims_all_own(mm, start, end, &pages))
		return false;
	sure_split(mm);
	shadow_set(&mm->shadow, start / size, len / size, PAGE_NONE);
	mapped_cut(&mm->sure.mapped, start, end);
	mm->sure.change.delta = (struct usage){ .virt = -(int64_t)len, .anon = -pages * (int64_t)size };
	return true;
}

static bool sure_munmap(struct tracer *tracer, struct ptrace_mm *mm, const struct ptrace_call *call)
{
	uint64_t size = tracer->page_size, start = call->args[0], len = round_up(call->args[1], size);
	struct ptrace_range *fresh = fresh_find(&mm->sure, start, len);

	if (!fresh || !sure_cut_out(tracer, mm, start, start + len))
		return false;
	*fresh = (struct ptrace_range){ 0 };
	return true;
}

static bool sure_brk(struct tracer *tracer, struct ptrace_mm *mm, const struct ptrace_call *call)
{
	const struct ptrace_view *view = &mm->view;
	uint64_t wanted = call->args[0], was = round_up(view->brk, view->page_size);
	uint64_t is = round_up(wanted, view->page_size);

	if (!view->brk || view->locked)
		return false;
	mm->sure.change.delta = (struct usage){ 0 };
	if (!wanted)
		return true;
	if (wanted < view->start_brk || wanted >= ADDRESS_END || is == was)
		return false;
	mm->sure.change.delta.virt = (int64_t)(is - was);
	if (is > was)
		return tracer->perf != NULL;
	return mapped_know(mm) && mapped_whole(&mm->sure.mapped, is, was) && sure_cut_out(tracer, mm, is, was);
}

static bool sure_mmap(struct tracer *tracer, struct ptrace_mm *mm, const struct ptrace_call *call)
{
	const uint64_t *args = call->args;
	uint64_t len = round_up(args[1], tracer->page_size);

	if (!tracer->perf || call->effect != EFFECT_GROWTH || args[0] || args[5] || !len || len < args[1] ||
	    args[2] & ~(uint64_t)(PROT_READ | PROT_WRITE) ||
	    (args[3] & ~(uint64_t)(MAP_NORESERVE | MAP_STACK)) != (MAP_PRIVATE | MAP_ANONYMOUS) || !mapped_know(mm))
		return false;
	mm->sure.change.delta = (struct usage){ .virt = (int64_t)len };
	return true;
}

static bool is_sure(struct tracer *tracer, struct ptrace_mm *mm, const struct ptrace_call *call)
{
	switch (call->nr) {
	case SYS_munmap:
		return sure_munmap(tracer, mm, call);
	case SYS_mmap:
		return sure_mmap(tracer, mm, call);
	case SYS_brk:
		return sure_brk(tracer, mm, call);
	default:
		return false;
	}
}

bool sure_call(struct tracer *tracer, struct ptrace_task *task)
{
	const struct ptrace_call *call = &task->call;
	struct ptrace_mm *mm = task->mm;
	struct event_change *change = &mm->sure.change;

	if (!call->memcall || !task->filtered || !(call->alone || (call->token && !mm->measuring)))
		return false;
	if (!is_sure(tracer, mm, call))
		return false;
	*change = (struct event_change){
		.cause = CAUSE_SYSCALL,
		.name = call->memcall->name,
		.call = call->memcall,
		.has_ret = true,
		.count = 1,
		.delta = change->delta,
		.attributed = true,
	};
	for (int i = 0; i < 6 && call->memcall->args[i].role != ARG_NONE; i++)
		change->args[i] = call->args[i];
	if (call->nr == SYS_brk)
		change->ret = (int64_t)(call->args[0] ? call->args[0] : mm->view.brk);
	mm->sure.ts_ns = call->ts_ns;
	mm->sure.tid = task->tid;
	mm->sure.waits = true;
	return true;
}

static bool waits_for_perf(const struct sure *sure)
{
	return sure->waits && sure->change.delta.virt > 0;
}

/* The call has been made. */
static void row_book(struct tracer *tracer, struct ptrace_mm *mm)
{
	struct sure *sure = &mm->sure;
	struct ptrace_task *task = task_find(tracer, sure->tid);

	sure->waits = false;
	if (sure->change.call->nr == SYS_brk)
		mm->view.brk = (uint64_t)sure->change.ret;
	/* The thread has not come to another call yet, whose stack would be in its place. */
	stacks_put(tracer, task, &sure->change);
	books_row(tracer, mm, task, &sure->change, (int)sure->change.call->nr, sure->ts_ns);
	if (task && task->call.sure)
		call_forget(task);
}

/* An mmap has mapped @range; NULL: it is not known where. */
static void mmap_book(struct tracer *tracer, struct ptrace_mm *mm, const struct ptrace_range *range)
{
	struct event_change *change = &mm->sure.change;

	change->has_ret = range != NULL;
	if (range) {
		change->ret = (int64_t)range->start;
		sure_mapped(mm, range->start, range->end - range->start);
		mapped_add(&mm->sure.mapped, range->start, range->end);
	} else {
		mapped_forget(&mm->sure.mapped);
	}
	row_book(tracer, mm);
}

/* The heap has grown. */
static void brk_book(struct tracer *tracer, struct ptrace_mm *mm)
{
	uint64_t end = round_up((uint64_t)mm->sure.change.ret, mm->view.page_size);

	mapped_add(&mm->sure.mapped, end - (uint64_t)mm->sure.change.delta.virt, end);
	row_book(tracer, mm);
}

void sure_seen(struct tracer *tracer, struct ptrace_mm *mm, const struct perf_fault *mapping)
{
	const struct sure *sure = &mm->sure;
	uint64_t start = mapping->addr, end = mapping->addr + mapping->len;
	struct ptrace_range range;
	bool known;

	/* What grows tells of itself, too. */
	if (!waits_for_perf(sure) || mapping->tid != sure->tid || mapping->ts_ns < sure->ts_ns ||
	    growing_begins_in(&mm->growing, start, end))
		return;
	if (sure->change.call->nr == SYS_brk) {
		brk_book(tracer, mm);
		return;
	}
	known = mapped_gap(&sure->mapped, start, end, &range) &&
		range.end - range.start == (uint64_t)sure->change.delta.virt;
	mmap_book(tracer, mm, known ? &range : NULL);
}

struct difference {
	const struct mapped *before;
	struct ptrace_range range;
	uint64_t len;
	unsigned int count;
};

static int map_compare(void *ctx, const struct procfs_map *map)
{
	struct difference *difference = ctx;
	struct ptrace_range range;

	if (mapped_gap(difference->before, map->start, map->end, &range) &&
	    range.end - range.start == difference->len) {
		difference->range = range;
		difference->count++;
	}
	return 0;
}

/* By how much VIRT has changed beside what is booked and what mappings have grown by, as long as nothing grows meanwhile. */
static int64_t virt_changed(struct tracer *tracer, struct ptrace_mm *mm)
{
	struct usage now = mm->level;
	int64_t before;

	for (int i = 0; i < GROWTH_LOOKS; i++) {
		before = now.virt;
		growing_look(&mm->growing, mm->maps_fd, mm->fd_tid);
		(void)books_level(tracer, mm, &now);
		if (i && now.virt == before)
			break;
	}
	return now.virt - mm->level.virt - growing_bytes(&mm->growing);
}

static void failure_book(struct tracer *tracer, struct ptrace_mm *mm)
{
	struct event_change *change = &mm->sure.change;

	change->ret = change->call->nr == SYS_brk ? (int64_t)mm->view.brk : -ENOMEM;
	change->delta = (struct usage){ 0 };
	row_book(tracer, mm);
}

/* The thread has gone on, and perf has told of no mapping: the call has failed, unless it is perf that has lost a record. */
static void unseen_book(struct tracer *tracer, struct ptrace_mm *mm)
{
	const struct sure *sure = &mm->sure;
	struct difference difference = { .before = &sure->mapped, .len = (uint64_t)sure->change.delta.virt };

	if (virt_changed(tracer, mm) < sure->change.delta.virt) {
		failure_book(tracer, mm);
	} else if (sure->change.call->nr == SYS_brk) {
		brk_book(tracer, mm);
	} else {
		(void)procfs_maps(mm->fd_tid, map_compare, &difference);
		mmap_book(tracer, mm, difference.count == 1 ? &difference.range : NULL);
	}
}

/* What was taken for unmapped is not. */
static void cut_undo(struct ptrace_mm *mm)
{
	const struct event_change *change = &mm->sure.change;
	uint64_t len = (uint64_t)-change->delta.virt;
	uint64_t start = change->call->nr == SYS_brk ? round_up(change->args[0], mm->view.page_size) : change->args[0];
	struct page_counts pages = { 0 };

	mapped_add(&mm->sure.mapped, start, start + len);
	(void)claims_look(mm, start, start + len, &pages);
}

/* Whether VIRT is what the call that waits makes of it. */
static bool virt_agrees(struct tracer *tracer, struct ptrace_mm *mm)
{
	int64_t want = mm->sure.change.delta.virt;
	struct usage now;

	if (books_level(tracer, mm, &now))
		return false;
	return now.virt == mm->level.virt + want || virt_changed(tracer, mm) == want;
}

/* Whether the call that waits, which takes something away or changes nothing, has been made. */
static bool is_made(struct tracer *tracer, struct ptrace_mm *mm, bool certain)
{
	const struct event_change *change = &mm->sure.change;

	if (certain && (change->call->nr == SYS_munmap || !change->delta.virt))
		return true;
	return change->delta.virt && virt_agrees(tracer, mm);
}

void sure_confirm(struct tracer *tracer, struct ptrace_mm *mm, const struct ptrace_task *gone_on)
{
	struct sure *sure = &mm->sure;
	bool certain = gone_on && gone_on->tid == sure->tid;

	if (!sure->waits)
		return;
	if (waits_for_perf(sure)) {
		books_collect(tracer);
		if (sure->waits && certain)
			unseen_book(tracer, mm);
	} else if (is_made(tracer, mm, certain)) {
		row_book(tracer, mm);
	} else if (certain) {
		cut_undo(mm);
		failure_book(tracer, mm);
	}
}

static void row_forget(struct ptrace_mm *mm)
{
	const struct event_change *change = &mm->sure.change;

	mm->sure.waits = false;
	if (change->delta.virt >= 0)
		return;
	cut_undo(mm);
	if (change->call->nr == SYS_munmap)
		sure_mapped(mm, change->args[0], (uint64_t)-change->delta.virt);
}

void sure_cut(struct tracer *tracer, struct ptrace_task *task, const struct ptrace_entry *cut)
{
	struct ptrace_mm *mm = task->mm;
	const struct sure *sure = &mm->sure;
	bool same = sure->waits && (uint64_t)sure->change.call->nr == cut->nr && sure->change.args[0] == cut->args[0] &&
		    sure->change.args[1] == cut->args[1];

	if (!sure->waits || sure->tid != task->tid)
		return;
	sure_confirm(tracer, mm, same ? NULL : task);
	if (!sure->waits)
		return;
	row_forget(mm);
	call_forget(task);
}

void sure_forget(struct ptrace_task *task)
{
	if (task->mm && task->mm->sure.waits && task->mm->sure.tid == task->tid)
		row_forget(task->mm);
}
