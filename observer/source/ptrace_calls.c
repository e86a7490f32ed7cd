/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/ptrace_calls.h"

#include "base/buf.h"
#include "base/procfs.h"
#include "source/ptrace_books.h"
#include "source/ptrace_claims.h"
#include "source/ptrace_memory.h"
#include "source/ptrace_seccomp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define MARK_PREFIX	 "heaptrace:"
#define MARK_PREFIX_LEN	 (sizeof(MARK_PREFIX) - 1)
#define MARK_MAX	 255
/* How long a call may sleep while others wait for its end: mappings of files may wait for ever. Where it is for the lock of the
 * mm (D), its holder may only be waiting for a CPU. */
#define PATIENCE_NS	 100000000ull
#define PATIENCE_LOCK_NS 1000000000ull
#define GROWTH_LOOKS	 8

static bool is_mark(const struct ptrace_call *call)
{
	return call->native && call->nr == SYS_write && (int32_t)call->args[0] == -1;
}

/* A label that is not in memory, or nowhere, is no reason to leave the mark out. */
static void mark_take(struct tracer *tracer, struct ptrace_task *task)
{
	char text[MARK_PREFIX_LEN + MARK_MAX + 1] = MARK_PREFIX "(label not in memory)";
	struct ptrace_call *call = &task->call;
	size_t len = sizeof(text) - 1, got;
	struct event event;

	if (call->args[2] < MARK_PREFIX_LEN)
		return;
	if (call->args[2] < len)
		len = (size_t)call->args[2];
	books_resolve(tracer, task->mm, task);
	got = memory_peek(task->mm, task->tid, call->args[1], text, len);
	if (got)
		text[got] = '\0';
	if (memcmp(text, MARK_PREFIX, MARK_PREFIX_LEN) != 0)
		return;
	event = books_event(task->mm, task, EVENT_MARK, tracer_now_ns());
	event.mark.name = text + MARK_PREFIX_LEN;
	books_send(tracer, &event, -1);
}

static bool is_life(const struct ptrace_call *call)
{
	return call->memcall && call->memcall->flags & MEMCALL_LIFE;
}

/* Whether no other call may change the mm at the same time. A call that is none of memory may wait for ever. */
static bool wants_token(const struct ptrace_call *call)
{
	if (!call->native)
		return false;
	return call->memcall ? !is_life(call) : ptrace_seccomp_is_stray(call->nr);
}

static void pages_count(const struct ptrace_mm *mm, const struct ptrace_call *call, bool returned, int64_t ret,
			struct page_counts *sum)
{
	struct ptrace_range ranges[PTRACE_RANGES];
	unsigned int count = ptrace_ranges(call->memcall, call->args, &mm->view, returned, ret, ranges);

	for (unsigned int i = 0; i < count; i++)
		claims_count(mm, ranges[i].start, ranges[i].end, sum);
}

/* The kernel is about to read the path, too: pages that come by reading it are those of the exec. */
static void exec_path_read(const struct tracer *tracer, struct ptrace_task *task)
{
	struct ptrace_call *call = &task->call;

	if (call->memcall && (call->nr == SYS_execve || call->nr == SYS_execveat))
		call->text = memory_string(task->tid, call->args[call->nr == SYS_execve ? 0 : 1], tracer->page_size);
}

/* The call has the mm for itself as far as that can be had: notes how things stand. */
static void call_begin(struct tracer *tracer, struct ptrace_task *task)
{
	struct ptrace_call *call = &task->call;
	struct ptrace_mm *mm = task->mm;

	call->ts_ns = tracer_now_ns();
	call->alone = mm->tasks == 1;
	call->effect = call->memcall ? ptrace_effect(call->memcall, call->args, &mm->view) : EFFECT_MEASURED;
	books_collect(tracer);
	if (books_pending(tracer, mm))
		books_settle(tracer, mm, task);
	if (call->memcall) {
		stacks_take(tracer, task);
		call->has_stack = true;
	}
	call->sure = sure_call(tracer, task);
	if (call->sure) {
		call->measuring = !call->alone;
		mm->measuring += call->measuring;
		return;
	}
	if (call->effect == EFFECT_MEASURED)
		books_settle(tracer, mm, task);
	exec_path_read(tracer, task);
	call->counts = (struct page_counts){ 0 };
	call->measuring = call->effect != EFFECT_NONE && (call->alone || call->token);
	mm->measuring += call->measuring;
	if (call->effect == EFFECT_MEASURED && !call->alone && call->memcall)
		pages_count(mm, call, false, 0, &call->counts);
}

