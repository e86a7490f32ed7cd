/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/ptrace_tracer.h"

#include "source/ptrace_attach.h"
#include "source/ptrace_books.h"
#include "source/ptrace_calls.h"
#include "source/ptrace_follow.h"
#include "source/ptrace_life.h"
#include "source/ptrace_notify.h"
#include "source/ptrace_restart.h"
#include "source/ptrace_stops.h"
#include "source/ptrace_wait.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define TICK_US		50000 /* faults are collected and threads in need looked after that often */
#define TICK_WAITING_US 1000  /* while Yama does not allow to trace the child yet */
#define KEEPER_TICK_US	500000
#define SETTLE_TICKS	2
#define PATIENCE_NS	500000000ull  /* for threads to stop; one in an uninterruptible sleep may not */
#define DETACH_NS	5000000000ull /* for one more to stop; who is let go without that can see EINTR */
#define RUNS_MAX	8192	      /* of faults, that wait to be booked */

static volatile sig_atomic_t ticks, buffer_fills, signalled;

struct loop {
	struct tracer tracer;
	struct follow follow;
	struct stop_wait wait;
	pid_t heaptrace;
	pid_t child_due; /* the command that Yama does not allow to trace yet, or 0 */
	unsigned int ticks;
};

static void on_tick(int signal)
{
	(void)signal;
	ticks = signalled = 1;
}

static void on_buffer(int signal)
{
	(void)signal;
	buffer_fills = signalled = 1;
}

static void timer_set(long interval_us)
{
	const struct itimerval timer = { .it_interval.tv_usec = interval_us, .it_value.tv_usec = interval_us };

	setitimer(ITIMER_REAL, &timer, NULL);
}

