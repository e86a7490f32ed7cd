/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/ptrace_stops.h"

#include "base/procfs.h"
#include "source/ptrace_books.h"
#include "source/ptrace_calls.h"
#include "source/ptrace_life.h"
#include "source/ptrace_restart.h"
#include "source/ptrace_seccomp.h"
#include "source/ptrace_sure.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

/* How often it is looked whether a call is over that others wait for. */
#define HURRY_LOOKS 4

#define SYSCALL_STOP (SIGTRAP | 0x80) /* by PTRACE_O_TRACESYSGOOD */

unsigned long stop_options(void)
{
	return PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACESECCOMP | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
	       PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_TRACEEXIT;
}

/* A task that our filter is on stops by it, and needs a stop at the exit only of what it reports. All others stop at every
 * call, as does one that makes a call again. A task that is gone meanwhile says so to wait(2): errors tell nothing new. */
static void stop_leave(struct ptrace_task *task)
{
	bool passes = task->state == TASK_EXITING || task->ignored || task->awaits_exec ||
		      (task->filtered && !call_wants_exit(task));
	bool at_calls = task->repeats || !passes;
	int signal = task->signal;

	task->signal = 0;
	if (task->listening) {
		task->listening = false;
		task_set_state(task, TASK_LISTENING);
		ptrace(PTRACE_LISTEN, task->tid, 0, 0);
		return;
	}
	if (task->state != TASK_EXITING)
		task_set_state(task, TASK_RUNNING);
	ptrace(at_calls ? PTRACE_SYSCALL : PTRACE_CONT, task->tid, 0, (void *)(long)signal);
}

/* The task's call is made now. Once it has notified, nothing but the end of its thread interrupts it: one that is told to stop
 * meanwhile stops when the call is over. */
static void notified_answer(struct tracer *tracer, struct ptrace_task *task)
{
	task->notified = false;
	task_set_state(task, TASK_RUNNING);
	if (!task->ignored && call_wants_exit(task))
		task->exit_due = !ptrace(PTRACE_INTERRUPT, task->tid, 0, 0);
	if (notify_answer(tracer->listener, task->notification) == -ENOENT) {
		sure_forget(task);
		call_forget(task);
	}
}

void stop_resume(struct tracer *tracer, struct ptrace_task *task)
{
	if (task->notified)
		notified_answer(tracer, task);
	else
		stop_leave(task);
}

void stop_interrupt(struct ptrace_task *task)
{
	task->interrupted = !ptrace(PTRACE_INTERRUPT, task->tid, 0, 0);
}

/* Others wait for the end of a call that nobody looks at. Mostly it only wants the CPU; else its thread is told to stop. */
static void holder_hurry(struct tracer *tracer, struct ptrace_mm *mm)
{
	struct ptrace_task *holder = mm->holder;

	for (int i = 0; i < HURRY_LOOKS && mm->holder && mm->holder->call.sure; i++) {
		sched_yield();
		sure_confirm(tracer, mm, NULL);
	}
	if (mm->holder && holder->call.sure && holder->state == TASK_RUNNING && !holder->exit_due)
		holder->exit_due = !ptrace(PTRACE_INTERRUPT, holder->tid, 0, 0);
}

void stop_release(struct tracer *tracer, struct ptrace_mm *mm)
{
	struct ptrace_task *task;

	while (!tracer->letting_go && (task = call_next(tracer, mm))) {
		stop_resume(tracer, task);
		if (mm->queue)
			holder_hurry(tracer, mm);
	}
}

/* Lets a task go on unless all are to be let go; then only as far as the entry of a call that it makes again. A signal that
 * comes later ends that call as it should. */
static void stop_answer(struct tracer *tracer, struct ptrace_task *task)
{
	if (!tracer->letting_go || (task->repeats && !task->listening))
		stop_resume(tracer, task);
}

static pid_t event_message(const struct ptrace_task *task)
{
	unsigned long message = 0;

	return ptrace(PTRACE_GETEVENTMSG, task->tid, 0, &message) ? 0 : (pid_t)message;
}

