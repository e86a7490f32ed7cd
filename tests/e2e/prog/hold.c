/* SPDX-License-Identifier: GPL-2.0-only */
/* hold: `hold THREADS` says "ready" and then does what standard input tells it, one line each, answering each with a
 * line of JSON (its own reading):
 *
 *   map N     maps and touches N pages more
 *   huge N    maps and touches N pages of 2 MiB of those set apart (hugetlb)
 *   merge N   maps and touches N pages that are all the same, and lets KSM merge them
 *   again     touches what the last "map" made once more
 *   drop      unmaps the last ones that "map" made
 *   lazy N    maps and touches N pages, then gives them to the kernel by MADV_FREE, to take when it needs them
 *   sparse N  touches 64 small pages in each of N areas of 2 MiB that khugepaged may then fill
 *   major F   a thread begins, drops the file F from memory, touches each of its pages, and turns round then without any call
 *   calm      that thread ends
 *   mark NAME only reads
 *   busy      the threads begin to map, touch, move and unmap without end (the answer comes once all have begun)
 *   rest      they stop (the answer comes once all have stopped)
 *   name X    takes X as the name of the thread
 *   quit      ends */
#include "prog.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#define RW	    (PROT_READ | PROT_WRITE)
#define THREADS_MAX 256

static struct {
	atomic_bool busy;
	atomic_uint working;
	pthread_mutex_t lock;
	pthread_cond_t change;
} work = { .lock = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER };

