/* SPDX-License-Identifier: GPL-2.0-only */
/* foreign: memory that is changed by somebody else than a fault or a call of its own process; `foreign MODE FOLDER`.
 * The parent acts on the memory of its child, which reads its own memory before and after. Status 77: this kernel does
 * not do it. */
#include "prog.h"

#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define RW    (PROT_READ | PROT_WRITE)
#define PAGES 64UL

static char *area; /* at the same address in parent and child */
static int to_child[2], to_parent[2];

static void tell(int fd)
{
	must(write(fd, "x", 1) == 1);
}

static void hear(int fd)
{
	char byte;

	must(read(fd, &byte, 1) == 1);
}

/* The child: nothing but two readings around what the parent does. */
static void be_acted_on(void)
{
	point_state.count = 0;
	point("warm");
	tell(to_parent[1]);
	hear(to_child[0]);
	step_begin("acted on");
	tell(to_parent[1]);
	hear(to_child[0]);
	step_end("acted on");
	points_print();
	_exit(0);
}

static int pidfd_of(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	must(fd >= 0);
	return fd;
}

static int act_writev(pid_t pid)
{
	static char source[PAGES * PAGE];
	struct iovec local = { source, sizeof(source) }, remote = { area, sizeof(source) };

	must(process_vm_writev(pid, &local, 1, &remote, 1, 0) == (ssize_t)sizeof(source));
	return 0;
}

static int act_procmem(pid_t pid)
{
	static char source[PAGES * PAGE];
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	fd = open(path, O_RDWR | O_CLOEXEC);
	must(fd >= 0);
	must(pwrite(fd, source, sizeof(source), (off_t)(uintptr_t)area) == (ssize_t)sizeof(source));
	must(close(fd) == 0);
	return 0;
}

static int act_advise(pid_t pid, int advice)
{
	struct iovec range = { area, PAGES * PAGE };
	int fd = pidfd_of(pid);
	long done = syscall(SYS_process_madvise, fd, &range, 1UL, advice, 0U);

	must(close(fd) == 0);
	return done == (long)range.iov_len ? 0 : 77;
}

/* File pages can be paged out without swap. */
static int act_pageout(pid_t pid)
{
	return act_advise(pid, MADV_PAGEOUT);
}

static int act_poke(pid_t pid)
{
	must(ptrace(PTRACE_SEIZE, pid, 0, 0) == 0);
	must(ptrace(PTRACE_INTERRUPT, pid, 0, 0) == 0);
	must(waitpid(pid, NULL, 0) == pid);
	for (size_t i = 0; i < PAGES; i++)
		must(ptrace(PTRACE_POKEDATA, pid, area + i * PAGE, 1L) == 0);
	must(ptrace(PTRACE_DETACH, pid, 0, 0) == 0);
	return 0;
}

static char *map_file(const char *folder)
{
	static char block[PAGE];
	char path[256], *at;
	int fd;

	snprintf(path, sizeof(path), "%s/heaptrace-foreign-%d", folder, (int)getpid());
	fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	must(fd >= 0 && unlink(path) == 0);
	for (size_t i = 0; i < PAGES; i++)
		must(write(fd, block, sizeof(block)) == (ssize_t)sizeof(block));
	must(fsync(fd) == 0);
	at = mmap(NULL, PAGES * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	must(at != MAP_FAILED && close(fd) == 0);
	return at;
}

static int run_on_child(const char *folder, int (*act)(pid_t pid))
{
	int result, status;
	pid_t pid;

	must(pipe(to_child) == 0 && pipe(to_parent) == 0);
	area = act == act_pageout ? map_file(folder) : mmap(NULL, PAGES * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(area != MAP_FAILED);
	pid = fork();
	must(pid >= 0);
	if (pid == 0) {
		if (act == act_pageout)
			peek(area, PAGES * PAGE);
		be_acted_on();
	}
	must(prctl(PR_SET_NAME, "actor") == 0);
	hear(to_parent[0]);
	tell(to_child[1]);
	hear(to_parent[0]);
	result = act(pid);
	tell(to_child[1]);
	must(waitpid(pid, &status, 0) == pid && status == 0);
	return result;
}

static int fault_fd;

/* Serves faults of the main thread until PAGES of them are done. */
static void *serve_faults(void *arg)
{
	static char source[PAGE] __attribute__((aligned(4096)));

	source[0] = 1;
	for (size_t done = 0; done < PAGES; done++) {
		struct uffd_msg message;
		struct uffdio_copy copy = { .src = (uintptr_t)source, .len = PAGE };

		must(read(fault_fd, &message, sizeof(message)) == (ssize_t)sizeof(message));
		must(message.event == UFFD_EVENT_PAGEFAULT);
		copy.dst = message.arg.pagefault.address & ~(PAGE - 1);
		must(ioctl(fault_fd, UFFDIO_COPY, &copy) == 0);
	}
	return arg;
}

/* The area, whose faults wait for whoever serves @fault_fd. False where this kernel has no such thing. */
static bool uffd_area(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	fault_fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	if (fault_fd < 0)
		return false;
	area = mmap(NULL, PAGES * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(area != MAP_FAILED);
	range.range.start = (uintptr_t)area;
	range.range.len = PAGES * PAGE;
	must(ioctl(fault_fd, UFFDIO_API, &api) == 0 && ioctl(fault_fd, UFFDIO_REGISTER, &range) == 0);
	return true;
}

static int run_uffd(void)
{
	pthread_t thread;

	if (!uffd_area())
		return 77;
	must(pthread_create(&thread, NULL, serve_faults, NULL) == 0);
	STEP("acted on", touch(area, PAGES * PAGE); must(pthread_join(thread, NULL) == 0));
	point("end");
	points_print();
	return 0;
}

/* The child's faults are served by the parent, which takes the descriptor out of it. */
static int run_uffd_outside(void)
{
	int status, fd;
	pid_t pid;

	must(pipe(to_child) == 0 && pipe(to_parent) == 0);
	pid = fork();
	must(pid >= 0);
	if (pid == 0) {
		if (!uffd_area())
			_exit(77);
		must(write(to_parent[1], &fault_fd, sizeof(fault_fd)) == sizeof(fault_fd));
		hear(to_child[0]);
		STEP("acted on", touch(area, PAGES * PAGE));
		points_print();
		_exit(0);
	}
	must(prctl(PR_SET_NAME, "actor") == 0 && close(to_parent[1]) == 0);
	if (read(to_parent[0], &fd, sizeof(fd)) == sizeof(fd)) {
		fault_fd = (int)syscall(SYS_pidfd_getfd, pidfd_of(pid), fd, 0U);
		must(fault_fd >= 0);
		tell(to_child[1]);
		serve_faults(NULL);
	}
	must(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	return WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*act)(pid_t pid);
	} modes[] = {
		{ "process_vm_writev", act_writev },
		{ "procmem", act_procmem },
		{ "process_madvise", act_pageout },
		{ "ptrace", act_poke },
	};

	must(argc == 3);
	if (!strcmp(argv[1], "userfaultfd"))
		return run_uffd();
	if (!strcmp(argv[1], "userfaultfd-outside"))
		return run_uffd_outside();
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (!strcmp(argv[1], modes[i].name))
			return run_on_child(argv[2], modes[i].act);
	fprintf(stderr, "no mode %s\n", argv[1]);
	return 99;
}
