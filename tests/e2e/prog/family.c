/* SPDX-License-Identifier: GPL-2.0-only */
/* family: the ways in which processes, threads and address spaces begin and end; `family MODE`. Every process prints
 * its own readings as one line of JSON. */
#include "prog.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define RW (PROT_READ | PROT_WRITE)

static char *block;
static char *self;

static char *map_touched(size_t pages)
{
	char *at = mmap(NULL, pages * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(at != MAP_FAILED);
	touch(at, pages * PAGE);
	return at;
}

static void wait_for(pid_t pid, int want)
{
	int status;

	must(pid > 0);
	must(waitpid(pid, &status, 0) == pid);
	must(status == want);
}

static void child_of_fork(void)
{
	point_state.count = 0;
	point("child begins");
	STEP("child writes 32", touch(block, 32 * PAGE));
	STEP("child maps 16", (void)map_touched(16));
	STEP("child unmaps 64", must(munmap(block, 64 * PAGE) == 0));
	points_print();
	_exit(0);
}

static void run_fork(void)
{
	pid_t pid;

	block = map_touched(64);
	point("before fork");
	pid = fork();
	if (pid == 0)
		child_of_fork();
	wait_for(pid, 0);
	STEP("parent writes 64", touch(block, 64 * PAGE));
	points_print();
}

/* What a child inherits can be chosen by madvise. */
static void run_dontfork(void)
{
	char *kept;
	pid_t pid;

	block = map_touched(64);
	kept = map_touched(64);
	must(madvise(block, 64 * PAGE, MADV_DONTFORK) == 0);
	must(madvise(kept, 32 * PAGE, MADV_WIPEONFORK) == 0);
	point("before fork");
	pid = fork();
	if (pid == 0) {
		point_state.count = 0;
		point("child begins");
		STEP("child touches wiped 32", touch(kept, 32 * PAGE));
		points_print();
		_exit(0);
	}
	wait_for(pid, 0);
	point("after fork");
	points_print();
}

static void run_vfork(void)
{
	pid_t pid;

	point("before vfork");
	pid = vfork();
	if (pid == 0)
		_exit(3);
	wait_for(pid, 3 << 8);
	point("after vfork");
	pid = vfork();
	if (pid == 0) {
		execl("/bin/true", "true", (char *)NULL);
		_exit(98);
	}
	wait_for(pid, 0);
	point("after vfork and exec");
	points_print();
}

static void run_spawn(void)
{
	static char *const argv[] = { "true", NULL };
	pid_t pid;

	point("before spawn");
	must(posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ) == 0);
	wait_for(pid, 0);
	point("after spawn");
	points_print();
}

static int shares_memory(void *arg)
{
	char *at = mmap(NULL, 16 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*(char **)arg = at;
	touch(at, 16 * PAGE);
	return 0;
}

/* Another process, the same address space: one mm, one ledger. */
static void run_clonevm(void)
{
	char *stack = map_touched(16), *made = NULL;

	point("before clone");
	wait_for(clone(shares_memory, stack + 16 * PAGE, CLONE_VM | SIGCHLD, &made), 0);
	point("after clone");
	must(made && made != MAP_FAILED);
	must(munmap(made, 16 * PAGE) == 0);
	point("after munmap");
	points_print();
}

static void run_chain(int left)
{
	char number[16];

	block = map_touched(32 + (size_t)left);
	point("in the chain");
	points_print();
	if (left == 0)
		return;
	snprintf(number, sizeof(number), "%d", left - 1);
	execl("/no/such/program", "none", (char *)NULL);
	execl(self, self, "chain", number, (char *)NULL);
	must(!"exec");
}

static void *exec_in_thread(void *arg)
{
	execl(self, self, "chain", (const char *)arg, (char *)NULL);
	must(!"exec");
	return NULL;
}

static void *wait_for_ever(void *arg)
{
	for (;;)
		pause();
	return arg;
}

/* A thread that is not the leader calls exec: it takes the leader's id, the others end. */
static void run_thread_exec(void)
{
	static char two[] = "2";
	pthread_t thread;

	for (int i = 0; i < 3; i++)
		must(pthread_create(&thread, NULL, wait_for_ever, NULL) == 0);
	must(pthread_create(&thread, NULL, exec_in_thread, two) == 0);
	wait_for_ever(NULL);
}

static void *outlive(void *arg)
{
	pthread_join(*(pthread_t *)arg, NULL);
	map_touched(32);
	point("the leader is gone");
	points_print();
	exit(5);
}

/* The leader ends first and stays a zombie while a thread works on. */
static void run_leader_exits(void)
{
	static pthread_t leader;
	pthread_t thread;

	leader = pthread_self();
	point("two threads");
	must(pthread_create(&thread, NULL, outlive, &leader) == 0);
	pthread_exit(NULL);
}

/* A grandchild that outlives its parent; it ends when the pipe is closed, which is when this process ends. */
static void run_orphan(void)
{
	int pipe_fds[2];
	char byte;

	must(pipe(pipe_fds) == 0);
	pid_t pid = fork();
	if (pid == 0) {
		if (fork() == 0) {
			close(pipe_fds[1]);
			must(read(pipe_fds[0], &byte, 1) == 0);
			map_touched(48);
			point_state.count = 0;
			point("orphan");
			points_print();
			_exit(0);
		}
		_exit(0);
	}
	wait_for(pid, 0);
	point("parent ends");
	points_print();
}

static void run_nested(int depth)
{
	map_touched(8);
	point("nested");
	points_print();
	if (depth == 0)
		return;
	pid_t pid = fork();
	if (pid == 0) {
		run_nested(depth - 1);
		_exit(0);
	}
	wait_for(pid, 0);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} modes[] = {
		{ "fork", run_fork },	  { "dontfork", run_dontfork },		{ "vfork", run_vfork },
		{ "spawn", run_spawn },	  { "clonevm", run_clonevm },		{ "thread-exec", run_thread_exec },
		{ "orphan", run_orphan }, { "leader-exits", run_leader_exits },
	};

	must(argc >= 2);
	self = argv[0];
	if (!strcmp(argv[1], "chain"))
		return run_chain(argc > 2 ? atoi(argv[2]) : 5), 0;
	if (!strcmp(argv[1], "nested"))
		return run_nested(6), 0;
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (!strcmp(argv[1], modes[i].name))
			return modes[i].run(), 0;
	fprintf(stderr, "no mode %s\n", argv[1]);
	return 99;
}