/* The task is at the entry of a call. */
static void call_come(struct tracer *tracer, struct ptrace_task *task, struct ptrace_entry *entry)
{
	if (call_enter(tracer, task, entry)) {
		stop_resume(tracer, task);
		return;
	}
	task_set_state(task, TASK_QUEUED);
	holder_hurry(tracer, task->mm);
	stop_release(tracer, task->mm);
}

/* A stop at a syscall: @by_filter where our filter stopped it. */
static void syscall_stop(struct tracer *tracer, struct ptrace_task *task, bool by_filter)
{
	struct __ptrace_syscall_info info = { 0 };
	struct ptrace_entry entry;
	struct ptrace_mm *mm = task->mm;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, task->tid, (void *)sizeof(info), &info) <= 0) {
		if (errno == EIO)
			tracer->error = -ENOTSUP; /* Linux 5.3 brought it */
		return;
	}
	task->arch = info.arch;
	task->pc = info.instruction_pointer;
	task->sp = info.stack_pointer;
	if (info.op == PTRACE_SYSCALL_INFO_EXIT) {
		if (task->call.open)
			call_exit(tracer, task, info.exit.rval);
		if (tracer->letting_go && task->interrupted)
			task->repeats = restart_cut_call(task->tid);
		stop_answer(tracer, task);
		if (mm)
			stop_release(tracer, mm);
		return;
	}
	entry = (struct ptrace_entry){ .arch = info.arch, .nr = info.entry.nr };
	memcpy(entry.args, info.entry.args, sizeof(entry.args));
	if (by_filter && (uint16_t)info.seccomp.ret_data == PTRACE_SECCOMP_MARK)
		task->filtered = true;
	/* A filtered task that was made to stop at a call's exit passes the entry of the next one twice: once by each way. */
	if (tracer->letting_go || (!by_filter && task->filtered)) {
		if (!tracer->letting_go)
			stop_resume(tracer, task);
		return;
	}
	if (task->awaits_exec && tracer->listener < 0 && notify_is_handshake(&entry))
		tracer->listener = notify_shake_hands(task->tid, &entry);
	else if (tracer->listener >= 0 && !task->awaits_exec && ptrace_seccomp_wants_listener(&entry))
		atomic_store(&tracer->shared->listener_wanted, 1);
	call_come(tracer, task, &entry);
}

void stop_notified(struct tracer *tracer, const struct notification *notification)
{
	struct ptrace_task *task = task_find(tracer, notification->tid);
	struct ptrace_entry entry = notification->entry;

	if (!task || task->ignored) {
		(void)notify_answer(tracer->listener, notification->id);
		return;
	}
	task->notified = true;
	task->notification = notification->id;
	task->arch = 0;
	task_set_state(task, TASK_STOPPED);
	call_come(tracer, task, &entry);
}

/* At a stop that is none of a syscall a call that notified is over, or was not made and will be made again. */
static void notified_end(struct tracer *tracer, struct ptrace_task *task)
{
	struct ptrace_mm *mm = task->mm;
	struct ptrace_entry cut;
	int64_t ret;

	if (restart_notified(task->tid, &cut)) {
		if (mm)
			sure_cut(tracer, task, &cut);
		if (task->exit_due)
			call_forget(task);
	} else if (task->exit_due && task->call.open && task->call.sure) {
		sure_confirm(tracer, mm, task);
	} else if (task->exit_due && task->call.open && restart_result(task->tid, &ret)) {
		call_exit(tracer, task, ret);
	}
	if (task->exit_due && mm)
		stop_release(tracer, mm);
	task->exit_due = false;
}

