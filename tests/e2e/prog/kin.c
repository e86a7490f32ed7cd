/* SPDX-License-Identifier: GPL-2.0-only */
/* kin: processes whose numbers or ancestors change under an observer; `kin MODE`.
 *
 *   reuse     32 children, one after the other, all with the same PID (clone3 with set_tid)
 *   tid       a child with the number that a thread of this process had
 *   subreaper a grandchild whose parent ends goes to this process, which has asked for such
 *   zombies   16 children that have ended, all of them not waited for until the last has
 *
 * Each child maps and touches as many pages as it says in its exit status. Status 77: this kernel does not do it. */
#include "prog.h"

#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define TRIES 1000

static void work_and_exit(int pages)
{
	char *at = mmap(NULL, (size_t)pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(at != MAP_FAILED);
	touch(at, (size_t)pages * PAGE);
	_exit(pages);
}

static void wait_for(pid_t pid, int pages)
{
	int status;

	must(waitpid(pid, &status, 0) == pid);
	must(WIFEXITED(status) && WEXITSTATUS(status) == pages);
}

/* As fork, with that number; another process of this machine may have it for a while. */
static pid_t fork_as(pid_t number)
{
	struct clone_args args = { .exit_signal = SIGCHLD, .set_tid = (uint64_t)(uintptr_t)&number, .set_tid_size = 1 };
	pid_t pid = -1;

	for (int i = 0; i < TRIES; i++) {
		pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
		if (pid >= 0 || errno != EEXIST)
			break;
		sched_yield();
	}
	if (pid < 0 && (errno == EPERM || errno == ENOSYS || errno == EINVAL))
		_exit(77);
	must(pid >= 0);
	return pid;
}

static void reuse(void)
{
	pid_t first = fork();

	must(first >= 0);
	if (!first)
		work_and_exit(1);
	wait_for(first, 1);
	for (int pages = 2; pages <= 32; pages++) {
		pid_t pid = fork_as(first);

		if (!pid)
			work_and_exit(pages);
		must(pid == first);
		wait_for(pid, pages);
	}
}

static void *tell_tid(void *tid)
{
	touch(mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 8 * PAGE);
	*(pid_t *)tid = gettid();
	return NULL;
}

static void tid_again(void)
{
	pthread_t thread;
	pid_t tid, pid;

	must(pthread_create(&thread, NULL, tell_tid, &tid) == 0 && pthread_join(thread, NULL) == 0);
	pid = fork_as(tid);
	if (!pid)
		work_and_exit(5);
	must(pid == tid);
	wait_for(pid, 5);
}

static void subreaper(void)
{
	int status;
	pid_t child;

	must(prctl(PR_SET_CHILD_SUBREAPER, 1L, 0L, 0L, 0L) == 0);
	child = fork();
	must(child >= 0);
	if (!child) {
		pid_t parent = getpid(), grandchild = fork();

		must(grandchild >= 0);
		if (grandchild)
			work_and_exit(3);
		while (getppid() == parent)
			sched_yield();
		work_and_exit(4);
	}
	wait_for(child, 3);
	must(wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 4);
}

static void zombies(void)
{
	pid_t pids[16];
	siginfo_t info;

	for (int i = 0; i < 16; i++) {
		pids[i] = fork();
		must(pids[i] >= 0);
		if (!pids[i])
			work_and_exit(i + 1);
	}
	for (int i = 0; i < 16; i++)
		must(waitid(P_PID, (id_t)pids[i], &info, WEXITED | WNOWAIT) == 0);
	mark("all are zombies");
	for (int i = 0; i < 16; i++)
		wait_for(pids[i], i + 1);
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";

	point("warm");
	step_begin("kin");
	if (!strcmp(mode, "reuse"))
		reuse();
	else if (!strcmp(mode, "tid"))
		tid_again();
	else if (!strcmp(mode, "subreaper"))
		subreaper();
	else if (!strcmp(mode, "zombies"))
		zombies();
	else
		return 99;
	step_end("kin");
	points_print();
	return 0;
}
