/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/ptrace_life.h"

#include "base/procfs.h"
#include "source/ptrace_books.h"
#include "source/ptrace_calls.h"

#include <errno.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* More mappings than a program has when exec has built its mm. */
#define MAPS_AT_EXEC 256

static void out_of_memory(struct tracer *tracer)
{
	if (!tracer->error)
		tracer->error = -ENOMEM;
}

struct vma_sender {
	struct tracer *tracer;
	struct ptrace_mm *mm;
	const struct ptrace_task *task;
	struct buf path;
};

/* Where the heap ends, to the page. */
static int heap_find(void *ctx, const struct procfs_map *map)
{
	uint64_t *end = ctx;

	if (map->path_len == 6 && !memcmp(map->path, "[heap]", 6))
		*end = map->end;
	return 0;
}

/* In maps, of all bytes of a path only newlines are escaped. */
static void path_unescape(struct buf *out, const char *path, size_t len)
{
	buf_reset(out);
	for (size_t i = 0; i < len; i++) {
		bool newline = len - i >= 4 && !memcmp(path + i, "\\012", 4);

		buf_add(out, newline ? "\n" : path + i, 1);
		i += newline ? 3 : 0;
	}
}

static int vma_send(void *ctx, const struct procfs_map *map)
{
	struct vma_sender *sender = ctx;
	struct event event = books_event(sender->mm, sender->task, EVENT_VMA, tracer_now_ns());
	bool stack = map->path_len == 7 && !memcmp(map->path, "[stack]", 7);

	path_unescape(&sender->path, map->path, map->path_len);
	if (buf_error(&sender->path))
		return -ENOMEM;
	event.vma = (struct event_vma){ .start = map->start,
					.end = map->end,
					.offset = map->offset,
					.prot = map->prot,
					.flags = map->shared ? MAP_SHARED : MAP_PRIVATE,
					.dev = map->dev,
					.inode = map->inode,
					.path = map->path_len ? sender->path.data : NULL };
	if (stack)
		event.vma.flags |= MAP_GROWSDOWN;
	if (!map->inode)
		event.vma.flags |= MAP_ANONYMOUS;
	if (stack)
		sender->mm->growing.maps[0].booked = map->start;
	/* The vsyscall page belongs to no mm. */
	if ((int64_t)map->start >= 0)
		books_send(sender->tracer, &event, -1);
	return 0;
}

static uint64_t stat_number(const struct buf *stat, unsigned int field)
{
	uint64_t value = 0;

	if (stat->data)
		(void)ptrace_parse_stat(stat->data, stat->len, field, &value);
	return value;
}

static void birth_row(struct tracer *tracer, struct ptrace_mm *mm, const struct ptrace_task *task, enum open_how how,
		      const char *image)
{
	struct event_change change = { .cause = how == OPEN_EXEC ? CAUSE_EXEC : CAUSE_FORK,
				       .name = how == OPEN_EXEC ? "exec" : "fork",
				       .text = image,
				       .count = 1,
				       .attributed = true };

	if (how != OPEN_ATTACH)
		books_row(tracer, mm, task, &change, -1, tracer_now_ns());
}