/* The moved part leaves a hole that another thread may have filled meanwhile: it is left alone. */
static void one_round(unsigned int seed)
{
	size_t pages = 32 + seed % 48;
	char *at = mmap(NULL, pages * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *moved;

	must(at != MAP_FAILED);
	touch(at, pages * PAGE);
	must(madvise(at, 4 * PAGE, MADV_DONTNEED) == 0);
	must(mprotect(at + 4 * PAGE, 4 * PAGE, PROT_READ) == 0);
	moved = mremap(at + 8 * PAGE, 8 * PAGE, 64 * PAGE, MREMAP_MAYMOVE);
	must(moved != MAP_FAILED);
	must(munmap(moved, 64 * PAGE) == 0);
	must(munmap(at, 8 * PAGE) == 0);
	must(munmap(at + 16 * PAGE, (pages - 16) * PAGE) == 0);
}

static void *worker(void *arg)
{
	unsigned int seed = (unsigned int)(uintptr_t)arg;

	for (;;) {
		pthread_mutex_lock(&work.lock);
		while (!work.busy)
			pthread_cond_wait(&work.change, &work.lock);
		pthread_mutex_unlock(&work.lock);
		work.working++;
		while (work.busy)
			one_round(seed++);
		work.working--;
	}
	return NULL;
}

static void set_busy(bool busy, unsigned int threads)
{
	pthread_mutex_lock(&work.lock);
	work.busy = busy;
	pthread_cond_broadcast(&work.change);
	pthread_mutex_unlock(&work.lock);
	while (work.working != (busy ? threads : 0))
		sched_yield();
}

static void make_lazy(size_t len)
{
	char *at = mmap(NULL, len, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(at != MAP_FAILED);
	touch(at, len);
	must(madvise(at, len, MADV_FREE) == 0);
}

static void make_sparse(size_t areas)
{
	const size_t huge = 2 * MB;
	char *at = mmap(NULL, (areas + 1) * huge, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(at != MAP_FAILED);
	at = (char *)(((uintptr_t)at + huge - 1) & ~(huge - 1));
	for (size_t i = 0; i < areas; i++)
		touch(at + i * huge, 64 * PAGE);
	must(madvise(at, areas * huge, MADV_HUGEPAGE) == 0);
}

static void make_mergeable(size_t len)
{
	char *at = mmap(NULL, len, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(at != MAP_FAILED);
	touch(at, len);
	must(madvise(at, len, MADV_MERGEABLE) == 0);
}

static struct {
	char path[72];
	atomic_bool touched, calm;
	pthread_t thread;
} spinner;

/* Each page is read for itself, by a fault that waits for it. */
static void *touch_and_spin(void *arg)
{
	int fd = open(spinner.path, O_RDONLY | O_CLOEXEC);
	off_t len = lseek(fd, 0, SEEK_END);
	char *at = mmap(NULL, (size_t)len, PROT_READ, MAP_SHARED, fd, 0);

	must(fd >= 0 && at != MAP_FAILED && madvise(at, (size_t)len, MADV_RANDOM) == 0);
	must(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
	peek(at, (size_t)len);
	spinner.touched = true;
	while (!spinner.calm)
		;
	return arg;
}

static void spin_begin(const char *path)
{
	snprintf(spinner.path, sizeof(spinner.path), "%s", path);
	must(pthread_create(&spinner.thread, NULL, touch_and_spin, NULL) == 0);
	while (!spinner.touched)
		sched_yield();
}

static void spin_end(void)
{
	spinner.calm = true;
	must(pthread_join(spinner.thread, NULL) == 0);
}

static void use_set_apart(size_t len)
{
	char *at = mmap(NULL, len, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

	must(at != MAP_FAILED);
	touch(at, len);
	point("huge mapped");
	must(munmap(at, len) == 0);
}

/* Carries out one line; false at "quit". */
static bool obey(const char *line, unsigned int threads)
{
	static struct {
		char *at;
		size_t len;
	} maps[1024];
	static unsigned int count;

	if (!strncmp(line, "map ", 4)) {
		must(count < sizeof(maps) / sizeof(maps[0]));
		maps[count].len = strtoul(line + 4, NULL, 10) * PAGE;
		maps[count].at = mmap(NULL, maps[count].len, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		must(maps[count].at != MAP_FAILED);
		touch(maps[count].at, maps[count].len);
		count++;
	} else if (!strcmp(line, "again")) {
		must(count > 0);
		touch(maps[count - 1].at, maps[count - 1].len);
	} else if (!strcmp(line, "drop")) {
		must(count > 0);
		count--;
		must(munmap(maps[count].at, maps[count].len) == 0);
	} else if (!strncmp(line, "huge ", 5)) {
		use_set_apart(strtoul(line + 5, NULL, 10) * 2 * MB);
	} else if (!strncmp(line, "merge ", 6)) {
		make_mergeable(strtoul(line + 6, NULL, 10) * PAGE);
	} else if (!strncmp(line, "lazy ", 5)) {
		make_lazy(strtoul(line + 5, NULL, 10) * PAGE);
	} else if (!strncmp(line, "sparse ", 7)) {
		make_sparse(strtoul(line + 7, NULL, 10));
	} else if (!strncmp(line, "major ", 6)) {
		spin_begin(line + 6);
	} else if (!strcmp(line, "calm")) {
		spin_end();
	} else if (!strcmp(line, "busy")) {
		set_busy(true, threads);
	} else if (!strcmp(line, "rest")) {
		set_busy(false, threads);
	} else if (!strncmp(line, "name ", 5)) {
		must(prctl(PR_SET_NAME, line + 5) == 0);
	} else if (!strcmp(line, "quit")) {
		return false;
	}
	return true;
}

/* One line from standard input, by read(2) alone: stdio would allocate. False at its end. */
static bool get_line(char *line, size_t size)
{
	size_t len = 0;

	while (len + 1 < size) {
		ssize_t got = read(STDIN_FILENO, line + len, 1);

		if (got <= 0)
			return false;
		if (line[len] == '\n')
			break;
		len++;
	}
	line[len] = 0;
	return true;
}

int main(int argc, char **argv)
{
	unsigned int threads = argc > 1 ? (unsigned int)atoi(argv[1]) : 0;
	pthread_t thread;
	char line[72];

	must(threads <= THREADS_MAX);
	for (uintptr_t i = 0; i < threads; i++)
		must(pthread_create(&thread, NULL, worker, (void *)i) == 0);
	must(write(STDOUT_FILENO, "ready\n", 6) == 6);
	while (get_line(line, sizeof(line)) && obey(line, threads)) {
		point(line);
		points_print();
	}
	return 0;
}