static void queue_add(struct ptrace_task *task)
{
	struct ptrace_task **at = &task->mm->queue;

	while (*at)
		at = &(*at)->queue_next;
	*at = task;
	task->queue_next = NULL;
}

static void token_take(struct ptrace_task *task)
{
	task->mm->holder = task;
	task->mm->holder_since_ns = tracer_now_ns();
	task->call.token = true;
}

static void token_drop(struct ptrace_task *task)
{
	if (task->mm && task->mm->holder == task)
		task->mm->holder = NULL;
	task->call.token = false;
}

/* The call is over, or is given up. */
static void call_end(struct ptrace_task *task)
{
	if (task->mm)
		task->mm->measuring -= task->call.measuring;
	task->call.measuring = false;
	task->call.has_stack = false;
	task->call.open = false;
	token_drop(task);
	free(task->call.text);
	task->call.text = NULL;
}

bool call_enter(struct tracer *tracer, struct ptrace_task *task, struct ptrace_entry *entry)
{
	struct ptrace_call *call = &task->call;

	call_end(task);
	*call = (struct ptrace_call){ .open = true };
	call->native = ptrace_translate(entry);
	call->foreign = call->native ? NULL : ptrace_foreign_name(entry);
	call->nr = (int)entry->nr;
	memcpy(call->args, entry->args, sizeof(call->args));
	if (call->native)
		call->memcall = memcall_by_nr(call->nr);
	if (!task->mm) {
		exec_path_read(tracer, task);
		return true;
	}
	sure_confirm(tracer, task->mm, task);
	if (is_mark(call)) {
		mark_take(tracer, task);
		return true;
	}
	if (wants_token(call) && task->mm->tasks > 1) {
		if (task->mm->holder || task->mm->queue) {
			queue_add(task);
			return false;
		}
		token_take(task);
	}
	call_begin(tracer, task);
	return true;
}

struct ptrace_task *call_next(struct tracer *tracer, struct ptrace_mm *mm)
{
	struct ptrace_task *task = mm->holder ? NULL : mm->queue;

	if (!task)
		return NULL;
	mm->queue = task->queue_next;
	task->queue_next = NULL;
	token_take(task);
	call_begin(tracer, task);
	return task;
}

/* The state of a thread as /proc says it: 'R', 'S', 'D', 't', ...; '?' where it is gone. */
static char state_of(pid_t tid)
{
	struct buf stat = { 0 };
	const char *at = procfs_read(tid, "stat", &stat) ? NULL : memrchr(stat.data, ')', stat.len);
	char state = '?';

	if (at && at + 2 < stat.data + stat.len)
		state = at[2];
	buf_free(&stat);
	return state;
}

static void patience_lost(struct ptrace_mm *mm)
{
	token_drop(mm->holder);
	mapped_forget(&mm->sure.mapped);
	sure_changed(mm, NULL, 0);
}

void call_lose_patience(struct ptrace_mm *mm, uint64_t now_ns)
{
	char state;

	if (!mm->queue || !mm->holder)
		return;
	state = state_of(mm->holder->tid);
	if (state == 'R' || state == 't') /* it will end, as soon as it has a CPU or we look at it */
		mm->holder_since_ns = now_ns;
	else if (now_ns - mm->holder_since_ns > (state == 'D' ? PATIENCE_LOCK_NS : PATIENCE_NS))
		patience_lost(mm);
}

bool call_wants_exit(const struct ptrace_task *task)
{
	return task->call.open && task->mm && !is_mark(&task->call) && !task->call.sure;
}

/* How much of the change of VIRT that nobody has booked is the call's: all but what faults of others made grow meanwhile. A fault
 * tells of itself when it is over, and its mapping has grown before: so the mappings are looked at, until nothing has changed
 * between two looks. */
static int64_t virt_part(struct tracer *tracer, struct ptrace_mm *mm, const struct ptrace_call *call, struct usage *now)
{
	int64_t before, grown = 0;

	if (call->alone)
		return now->virt - mm->level.virt;
	for (int i = 0; i < GROWTH_LOOKS; i++) {
		before = now->virt;
		growing_look(&mm->growing, mm->maps_fd, mm->fd_tid);
		grown = growing_bytes(&mm->growing);
		if (books_level(tracer, mm, now) || now->virt == before)
			break;
	}
	return now->virt - mm->level.virt - grown;
}