/* Opens the books of an mm that @task, stopped, is in. The caller has joined nobody to it yet. */
static struct ptrace_mm *mm_begin(struct tracer *tracer, struct ptrace_task *task, enum open_how how,
				  const struct ptrace_mm *parent)
{
	struct ptrace_mm *mm = mm_add(tracer, task);
	struct event event;
	struct buf stat = { 0 }, image = { 0 };
	struct vma_sender sender = { .tracer = tracer, .mm = mm, .task = task };

	if (!mm) {
		out_of_memory(tracer);
		return NULL;
	}
	mm->may_have_shmem = true; /* so that the first reading tells all parts apart */
	(void)books_level(tracer, mm, &mm->level);
	mm->may_have_shmem = mm->level.shmem != 0;
	event = books_event(mm, task, EVENT_MM_OPEN, tracer_now_ns());
	if (procfs_read(task->tid, "stat", &stat))
		buf_free(&stat);
	event.open.how = how;
	event.open.parent_mm = parent ? parent->id : 0;
	event.open.opening = mm->level;
	event.open.start_brk = stat_number(&stat, STAT_START_BRK);
	event.open.brk = parent && parent->view.brk ? parent->view.brk : event.open.start_brk;
	if (how == OPEN_ATTACH)
		(void)procfs_maps(task->tid, heap_find, &event.open.brk);
	event.open.start_stack = stat_number(&stat, STAT_START_STACK);
	event.open.image = procfs_link(task->tid, "exe", &image) ? NULL : image.data;
	mm->view.start_brk = event.open.start_brk;
	mm->view.brk = how == OPEN_ATTACH ? 0 : event.open.brk;
	mm->view.locked = how == OPEN_ATTACH;
	mm->fault_base = stat_number(&stat, STAT_MINOR_FAULTS) + stat_number(&stat, STAT_MAJOR_FAULTS);
	mm->sure.maps_at_most = parent ? parent->sure.maps_at_most : MAPS_AT_EXEC;
	books_send(tracer, &event, -1);
	if (parent) {
		stacks_fork(parent, mm);
		if (growing_copy(&mm->growing, &parent->growing) || shadow_fork(&parent->shadow, &mm->shadow))
			out_of_memory(tracer);
	} else if (growing_add(&mm->growing, 0) || procfs_maps(task->tid, vma_send, &sender) == -ENOMEM) {
		out_of_memory(tracer);
	}
	birth_row(tracer, mm, task, how, event.open.image);
	buf_free(&sender.path);
	buf_free(&stat);
	buf_free(&image);
	return mm;
}

static void mm_close(struct tracer *tracer, struct ptrace_mm *mm, const struct ptrace_task *task, bool detached)
{
	struct event event;

	if (!detached) {
		struct event_change change = { .cause = CAUSE_EXIT, .name = "exit", .count = 1, .attributed = true };

		event = books_event(mm, task, EVENT_MM_CLOSE, tracer_now_ns());
		event.close.closing = mm->level;
		usage_sub(&change.delta, &mm->level);
		books_row(tracer, mm, task, &change, -1, event.ts_ns);
	} else {
		event = books_event(mm, task, EVENT_MM_CLOSE, tracer_now_ns());
		event.close.closing = mm->level;
	}
	event.close.closing_known = true;
	event.close.proc = event.close.closing;
	event.close.proc_known = true;
	event.close.judge = procfs_judge();
	event.close.detached = detached;
	event.close.swapped_pages = mm->doubtful_pages;
	books_send(tracer, &event, -1);
}

/* Takes @task, which has left its memory behind, out of its mm, and closes that if it was the last. Its books have been
 * settled while the task was stopped. */
static void mm_leave(struct tracer *tracer, struct ptrace_task *task)
{
	struct ptrace_mm *mm = task->mm;

	if (!mm)
		return;
	task_leave(task);
	if (mm->tasks) {
		if (mm->fd_tid == task->tid) {
			const struct ptrace_task *other = mm_other_task(tracer, mm, task);

			mm_open_files(mm, other->tid);
		}
		return;
	}
	mm_close(tracer, mm, task, false);
	mm_drop(mm);
}

static bool same_mm(pid_t a, pid_t b)
{
	return syscall(SYS_kcmp, a, b, KCMP_VM, 0UL, 0UL) == 0;
}

/* Where the kernel has no kcmp(2), the flags of the call that made the child tell. */
static bool shares_mm(const struct ptrace_task *task, const struct ptrace_task *parent)
{
	long differ = syscall(SYS_kcmp, task->tid, parent->tid, KCMP_VM, 0UL, 0UL);
	const struct ptrace_call *call = &parent->call;

	if (differ >= 0)
		return differ == 0;
	if (call->open && call->native && call->nr == SYS_clone)
		return call->args[0] & CLONE_VM;
	return task->pid == parent->pid;
}

void life_born(struct tracer *tracer, struct ptrace_task *task, const struct ptrace_task *parent)
{
	pid_t pid = procfs_tgid(task->tid);
	struct ptrace_mm *mm;

	task->pid = pid > 0 ? pid : task->tid;
	task->filtered = parent->filtered;
	task_read_comm(task);
	if (parent->ignored || parent->awaits_exec || !parent->mm) {
		task->ignored = true;
		return;
	}
	if (shares_mm(task, parent)) {
		task_join(task, parent->mm);
		return;
	}
	if (!tracer->follow) {
		task->ignored = true;
		return;
	}
	mm = mm_begin(tracer, task, OPEN_FORK, parent->mm);
	if (mm)
		task_join(task, mm);
}

