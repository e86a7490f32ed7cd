/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/ptrace_state.h"

#include "base/clock.h"
#include "base/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

uint64_t tracer_now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

struct ptrace_task *task_find(const struct tracer *tracer, pid_t tid)
{
	return map_get(&tracer->tasks, (uint64_t)tid);
}

struct ptrace_task *task_add(struct tracer *tracer, pid_t tid)
{
	struct ptrace_task *task = calloc(1, sizeof(*task));

	if (!task)
		return NULL;
	task->tid = task->pid = tid;
	if (map_put(&tracer->tasks, (uint64_t)tid, task)) {
		free(task);
		return NULL;
	}
	return task;
}

static bool is_halted(enum task_state state)
{
	return state != TASK_RUNNING;
}

void task_set_state(struct ptrace_task *task, enum task_state state)
{
	if (task->mm)
		task->mm->halted += (unsigned int)is_halted(state) - (unsigned int)is_halted(task->state);
	task->state = state;
}

void task_join(struct ptrace_task *task, struct ptrace_mm *mm)
{
	task->mm = mm;
	if (mm->tasks++)
		mm->had_threads = true;
	mm->halted += is_halted(task->state);
	task->run_epoch = mm->epoch - 1;
}

static void queue_leave(struct ptrace_task *task)
{
	struct ptrace_task **at = &task->mm->queue;

	while (*at && *at != task)
		at = &(*at)->queue_next;
	if (*at)
		*at = task->queue_next;
	task->queue_next = NULL;
}

void task_leave(struct ptrace_task *task)
{
	struct ptrace_mm *mm = task->mm;

	if (!mm)
		return;
	queue_leave(task);
	if (mm->holder == task)
		mm->holder = NULL;
	mm->tasks--;
	mm->halted -= is_halted(task->state);
	mm->measuring -= task->call.measuring;
	task->mm = NULL;
	task->call.token = false;
	task->call.measuring = false;
}

void task_drop(struct tracer *tracer, struct ptrace_task *task)
{
	task_leave(task);
	map_del(&tracer->tasks, (uint64_t)task->tid);
	free(task->call.text);
	free(task->stack);
	free(task);
}

struct ptrace_task *mm_other_task(const struct tracer *tracer, const struct ptrace_mm *mm,
				  const struct ptrace_task *except)
{
	struct ptrace_task *task, *found = NULL;
	size_t pos = 0;

	while ((task = map_next(&tracer->tasks, &pos, NULL))) {
		if (task->mm != mm || task == except)
			continue;
		found = task;
		if (task->state != TASK_EXITING)
			break;
	}
	return found;
}

bool mm_is_quiet(const struct ptrace_mm *mm)
{
	return mm->halted == mm->tasks;
}

void task_read_comm(struct ptrace_task *task)
{
	char path[64];
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)task->tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	memset(task->comm, 0, sizeof(task->comm));
	got = read(fd, task->comm, sizeof(task->comm));
	close(fd);
	/* The kernel ends the name with a newline. */
	if (got > 0)
		task->comm[got - 1] = '\0';
}

static void close_files(struct ptrace_mm *mm)
{
	if (mm->statm_fd >= 0)
		close(mm->statm_fd);
	if (mm->pagemap_fd >= 0)
		close(mm->pagemap_fd);
	if (mm->maps_fd >= 0)
		close(mm->maps_fd);
	mm->statm_fd = mm->pagemap_fd = mm->maps_fd = -1;
}

void mm_open_files(struct ptrace_mm *mm, pid_t tid)
{
	char path[64];
	uint64_t start;

	close_files(mm);
	mm->fd_tid = tid;
	snprintf(path, sizeof(path), "/proc/%d/statm", (int)tid);
	mm->statm_fd = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/%d/pagemap", (int)tid);
	mm->pagemap_fd = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)tid);
	mm->maps_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (mm->maps_fd >= 0 && procfs_map_start(mm->maps_fd, 0, &start) == -ENOTTY) {
		close(mm->maps_fd);
		mm->maps_fd = -1;
	}
}

struct ptrace_mm *mm_add(struct tracer *tracer, const struct ptrace_task *task)
{
	struct ptrace_mm *mm = calloc(1, sizeof(*mm));

	if (!mm)
		return NULL;
	mm->id = ++tracer->next_mm;
	mm->pid = task->pid;
	memcpy(mm->comm, task->comm, sizeof(mm->comm));
	mm->statm_fd = mm->pagemap_fd = mm->maps_fd = -1;
	mm->view.page_size = tracer->page_size;
	mm->epoch = 1;
	mm_open_files(mm, task->tid);
	mm->next = tracer->mms;
	mm->link = &tracer->mms;
	if (mm->next)
		mm->next->link = &mm->next;
	tracer->mms = mm;
	return mm;
}

static void mm_free(struct ptrace_mm *mm)
{
	close_files(mm);
	shadow_free(&mm->shadow);
	growing_free(&mm->growing);
	mapped_free(&mm->sure.mapped);
	stacks_mm_free(mm);
	runstacks_drop(mm->runs, mm->run_count);
	free(mm->runs);
	free(mm);
}

void mm_drop(struct ptrace_mm *mm)
{
	*mm->link = mm->next;
	if (mm->next)
		mm->next->link = mm->link;
	mm_free(mm);
}

void tracer_clear(struct tracer *tracer)
{
	struct ptrace_task *task;
	struct ptrace_mm *mm, *next;
	size_t pos = 0;

	while ((task = map_next(&tracer->tasks, &pos, NULL))) {
		free(task->call.text);
		free(task->stack);
		free(task);
	}
	map_free(&tracer->tasks);
	for (mm = tracer->mms; mm; mm = next) {
		next = mm->next;
		mm_free(mm);
	}
	tracer->mms = NULL;
	perf_faults_free(tracer->perf);
	stacks_free(tracer->stacks);
	runstacks_free(tracer->runstacks);
	ptrace_writer_free(tracer->writer);
}