static bool is_stop_signal(int signal)
{
	return signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

/* A new task is stopped before its first instruction, and its parent still in the call that made it. */
static void child_begin(struct tracer *tracer, struct ptrace_task *child, const struct ptrace_task *parent, int status)
{
	task_set_state(child, TASK_STOPPED);
	child->listening = is_stop_signal(WSTOPSIG(status));
	child->status = 0;
	child->announced = true;
	if (parent->attaching) {
		child->status = status;
		child->attaching = true;
		child->pid = procfs_tgid(child->tid);
		if (child->pid <= 0)
			child->pid = child->tid;
		return;
	}
	life_born(tracer, child, parent);
	if (!tracer->letting_go)
		stop_resume(tracer, child);
}

/* The parent's stop tells of a child, which stops by itself, before or after. */
static void child_announce(struct tracer *tracer, const struct ptrace_task *parent)
{
	pid_t tid = event_message(parent);
	struct ptrace_task *child = tid > 0 ? task_find(tracer, tid) : NULL;
	int status;
	pid_t got;

	if (child || tid <= 0) {
		if (child && !child->announced)
			child_begin(tracer, child, parent, child->status);
		return;
	}
	do
		got = waitpid(tid, &status, __WALL);
	while (got < 0 && errno == EINTR);
	if (got != tid || !WIFSTOPPED(status))
		return; /* killed before it began */
	child = task_add(tracer, tid);
	if (!child) {
		tracer->error = -ENOMEM;
		return;
	}
	child_begin(tracer, child, parent, status);
}

static void event_stop(struct tracer *tracer, struct ptrace_task *task, int event, int signal)
{
	task->arch = 0;
	switch (event) {
	case PTRACE_EVENT_SECCOMP:
		syscall_stop(tracer, task, true);
		return;
	case PTRACE_EVENT_FORK:
	case PTRACE_EVENT_VFORK:
	case PTRACE_EVENT_CLONE:
		child_announce(tracer, task);
		break;
	case PTRACE_EVENT_EXEC:
		books_collect(tracer);
		life_exec(tracer, task, event_message(task));
		break;
	case PTRACE_EVENT_EXIT: {
		struct ptrace_mm *mm = task->mm;
		bool shared = mm && mm->tasks > 1;

		/* The message is the status, as wait(2) has it: one that is killed may not have made its last call. */
		life_last_stop(tracer, task, WTERMSIG(event_message(task)) == SIGKILL);
		task_set_state(task, TASK_EXITING);
		stop_resume(tracer, task);
		if (shared)
			stop_release(tracer, mm);
		return;
	}
	case PTRACE_EVENT_STOP:
		task->listening = is_stop_signal(signal);
		if (task->interrupted && !task->listening)
			task->repeats |= restart_cut_call(task->tid);
		task->interrupted = false;
		break;
	default:
		break;
	}
	stop_answer(tracer, task);
}

static void stop_of(struct tracer *tracer, struct ptrace_task *task, int status)
{
	int signal = WSTOPSIG(status), event = status >> 16;

	task_set_state(task, TASK_STOPPED);
	task->listening = task->notified = false;
	if ((tracer->listener >= 0 || task->exit_due) &&
	    (event == PTRACE_EVENT_STOP || (!event && signal != SYSCALL_STOP)))
		notified_end(tracer, task);
	if (event) {
		event_stop(tracer, task, event, signal);
		return;
	}
	if (signal == SYSCALL_STOP) {
		task->repeats = task->repeats && tracer->letting_go;
		syscall_stop(tracer, task, false);
		return;
	}
	if (task->repeats)
		task->repeats = !restart_undo(task->tid, signal);
	task->signal = signal;
	stop_answer(tracer, task);
}

void stop_handle(struct tracer *tracer, pid_t pid, int status)
{
	struct ptrace_task *task = task_find(tracer, pid);

	if (!WIFSTOPPED(status)) {
		struct ptrace_mm *mm = task ? task->mm : NULL;
		bool shared = mm && mm->tasks > 1;

		if (task)
			life_gone(tracer, task, status);
		if (shared)
			stop_release(tracer, mm);
		return;
	}
	if (!task) {
		/* A child that stops before its parent's stop tells of it. */
		task = task_add(tracer, pid);
		if (!task)
			tracer->error = -ENOMEM;
		else
			task->status = status;
		return;
	}
	if (task->attaching) {
		/* Kept until all threads of its process are stopped; an end is one too. */
		task->status = status;
		task_set_state(task, TASK_STOPPED);
		return;
	}
	stop_of(tracer, task, status);
}