/* The change of the pages in reach of the call. What a call drops, others may have touched again: that is their doing. */
static struct usage pages_part(const struct ptrace_mm *mm, const struct ptrace_call *call, int64_t ret,
			       const struct usage *now)
{
	struct page_counts after = { 0 };
	struct usage moved = *now, part = { 0 };
	int64_t size = (int64_t)mm->view.page_size, file, anon, doubtful;

	if (ptrace_failed(ret) || !ptrace_drops(call->memcall, call->args, &mm->view))
		pages_count(mm, call, true, ret, &after);
	usage_sub(&moved, &mm->level);
	anon = (after.anon - call->counts.anon) * size;
	doubtful = (after.doubtful - call->counts.doubtful) * size;
	part.anon = llabs(moved.anon - anon - doubtful) < llabs(moved.anon - anon) ? anon + doubtful : anon;
	part.swap = moved.swap;
	file = (after.file - call->counts.file) * size;
	part.shmem = claims_shmem_part(mm, call->args[0], file, &moved);
	part.file = file - part.shmem;
	return part;
}

/* What a measured call has done, by the difference that it made where it was alone, else by the pages in its reach. */
static struct usage measured_part(struct tracer *tracer, struct ptrace_task *task, int64_t ret)
{
	struct ptrace_call *call = &task->call;
	struct ptrace_mm *mm = task->mm;
	struct ptrace_range ranges[PTRACE_RANGES];
	struct usage now, part;

	if (books_level(tracer, mm, &now))
		return (struct usage){ 0 };
	if (call->alone && mm->tasks == 1) {
		usage_sub(&now, &mm->level);
		return now;
	}
	call->alone = false;
	books_collect(tracer);
	if (call->memcall && ptrace_ranges(call->memcall, call->args, &mm->view, true, ret, ranges)) {
		part = pages_part(mm, call, ret, &now);
		part.virt = virt_part(tracer, mm, call, &now);
		return part;
	}
	/* Neither arguments nor result say where: it has done what the faults of others have not. */
	if (is_life(call))
		return (struct usage){ 0 };
	part.virt = virt_part(tracer, mm, call, &now);
	now.virt -= part.virt;
	now = books_explain(tracer, mm, &now);
	part.anon = now.anon;
	part.file = now.file;
	part.shmem = now.shmem;
	part.swap = now.swap;
	return part;
}

/* Brings what is known of pages up to date after a call that changed some. */
static void pages_update(struct ptrace_mm *mm, const struct ptrace_call *call, int64_t ret, const struct usage *part)
{
	struct ptrace_range ranges[PTRACE_RANGES];
	struct page_counts change = { 0 };
	unsigned int count = ptrace_ranges(call->memcall, call->args, &mm->view, true, ret, ranges);
	uint64_t size = mm->view.page_size;

	if (call->effect == EFFECT_NONE || call->nr == SYS_madvise) /* what was mapped still is */
		sure_split(mm);
	else if (call->effect == EFFECT_MEASURED)
		sure_changed(mm, ranges, count);
	else if (call->nr == SYS_mmap && !ptrace_failed(ret))
		sure_mapped(mm, (uint64_t)ret, ranges[0].end - ranges[0].start);
	if (call->nr == SYS_shmdt && part->virt < 0)
		shadow_set(&mm->shadow, call->args[0] / size, (uint64_t)-part->virt / size, PAGE_NONE);
	for (unsigned int i = 0; i < count; i++) {
		if (!ptrace_failed(ret) && ptrace_drops(call->memcall, call->args, &mm->view))
			shadow_set(&mm->shadow, ranges[i].start / size, (ranges[i].end - ranges[i].start) / size,
				   PAGE_NONE);
		else if (call->nr == SYS_mremap || part->anon || part->file || part->shmem)
			(void)claims_look(mm, ranges[i].start, ranges[i].end, &change);
	}
}

/* What later calls are judged by. */
static void view_update(struct tracer *tracer, struct ptrace_mm *mm, const struct ptrace_call *call, int64_t ret)
{
	if (ptrace_failed(ret))
		return;
	if (call->nr == SYS_brk && ret > 0)
		mm->view.brk = (uint64_t)ret;
	mm->view.locked |= ptrace_locks(call->memcall, call->args);
	if (call->nr == SYS_munmap)
		growing_drop(&mm->growing, call->args[0], call->args[1]);
	else if (call->nr == SYS_mmap && call->args[3] & MAP_GROWSDOWN && growing_add(&mm->growing, (uint64_t)ret))
		tracer->error = -ENOMEM;
}

/* The path of the file that a call has mapped; NULL where there is none. To be freed by buf_free(). */
static const char *mapped_path(const struct ptrace_task *task, int64_t ret, struct buf *out)
{
	const struct ptrace_call *call = &task->call;
	char name[32];

	if (call->nr != SYS_mmap || ptrace_failed(ret) || call->args[3] & MAP_ANONYMOUS)
		return NULL;
	snprintf(name, sizeof(name), "fd/%d", (int)call->args[4]);
	return procfs_link(task->tid, name, out) ? NULL : out->data;
}

