/* SPDX-License-Identifier: GPL-2.0-only */
/* swarm: `swarm MODE COUNT [AT_ONCE]` starts COUNT short children, AT_ONCE of them alive at a time (default 1):
 * fork (touch a page, exit), vfork, exec (vfork, then exec of this program), spawn (posix_spawn of it), clonevm (shares
 * memory), kill (ended by SIGKILL in the middle of touching memory). */
#include "prog.h"

#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>

static char *self;
static char *page;
static char stacks[16][16 * 1024] __attribute__((aligned(16)));

static pid_t start_fork(unsigned int index)
{
	pid_t pid = fork();

	(void)index;
	if (pid == 0) {
		page[0]++;
		_exit(0);
	}
	return pid;
}

static pid_t start_vfork(unsigned int index)
{
	pid_t pid = vfork();

	(void)index;
	if (pid == 0)
		_exit(0);
	return pid;
}

static pid_t start_exec(unsigned int index)
{
	pid_t pid = vfork();

	(void)index;
	if (pid == 0) {
		execl(self, self, "nothing", (char *)NULL);
		_exit(98);
	}
	return pid;
}

static pid_t start_spawn(unsigned int index)
{
	char *argv[] = { self, "nothing", NULL };
	pid_t pid;

	(void)index;
	must(posix_spawn(&pid, self, NULL, NULL, argv, environ) == 0);
	return pid;
}

static int touch_page(void *arg)
{
	*(volatile char *)arg = 1;
	return 0;
}

static pid_t start_clonevm(unsigned int index)
{
	char *stack = stacks[index % 16] + sizeof(stacks[0]);

	return clone(touch_page, stack, CLONE_VM | SIGCHLD, page);
}

static pid_t start_kill(unsigned int index)
{
	pid_t pid = fork();

	(void)index;
	if (pid == 0) {
		size_t len = 64 * MB;
		char *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		must(at != MAP_FAILED);
		for (;;) {
			touch(at, len);
			must(madvise(at, len, MADV_DONTNEED) == 0);
		}
	}
	must(pid > 0 && kill(pid, SIGKILL) == 0);
	return pid;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		pid_t (*start)(unsigned int index);
	} modes[] = {
		{ "fork", start_fork },	  { "vfork", start_vfork },	{ "exec", start_exec },
		{ "spawn", start_spawn }, { "clonevm", start_clonevm }, { "kill", start_kill },
	};
	pid_t (*start)(unsigned int index) = NULL;
	unsigned int count, at_once, alive = 0;

	must(argc >= 2);
	if (!strcmp(argv[1], "nothing"))
		return 0;
	must(argc >= 3);
	self = argv[0];
	count = (unsigned int)atoi(argv[2]);
	at_once = argc > 3 ? (unsigned int)atoi(argv[3]) : 1;
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (!strcmp(argv[1], modes[i].name))
			start = modes[i].start;
	must(start && at_once > 0 && at_once <= 16);
	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(page != MAP_FAILED);
	page[0] = 1;
	point("start");
	for (unsigned int i = 0; i < count; i++) {
		must(start(i) > 0);
		if (++alive == at_once) {
			must(wait(NULL) > 0);
			alive--;
		}
	}
	while (alive--)
		must(wait(NULL) > 0);
	point("end");
	points_print();
	return 0;
}