/* No stop or signal meant for heaptrace or its command is meant for this process. */
static void signals_set(void)
{
	static const int ignored[] = { SIGHUP,	SIGINT,	 SIGQUIT, SIGTERM, SIGPIPE,
				       SIGTSTP, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2 };
	struct sigaction action = { .sa_handler = SIG_IGN };
	sigset_t none;

	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		sigaction(ignored[i], &action, NULL);
	action.sa_handler = SIG_DFL;
	action.sa_flags = SA_NOCLDSTOP; /* no signal for each stop: wait(2) tells of it */
	sigaction(SIGCHLD, &action, NULL);
	action.sa_flags = 0; /* wait(2) is to end by these two */
	action.sa_handler = on_tick;
	sigaction(SIGALRM, &action, NULL);
	action.sa_handler = on_buffer;
	sigaction(SIGIO, &action, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Keeps no file of heaptrace open but the two given: pipes that it writes to must end with it. */
static void files_close(int a, int b)
{
	unsigned int low = (unsigned int)(a < b ? a : b), high = (unsigned int)(a < b ? b : a);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; fd < 3 && null >= 0; fd++)
		dup2(null, fd);
	if (low > 3)
		close_range(3, low - 1, 0);
	if (high > low + 1)
		close_range(low + 1, high - 1, 0);
	close_range(high + 1, ~0u, 0);
}

static void process_set_up(const struct ptrace_shared *shared, int ready_fd)
{
	struct rlimit limit;

	/* No signal to heaptrace's process group is meant for it. Its session stays that of the tracee: the scheduler takes
	 * each session for one group (sched_autogroup), and to wake up one of another group takes twice as long. */
	setpgid(0, 0);
	/* Another name than heaptrace: who kills all processes of that name does not mean this one. */
	prctl(PR_SET_NAME, "htkeeper");
	signals_set();
	files_close(shared->wake_fd, ready_fd);
	(void)!chdir("/");
	if (!getrlimit(RLIMIT_NOFILE, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static uint64_t max_maps(void)
{
	char text[24] = "";
	int fd = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	(void)!read(fd, text, sizeof(text) - 1);
	close(fd);
	return strtoull(text, NULL, 10);
}

static int tracer_init(struct tracer *tracer, const struct source_config *config, struct ptrace_shared *shared)
{
	struct sysinfo info;

	*tracer = (struct tracer){ .shared = shared,
				   .page_size = (uint64_t)sysconf(_SC_PAGESIZE),
				   .follow = config->follow,
				   .has_swap = !sysinfo(&info) && info.totalswap,
				   .max_maps = max_maps(),
				   .listener = -1 };
	tracer->writer = ptrace_writer_new(shared);
	tracer->stacks = stacks_new(config->stacks);
	tracer->runstacks = tracer->stacks ? runstacks_new() : NULL;
	tracer->perf = perf_faults_new(tracer->runstacks != NULL);
	return tracer->writer && tracer->perf ? 0 : diag_set(&shared->diag, -ENOMEM, "out of memory");
}

/* Answers a stop of a task that is no longer watched. */
static void pass(pid_t pid, int status)
{
	int event = status >> 16, signal = WSTOPSIG(status);
	struct ptrace_entry cut;

	if (!event && signal != (SIGTRAP | 0x80))
		(void)restart_notified(pid, &cut);
	if (event == PTRACE_EVENT_STOP && signal != SIGTRAP)
		ptrace(PTRACE_LISTEN, pid, 0, 0);
	else
		ptrace(PTRACE_CONT, pid, 0, (void *)(long)(event || signal == (SIGTRAP | 0x80) ? 0 : signal));
}

/* What has stopped or notified meanwhile goes on. False once nothing is traced. */
static bool pass_all(int listener)
{
	int status;
	pid_t pid;

	if (listener >= 0)
		notify_pass_all(listener);
	while ((pid = waitpid(-1, &status, __WALL | WNOHANG)) > 0) {
		if (WIFSTOPPED(status))
			pass(pid, status);
	}
	return !pid || errno != ECHILD;
}

/* Nothing more will be written, and heaptrace is to know it, if it is still there. */
static void finish(struct loop *loop)
{
	uint64_t one = 1;

	while (!ptrace_write_flush(loop->tracer.writer) && getppid() == loop->heaptrace) {
		pass_all(loop->tracer.listener);
		usleep(1000);
	}
	atomic_store(&loop->tracer.shared->finished, 1);
	(void)!write(loop->tracer.shared->wake_fd, &one, sizeof(one));
}

/* Lets everything pass, for as long as there are processes with our filter on them. */
static _Noreturn void keep(struct stop_wait *wait)
{
	int listener = wait->listener, status;
	pid_t pid;

	timer_set(listener >= 0 ? KEEPER_TICK_US : 0);
	while (pass_all(listener)) {
		pid = stop_wait_next(wait, &signalled, &status);
		if (pid > 0 && WIFSTOPPED(status))
			pass(pid, status);
	}
	_exit(0);
}

/* Stops watching: tasks with our filter are kept going, all others are let go by the end of this process at the latest. */
static _Noreturn void leave(struct loop *loop)
{
	struct ptrace_task *task;
	int listener = loop->tracer.listener;
	bool filtered = false;
	size_t pos = 0;

	while ((task = map_next(&loop->tracer.tasks, &pos, NULL)))
		filtered |= task->filtered;
	for (pos = 0; (task = map_next(&loop->tracer.tasks, &pos, NULL));) {
		bool unborn = task->state == TASK_NEW && task->status, enters = task->repeats && !task->listening;

		task->ignored = true;
		task->repeats = false;
		if (task->state != TASK_STOPPED && task->state != TASK_QUEUED && !unborn)
			continue;
		/* Of one whose parent has not told of it yet, it is not known. A call that is entered by PTRACE_DETACH ends with
		 * EINTR; one that is under way when the tracer ends does not. */
		if (task->filtered || enters || (unborn && filtered))
			stop_resume(&loop->tracer, task);
		else
			ptrace(PTRACE_DETACH, task->tid, 0, (void *)(long)task->signal);
	}
	atomic_store(&loop->tracer.shared->stays, filtered);
	if (!loop->tracer.error)
		finish(loop);
	tracer_clear(&loop->tracer);
	if (!filtered)
		_exit(0);
	loop->wait.listener = listener;
	keep(&loop->wait);
}

static size_t running_count(const struct tracer *tracer)
{
	const struct ptrace_task *task;
	size_t pos = 0, count = 0;

	while ((task = map_next(&tracer->tasks, &pos, NULL)))
		count += !task->ignored && (task->state == TASK_RUNNING || task->state == TASK_LISTENING);
	return count;
}

static void notification_take(struct tracer *tracer)
{
	struct notification notification;
	int err = notify_receive(tracer->listener, &notification);

	if (!err)
		stop_notified(tracer, &notification);
	else if (err != -EAGAIN && !tracer->error)
		tracer->error = err;
}

/* Waits for one change, but not for longer than until the next tick. False once nothing is traced. */
static bool one_step(struct loop *loop)
{
	int status;
	pid_t pid = stop_wait_next(&loop->wait, &signalled, &status);

	if (pid > 0) {
		/* Where it pays to look, tracer and tracee are on two CPUs, which is best then. */
		if (loop->wait.found)
			follow_release(&loop->follow);
		else
			follow_stop(&loop->follow, pid);
		stop_handle(&loop->tracer, pid, status);
		if (loop->tracer.listener >= 0 && !loop->wait.listens)
			stop_wait_listen(&loop->wait, loop->tracer.listener);
	}
	if (!pid) {
		follow_release(&loop->follow);
		notification_take(&loop->tracer);
	}
	if (pid >= 0)
		return true;
	signalled = 0;
	return errno == EINTR;
}

static _Noreturn void let_go(struct loop *loop)
{
	struct tracer *tracer = &loop->tracer;
	uint64_t deadline_ns = 0;
	struct ptrace_task *task;
	size_t pos = 0, left = SIZE_MAX, running;

	tracer->letting_go = true;
	/* A call that has not notified yet is interrupted, and made again later. */
	loop->wait.listener = -1;
	while ((task = map_next(&tracer->tasks, &pos, NULL))) {
		if (task->state == TASK_RUNNING || task->state == TASK_LISTENING)
			stop_interrupt(task);
	}
	while ((running = running_count(tracer))) {
		if (running < left)
			deadline_ns = tracer_now_ns() + DETACH_NS;
		left = running < left ? running : left;
		if (tracer_now_ns() >= deadline_ns || !one_step(loop))
			break;
	}
	books_collect(tracer);
	while (tracer->mms)
		life_let_go(tracer, tracer->mms);
	leave(loop);
}

/* Makes room where many faults happen and nothing stops. */
static void faults_collect(struct loop *loop)
{
	buffer_fills = 0;
	books_collect(&loop->tracer);
	for (struct ptrace_mm *mm = loop->tracer.mms; mm; mm = mm->next) {
		if (mm->run_count > RUNS_MAX)
			books_settle_running(&loop->tracer, mm);
	}
}

/* What has to be looked after though nothing stops. */
static void tick(struct loop *loop)
{
	struct tracer *tracer = &loop->tracer;
	struct ptrace_mm *mm, *next;
	uint64_t now_ns = tracer_now_ns();

	ticks = 0;
	if (getppid() != loop->heaptrace) {
		ptrace_writer_close(tracer->writer);
		leave(loop);
	}
	if (atomic_load(&tracer->shared->command) == PTRACE_LET_GO)
		let_go(loop);
	if (loop->child_due && !attach_child(tracer, loop->child_due, NULL)) {
		loop->child_due = 0;
		timer_set(TICK_US);
	}
	faults_collect(loop);
	loop->ticks++;
	for (mm = tracer->mms; mm; mm = next) {
		next = mm->next;
		sure_confirm(tracer, mm, NULL);
		call_lose_patience(mm, now_ns);
		stop_release(tracer, mm);
		if (!mm_is_quiet(mm) && loop->ticks % SETTLE_TICKS == 0)
			books_settle_running(tracer, mm);
	}
	follow_tick(&loop->follow);
	ptrace_write_flush(tracer->writer);
}

/* Takes hold of all that is to be watched. 0, or -errno with shared->diag. */
static int begin(struct loop *loop, const struct source_config *config)
{
	struct tracer *tracer = &loop->tracer;
	struct diag *diag = &tracer->shared->diag;
	uint64_t deadline_ns;
	pid_t pid;
	int err = 0;

	if (config->child > 0) {
		err = attach_child(tracer, config->child, diag);
		if (err == -EAGAIN) {
			loop->child_due = config->child;
			timer_set(TICK_WAITING_US);
			err = 0;
		}
	}
	for (unsigned int i = 0; i < config->pid_count && !err; i++) {
		pid = attach_process(tracer, config->pids[i], diag);
		if (pid < 0)
			return pid;
		deadline_ns = tracer_now_ns() + PATIENCE_NS;
		while (!attach_ready(tracer, pid) && tracer_now_ns() < deadline_ns && one_step(loop))
			;
		attach_finish(tracer, pid);
	}
	return err;
}

static uint32_t caps_of(const struct tracer *tracer)
{
	return CAP_SYSCALLS | (tracer->perf ? CAP_FAULTS : 0) | (tracer->stacks ? CAP_STACKS : 0);
}

_Noreturn void tracer_run(const struct source_config *config, struct ptrace_shared *shared, pid_t heaptrace,
			  int ready_fd)
{
	struct loop loop = { .heaptrace = heaptrace };
	struct tracer *tracer = &loop.tracer;
	int err;

	process_set_up(shared, ready_fd);
	follow_init(&loop.follow);
	err = tracer_init(tracer, config, shared);
	timer_set(TICK_US);
	if (!err)
		err = begin(&loop, config);
	if (!err)
		atomic_store(&shared->caps, caps_of(tracer));
	(void)!write(ready_fd, &err, sizeof(err));
	if (err)
		_exit(1);
	while ((tracer->tasks.count || loop.child_due) && !tracer->error) {
		if (ticks)
			tick(&loop);
		if (buffer_fills)
			faults_collect(&loop);
		if (loop.child_due)
			pause();
		else if (!one_step(&loop))
			break;
	}
	leave(&loop);
}