/* A call that is no memory call, or no native one: it is a row if it changed something. Pages that came are taken by faults
 * in kernel mode, what went is the call's own doing. */
static void stray_book(struct tracer *tracer, struct ptrace_task *task, int64_t ret, const struct usage *part)
{
	const struct ptrace_call *call = &task->call;
	bool filled = part->anon > 0 || part->file > 0 || part->shmem > 0;
	struct event_change change = { .cause = filled && !part->virt ? CAUSE_KERNEL_FAULT : CAUSE_SYSCALL,
				       .name = call->foreign,
				       .count = 1,
				       .delta = *part,
				       .attributed = true };

	if (usage_is_zero(part))
		return;
	if (change.cause == CAUSE_SYSCALL) {
		change.ret = ret;
		change.has_ret = true;
	}
	/* Its return leaves the thread where its entry found it. */
	stacks_take(tracer, task);
	stacks_put(tracer, task, &change);
	books_row(tracer, task->mm, task, &change, call->native ? call->nr : -1, call->ts_ns);
	books_rebase_faults(tracer, task->mm);
}

/* The row of a memory call. Faults that a call takes on its way which is not there to fill pages are rows of their own. */
static void memcall_book(struct tracer *tracer, struct ptrace_task *task, int64_t ret, bool returned, struct usage part)
{
	const struct ptrace_call *call = &task->call;
	struct event_change change = { .cause = CAUSE_SYSCALL,
				       .name = call->memcall->name,
				       .call = call->memcall,
				       .ret = returned ? ret : 0,
				       .has_ret = returned,
				       .count = 1,
				       .attributed = true };
	struct buf path = { 0 };

	if (!usage_is_zero(&part) && !(call->memcall->flags & MEMCALL_RSS)) {
		struct event_change faults = { .cause = CAUSE_KERNEL_FAULT,
					       .name = call->memcall->name,
					       .count = 1,
					       .delta = part,
					       .attributed = true };

		stacks_put(tracer, call->has_stack ? task : NULL, &faults);
		books_row(tracer, task->mm, task, &faults, call->nr, call->ts_ns);
		part = (struct usage){ 0 };
	}
	change.delta = part;
	for (int i = 0; i < 6 && call->memcall->args[i].role != ARG_NONE; i++)
		change.args[i] = call->args[i];
	change.text = call->text ? call->text : mapped_path(task, ret, &path);
	stacks_put(tracer, call->has_stack ? task : NULL, &change);
	books_row(tracer, task->mm, task, &change, call->nr, call->ts_ns);
	buf_free(&path);
	if (part.anon > 0 || part.file > 0 || part.shmem > 0)
		books_rebase_faults(tracer, task->mm);
}

void call_exit(struct tracer *tracer, struct ptrace_task *task, int64_t ret)
{
	struct ptrace_call *call = &task->call;
	struct ptrace_mm *mm = task->mm;
	struct usage part = { 0 };

	if (call->native && call->nr == SYS_prctl && call->args[0] == PR_SET_NAME)
		task_read_comm(task);
	if (mm && !is_mark(call) && !ptrace_restarts(ret)) {
		if (call->effect == EFFECT_GROWTH)
			part.virt = ptrace_growth(call->memcall, call->args, ret, &mm->view);
		else if (call->effect == EFFECT_MEASURED)
			part = measured_part(tracer, task, ret);
		if (call->memcall) {
			memcall_book(tracer, task, ret, true, part);
			pages_update(mm, call, ret, &part);
			sure_returned(mm, call, ret, part.virt);
			view_update(tracer, mm, call, ret);
			stacks_call_done(mm, call, ret);
		} else {
			stray_book(tracer, task, ret, &part);
			sure_returned(mm, call, ret, part.virt);
		}
	}
	call_end(task);
}

void call_cut_short(struct tracer *tracer, struct ptrace_task *task)
{
	const struct ptrace_call *call = &task->call;
	struct usage part;

	if (call_wants_exit(task) && task->state != TASK_QUEUED && call->effect != EFFECT_NONE) {
		part = measured_part(tracer, task, -EINTR);
		if (call->memcall && !usage_is_zero(&part))
			memcall_book(tracer, task, 0, false, part);
		else
			stray_book(tracer, task, -EINTR, &part);
		mapped_forget(&task->mm->sure.mapped);
	}
	call_end(task);
}

void call_forget(struct ptrace_task *task)
{
	call_end(task);
}
