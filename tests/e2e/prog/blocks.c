/* SPDX-License-Identifier: GPL-2.0-only */
/* blocks: `blocks MODE [N]` maps and unmaps blocks of memory, as fast as it can, in ways that a tracer may trip over.
 *
 * random SEED: in random order, next to each other or not, whole and in parts; failing calls among them
 * limit: at the limit of mappings that a process may have; prints what became of an munmap that would have made one more
 * signals THREADS STEPS: while signals come that a handler without SA_RESTART takes; prints how many came, and how many calls failed
 * endless THREADS: until it is killed
 * forks N: with children in between that do the same, by fork, with exec or without, and by posix_spawn
 * paced: one block for each byte of standard input, until it ends; answers each with a byte
 * listener: asks for a listener of its own for a seccomp filter; prints what came of it
 * listened COMMAND...: runs the command under such a filter */
#include "prog.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define BLOCKS	    48
#define STEPS	    1500
#define THREADS_MAX 16

static unsigned int seed;

static unsigned int chance(unsigned int below)
{
	seed = seed * 1103515245u + 12345u;
	return (seed >> 16) % below;
}

static void *map(size_t len)
{
	return mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

struct block {
	char *at;
	size_t len;
};

/* Gives back one end, the middle or all of it. */
static void block_cut(struct block *block)
{
	size_t pages = block->len / PAGE, part = pages > 2 ? 1 + chance((unsigned int)pages - 2) : pages;

	switch (part < pages ? chance(4) : 3) {
	case 0:
		must(munmap(block->at, part * PAGE) == 0);
		block->at += part * PAGE;
		block->len -= part * PAGE;
		return;
	case 1:
		must(munmap(block->at + block->len - part * PAGE, part * PAGE) == 0);
		block->len -= part * PAGE;
		return;
	case 2: /* a hole; the upper part is given back at once */
		must(munmap(block->at + part * PAGE, PAGE) == 0);
		must(munmap(block->at + part * PAGE, block->len - part * PAGE) == 0);
		block->len = part * PAGE;
		return;
	default:
		must(munmap(block->at, block->len) == 0);
		*block = (struct block){ NULL, 0 };
	}
}

static void block_new(struct block *block)
{
	static const int prots[] = { PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE, PROT_READ, PROT_NONE };
	static const int flags[] = { 0, 0, MAP_NORESERVE, MAP_STACK };
	int prot = prots[chance(4)];

	block->len = (1 + chance(64)) * PAGE;
	/* Some lengths are no multiple of a page. */
	block->at =
		mmap(NULL, block->len - chance(2) * 100UL, prot, MAP_PRIVATE | MAP_ANONYMOUS | flags[chance(4)], -1, 0);
	must(block->at != MAP_FAILED);
	if (prot & PROT_WRITE && chance(2))
		touch(block->at, block->len / (1 + chance(3)));
}

#define NR_MSEAL 462

/* The heap grows and shrinks, within a page or by pages, or may not. */
static void heap_move(void)
{
	struct rlimit limit, none = { 0 };
	char *end = sbrk(0), *now;

	must(end != (void *)-1);
	switch (chance(5)) {
	case 0:
		must(sbrk((long)(1 + chance(20)) * (long)PAGE) == end);
		if (chance(2))
			touch(end, PAGE);
		return;
	case 1:
		must(syscall(SYS_brk, end - (long)chance(8) * (long)PAGE) > 0);
		must(sbrk(0) != (void *)-1);
		break;
	case 2:
		must(syscall(SYS_brk, end + chance(100)) > 0);
		break;
	case 3:
		must(getrlimit(RLIMIT_DATA, &limit) == 0);
		none.rlim_max = limit.rlim_max;
		must(setrlimit(RLIMIT_DATA, &none) == 0);
		now = (char *)syscall(SYS_brk, end + 3 * PAGE);
		must(now == end);
		now = (char *)syscall(SYS_brk, end - PAGE);
		must(now == end);
		must(setrlimit(RLIMIT_DATA, &limit) == 0);
		return;
	default:
		must(syscall(SYS_brk, PAGE) == (long)end); /* below the heap */
	}
	/* What the C library believes is made true again. */
	must(syscall(SYS_brk, end) == (long)end);
}

/* What is sealed (Linux 6.10) stays. */
static void seal(void)
{
	char *at = map(PAGE);

	must(at != MAP_FAILED);
	if (syscall(NR_MSEAL, at, PAGE, 0L) == 0)
		must(munmap(at, PAGE) == -1 && errno == EPERM);
	else
		must(munmap(at, PAGE) == 0);
}

/* A call that fails, or one that is out of the ordinary. */
static void oddity(struct block *block)
{
	struct rlimit limit, none = { 0 };
	char *at;

	switch (chance(9)) {
	case 0:
		must(munmap(block->at + 1, PAGE) == -1 && errno == EINVAL);
		return;
	case 1:
		must(map(0) == MAP_FAILED && errno == EINVAL);
		must(map(~0UL - PAGE / 2) == MAP_FAILED && errno == ENOMEM);
		return;
	case 2:
		must(getrlimit(RLIMIT_AS, &limit) == 0);
		none.rlim_max = limit.rlim_max;
		must(setrlimit(RLIMIT_AS, &none) == 0);
		must(map(PAGE) == MAP_FAILED && errno == ENOMEM);
		must(map(70 * PAGE) == MAP_FAILED && errno == ENOMEM);
		must(setrlimit(RLIMIT_AS, &limit) == 0);
		return;
	case 3:
		if (!block->at)
			return;
		at = mremap(block->at, block->len, block->len + 3 * PAGE, MREMAP_MAYMOVE);
		must(at != MAP_FAILED || errno == EFAULT); /* it has become more than one mapping */
		if (at != MAP_FAILED)
			*block = (struct block){ at, block->len + 3 * PAGE };
		return;
	case 4:
		heap_move();
		return;
	case 5:
		if (block->at)
			must(mprotect(block->at, PAGE, PROT_READ) == 0);
		if (block->at && chance(2))
			must(madvise(block->at, block->len, chance(2) ? MADV_DONTNEED : MADV_FREE) == 0 ||
			     errno == EINVAL);
		return;
	case 6:
		if (!chance(4))
			seal();
		return;
	case 7:
		if (block->at)
			must(mmap(block->at, block->len, PROT_READ | PROT_WRITE,
				  MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == block->at);
		return;
	default:
		at = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		must(at != MAP_FAILED && munmap(at, 2 * PAGE) == 0);
	}
}

static void run_random(void)
{
	static struct block blocks[BLOCKS];

	must(sbrk(16 * (long)PAGE) != (void *)-1);
	for (int i = 0; i < STEPS; i++) {
		struct block *block = &blocks[chance(BLOCKS)];

		if (!chance(12))
			oddity(block);
		else if (block->at)
			block_cut(block);
		else
			block_new(block);
	}
	for (int i = 0; i < BLOCKS; i++) {
		if (blocks[i].at)
			must(munmap(blocks[i].at, blocks[i].len) == 0);
	}
}

static void run_limit(void)
{
	FILE *file = fopen("/proc/sys/vm/max_map_count", "r");
	unsigned long count = 0, pages;
	char *at, *blocks[3];

	must(file && fscanf(file, "%lu", &count) == 1 && fclose(file) == 0);
	pages = 2 * count;
	at = mmap(NULL, pages * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	must(at != MAP_FAILED);
	for (int i = 0; i < 3; i++)
		blocks[i] = map(PAGE);
	for (unsigned long i = 1; i < pages && mprotect(at + i * PAGE, PAGE, PROT_READ) == 0; i += 2)
		;
	must(errno == ENOMEM);
	must(blocks[1] + PAGE == blocks[0] && blocks[2] + PAGE == blocks[1]);
	printf("%s\n", munmap(blocks[1], PAGE) ? strerror(errno) : "unmapped");
}

static atomic_uint signals, failed, interrupted;
static bool endless;
static int steps = STEPS; /* of each thread */

static void on_signal(int number)
{
	(void)number;
	signals++;
}

static void count_failure(void)
{
	failed++;
	interrupted += errno == EINTR;
}

static void *mapper(void *arg)
{
	(void)arg;
	for (int i = 0; i < steps || endless; i++) {
		size_t len = (size_t)(1 + i % 16) * PAGE;
		char *at = map(len);

		if (at == MAP_FAILED) {
			count_failure();
			continue;
		}
		touch(at, PAGE);
		if (munmap(at, len))
			count_failure();
	}
	return NULL;
}

/* A child sends signals to all threads in turn until the parent ends. */
static pid_t bother(const pid_t *tids, unsigned int count)
{
	pid_t parent = getpid(), pid = fork();

	must(pid >= 0);
	if (pid)
		return pid;
	for (unsigned int i = 0;; i++) {
		if (syscall(SYS_tgkill, parent, tids[i % count], SIGUSR1))
			_exit(0);
		if (i % 8 == 7)
			usleep(20);
	}
}

static pid_t tids[THREADS_MAX];
static pthread_barrier_t barrier;

static void *mapper_thread(void *arg)
{
	*(pid_t *)arg = gettid();
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	return mapper(NULL);
}

static void run_signals(unsigned int count, int step_count)
{
	struct sigaction action = { .sa_handler = on_signal };
	pthread_t threads[THREADS_MAX];
	pid_t pid;

	must(count >= 1 && count <= THREADS_MAX);
	steps = step_count;
	must(sigaction(SIGUSR1, &action, NULL) == 0);
	if (count == 1) {
		tids[0] = gettid();
		pid = bother(tids, 1);
		mapper(NULL);
	} else {
		must(pthread_barrier_init(&barrier, NULL, count + 1) == 0);
		for (unsigned int i = 0; i < count; i++)
			must(pthread_create(&threads[i], NULL, mapper_thread, &tids[i]) == 0);
		pthread_barrier_wait(&barrier);
		pid = bother(tids, count);
		pthread_barrier_wait(&barrier);
		for (unsigned int i = 0; i < count; i++)
			must(pthread_join(threads[i], NULL) == 0);
	}
	must(kill(pid, SIGKILL) == 0);
	while (waitpid(pid, NULL, 0) != pid)
		must(errno == EINTR); /* by the last of its signals */
	printf("%u signals, %u calls failed, %u with EINTR\n", signals, failed, interrupted);
}

static void run_endless(unsigned int count)
{
	pthread_t thread;

	endless = true;
	for (unsigned int i = 1; i < count; i++)
		must(pthread_create(&thread, NULL, mapper, NULL) == 0);
	mapper(NULL);
}

/* A child that does the same, as a copy or as a program of its own. */
static pid_t child_new(char **again, struct block *block)
{
	pid_t pid = fork();

	must(pid >= 0);
	if (pid)
		return pid;
	block_cut(block);
	if (again)
		execv("/proc/self/exe", again);
	run_random();
	_exit(0);
}

static pid_t child_spawn(char **again)
{
	pid_t pid;

	must(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, again, environ) == 0);
	return pid;
}

static void run_forks(char **argv, int count)
{
	char *again[] = { argv[0], "random", "5", NULL };

	for (int i = 0; i < count; i++) {
		struct block block = { 0 };
		int status;
		pid_t pid;

		block_new(&block);
		pid = i % 2 ? child_spawn(again) : child_new(i % 4 ? again : NULL, &block);
		block_cut(&block);
		must(waitpid(pid, &status, 0) == pid && status == 0);
	}
}

static void run_paced(void)
{
	char byte;

	while (read(STDIN_FILENO, &byte, 1) == 1) {
		for (int i = 0; i < 50; i++) {
			char *at = map(16 * PAGE);

			must(at != MAP_FAILED);
			touch(at, 2 * PAGE);
			must(munmap(at, 16 * PAGE) == 0);
		}
		must(write(STDOUT_FILENO, &byte, 1) == 1);
	}
}

/* A filter that lets everything pass, with a listener: its descriptor, or -1 with errno. */
static int listener_new(void)
{
	struct sock_filter filter[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
	struct sock_fprog program = { 1, filter };

	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
}

static void run_listener(void)
{
	int fd = listener_new();

	printf("%s\n", fd < 0 ? strerror(errno) : "a listener");
	if (fd >= 0)
		close(fd);
	run_random();
}

static int run_listened(char **argv)
{
	int fd = listener_new(), status;
	pid_t pid = fork();

	must(fd >= 0 && pid >= 0);
	if (!pid) {
		close(fd);
		execvp(argv[0], argv);
		_exit(97);
	}
	must(waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 98;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	int number = argc > 2 ? atoi(argv[2]) : 1;

	seed = (unsigned int)number;
	if (!strcmp(mode, "random"))
		run_random();
	else if (!strcmp(mode, "limit"))
		run_limit();
	else if (!strcmp(mode, "signals") && argc > 3)
		run_signals((unsigned int)number, atoi(argv[3]));
	else if (!strcmp(mode, "endless"))
		run_endless((unsigned int)number);
	else if (!strcmp(mode, "forks"))
		run_forks(argv, number);
	else if (!strcmp(mode, "paced"))
		run_paced();
	else if (!strcmp(mode, "listener"))
		run_listener();
	else if (!strcmp(mode, "listened") && argc > 2)
		return run_listened(argv + 2);
	else
		return 2;
	return 0;
}