/* The first thread's id is taken over by the one that called exec. */
static void id_taken_over(struct tracer *tracer, struct ptrace_task *task, pid_t old_tid)
{
	struct ptrace_task *old = task_find(tracer, old_tid);

	if (old_tid == task->tid || !old)
		return;
	if (task->mm)
		mm_leave(tracer, task);
	task->call = old->call;
	old->call = (struct ptrace_call){ 0 };
	task->filtered = old->filtered;
	task->ignored = old->ignored;
	if (old->mm) {
		struct ptrace_mm *mm = old->mm;

		task_join(task, mm);
		task_leave(old);
	}
	task_drop(tracer, old);
}

void life_exec(struct tracer *tracer, struct ptrace_task *task, pid_t old_tid)
{
	struct ptrace_mm *mm;
	bool guest;
	char *path;

	id_taken_over(tracer, task, old_tid);
	path = task->call.text;
	task->call.text = NULL;
	/* A child that borrows its parent's memory until its exec is followed so far, and no farther. */
	guest = task->mm && task->mm->pid != task->pid && task->mm->tasks > 1;
	call_forget(task);
	mm_leave(tracer, task);
	if (task->ignored || (guest && !tracer->follow)) {
		task->ignored = true;
		free(path);
		return;
	}
	task->pid = task->tid;
	task->awaits_exec = false;
	task_read_comm(task);
	task->call.text = path;
	mm = mm_begin(tracer, task, OPEN_EXEC, NULL);
	if (!mm)
		return;
	task_join(task, mm);
	/* The exec itself returns to the new mm, if its entry was seen. */
	task->call.open = task->call.memcall != NULL;
	task->call.alone = true;
	task->call.ts_ns = tracer_now_ns();
}

void life_last_stop(struct tracer *tracer, struct ptrace_task *task, bool killed)
{
	struct ptrace_mm *mm = task->mm;

	call_cut_short(tracer, task);
	if (!mm)
		return;
	sure_confirm(tracer, mm, killed || mm->tasks > 1 ? NULL : task);
	sure_forget(task);
	/* Where others go on, what they do is theirs: only what this one did last is booked. */
	if (mm_is_quiet(mm))
		books_resolve(tracer, mm, task);
	else
		books_settle(tracer, mm, task);
	mm_leave(tracer, task);
}

void life_gone(struct tracer *tracer, struct ptrace_task *task, int status)
{
	struct event event = { .kind = EVENT_PROC_EXIT, .ts_ns = tracer_now_ns(), .pid = task->pid, .tid = task->tid };
	bool told = !task->ignored && task->tid == task->pid;

	memcpy(event.comm, task->comm, sizeof(event.comm));
	/* It has had no last stop: killed at once. */
	if (task->mm)
		sure_confirm(tracer, task->mm, NULL);
	sure_forget(task);
	mm_leave(tracer, task);
	if (WIFSIGNALED(status))
		event.proc_exit.signal = WTERMSIG(status);
	else
		event.proc_exit.code = WEXITSTATUS(status);
	if (told)
		books_send(tracer, &event, -1);
	task_drop(tracer, task);
}

void life_attach(struct tracer *tracer, struct ptrace_task *task)
{
	struct ptrace_task *other;
	struct ptrace_mm *mm;
	size_t pos = 0;

	while ((other = map_next(&tracer->tasks, &pos, NULL))) {
		if (other == task || !other->mm || (other->pid != task->pid && !same_mm(other->tid, task->tid)))
			continue;
		task_join(task, other->mm);
		return;
	}
	mm = mm_begin(tracer, task, OPEN_ATTACH, NULL);
	if (mm)
		task_join(task, mm);
}

void life_let_go(struct tracer *tracer, struct ptrace_mm *mm)
{
	struct ptrace_task *task;
	size_t pos = 0;

	sure_confirm(tracer, mm, mm_is_quiet(mm) ? task_find(tracer, mm->sure.tid) : NULL);
	books_resolve(tracer, mm, mm_other_task(tracer, mm, NULL));
	mm_close(tracer, mm, NULL, true);
	while ((task = map_next(&tracer->tasks, &pos, NULL))) {
		if (task->mm == mm)
			task_leave(task);
	}
	mm_drop(mm);
}
