/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/ptrace_attach.h"

#include "base/procfs.h"
#include "source/ptrace_life.h"
#include "source/ptrace_stops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <unistd.h>

static int seize_failed(pid_t tid, int err, struct diag *diag)
{
	struct procfs_status status;

	if (!procfs_status(tid, &status) && status.tracer)
		return diag_set(diag, err, "process %d is traced by process %d already: stop that one first", tid,
				status.tracer);
	if (err == -ESRCH)
		return diag_set(diag, err, "no process %d: check the number with ps", tid);
	if (err == -EPERM)
		return diag_set(diag, err,
				"no right to trace process %d: it is another user's, a kernel thread, or forbidden by "
				"kernel.yama.ptrace_scope: use sudo",
				tid);
	return diag_set(diag, err, "cannot trace process %d: %s", tid, strerror(-err));
}

/* NULL with *@ret_err where it fails. */
static struct ptrace_task *task_seize(struct tracer *tracer, pid_t tid, int *ret_err)
{
	struct ptrace_task *task = task_add(tracer, tid);

	*ret_err = task ? 0 : -ENOMEM;
	if (!task)
		return NULL;
	if (ptrace(PTRACE_SEIZE, tid, 0, stop_options())) {
		*ret_err = -errno;
		task_drop(tracer, task);
		return NULL;
	}
	task_set_state(task, TASK_RUNNING);
	task->announced = true;
	return task;
}

/* Whether Yama lets only ancestors trace, and others by permission, which the child is going to give. */
static bool yama_restricts(void)
{
	char scope = '0';
	int fd = open("/proc/sys/kernel/yama/ptrace_scope", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	if (read(fd, &scope, 1) != 1)
		scope = '0';
	close(fd);
	return scope == '1';
}

/* Watches the faults of @tid, or gives up to see any, as half of them would be worse. */
static void faults_watch(struct tracer *tracer, pid_t tid, bool on_exec)
{
	if (!tracer->perf)
		return;
	if (!perf_faults_watch(tracer->perf, tid, on_exec)) {
		runstacks_watch(tracer, tid, on_exec);
		return;
	}
	perf_faults_free(tracer->perf);
	tracer->perf = NULL;
}

int attach_child(struct tracer *tracer, pid_t pid, struct diag *diag)
{
	int err;
	struct ptrace_task *task = task_seize(tracer, pid, &err);

	if (!task && err == -EPERM && yama_restricts())
		return -EAGAIN;
	if (!task)
		return seize_failed(pid, err, diag);
	task->awaits_exec = true;
	faults_watch(tracer, pid, true);
	return 0;
}

/* Whether we trace @tid already: a thread that one of ours has begun. */
static bool is_ours(pid_t tid)
{
	struct procfs_status status;

	return !procfs_status(tid, &status) && status.tracer == getpid();
}

/* Seizes the threads of @pid that are not traced yet. How many there were, or -errno. */
static int threads_seize(struct tracer *tracer, pid_t pid)
{
	struct ptrace_task *task;
	pid_t *tids = NULL;
	size_t count = 0;
	int seized = 0, err = procfs_tasks(pid, &tids, &count);

	for (size_t i = 0; i < count && !err; i++) {
		if (task_find(tracer, tids[i]))
			continue;
		task = task_seize(tracer, tids[i], &err);
		if ((err == -ESRCH && tids[i] != pid) || (err == -EPERM && is_ours(tids[i])))
			err = 0; /* it has just ended, or just begun */
		if (task) {
			task->pid = pid;
			task->attaching = true;
			stop_interrupt(task);
			seized++;
		}
	}
	free(tids);
	return err ? err : seized;
}

pid_t attach_process(struct tracer *tracer, pid_t pid, struct diag *diag)
{
	pid_t tgid = procfs_tgid(pid);
	int seized;

	if (tgid < 0)
		return seize_failed(pid, tgid, diag);
	/* A thread may begin another one before it is seized itself. */
	do
		seized = threads_seize(tracer, tgid);
	while (seized > 0);
	return seized ? seize_failed(tgid, seized, diag) : tgid;
}

bool attach_ready(const struct tracer *tracer, pid_t pid)
{
	const struct ptrace_task *task;
	size_t pos = 0;

	while ((task = map_next(&tracer->tasks, &pos, NULL))) {
		if (task->pid == pid && task->attaching && task->state != TASK_STOPPED)
			return false;
	}
	return true;
}

/* A task of @pid that is to be attached, or (@held) is kept until all are. One that is stopped goes first. */
static struct ptrace_task *attaching_find(const struct tracer *tracer, pid_t pid, bool held)
{
	struct ptrace_task *task, *found = NULL;
	size_t pos = 0;

	while ((task = map_next(&tracer->tasks, &pos, NULL))) {
		if (task->pid != pid || !(held ? task->held : task->attaching))
			continue;
		found = task;
		if (task->state == TASK_STOPPED)
			break;
	}
	return found;
}

void attach_finish(struct tracer *tracer, pid_t pid)
{
	struct ptrace_task *task;

	while ((task = attaching_find(tracer, pid, false))) {
		task->attaching = false;
		task->announced = true;
		task->held = task->state == TASK_STOPPED;
		task_read_comm(task);
		faults_watch(tracer, task->tid, false);
		life_attach(tracer, task);
	}
	/* Only now that all have joined may any of them run. */
	while ((task = attaching_find(tracer, pid, true))) {
		int status = task->status;

		task->held = false;
		task->status = 0;
		stop_handle(tracer, task->tid, status);
	}
}
