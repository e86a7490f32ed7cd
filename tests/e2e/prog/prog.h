/* SPDX-License-Identifier: GPL-2.0-only */
/* prog: what every workload program needs: readings of its own memory, each followed by a mark, so that a checker can
 * compare what /proc said with the level of the ledger at that mark. One .c file is one program. */
#ifndef HEAPTRACE_E2E_PROG_H
#define HEAPTRACE_E2E_PROG_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096UL
#define KB   1024UL
#define MB   (1024UL * KB)

/* Ends the program with one line when a step that the workload rests on has failed. */
#define must(condition)                                                                                      \
	do {                                                                                                 \
		if (!(condition)) {                                                                          \
			fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, strerror(errno)); \
			exit(99);                                                                            \
		}                                                                                            \
	} while (0)

enum { POINT_VIRT, POINT_RSS, POINT_ANON, POINT_FILE, POINT_SHMEM, POINT_SWAP, POINT_FIELDS };

#define POINT_UNKNOWN (~0ull)

struct point {
	char name[64];
	int pid;
	unsigned long long bytes[POINT_FIELDS];
};

/* Everything that a reading writes to, kept together so that it can be touched before the reading. */
static struct {
	int fd;
	int tid; /* whose status the descriptor shows; a leader that has ended shows no memory */
	unsigned int count;
	char mark[80];
	char status[4096];
	int rollup_fd; /* smaps_rollup, where status lags behind (STATUS_LAGS); else -1 */
	char rollup[2048];
	struct point points[320];
} point_state;

/* Opens the status file of this process, and writes to every page of the state: new after exec, shared after fork. */
static inline void point_open(void)
{
	int tid = (int)gettid();

	if (point_state.tid == tid)
		return;
	if (point_state.tid) {
		close(point_state.fd);
		close(point_state.rollup_fd);
	}
	point_state.rollup_fd = -1;
	if (getenv("STATUS_LAGS") && *getenv("STATUS_LAGS"))
		point_state.rollup_fd = open("/proc/thread-self/smaps_rollup", O_RDONLY | O_CLOEXEC);
	point_state.fd = open("/proc/thread-self/status", O_RDONLY | O_CLOEXEC);
	must(point_state.fd >= 0);
	point_state.tid = tid;
	for (size_t i = 0; i < sizeof(point_state); i += PAGE)
		((volatile char *)&point_state)[i] += 0;
}

static inline unsigned long long point_field(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	must(at);
	return strtoull(at + strlen(name), NULL, 10) * KB;
}

/* Leaves the mark @name and nothing else. */
static inline void mark(const char *name)
{
	int len = snprintf(point_state.mark, sizeof(point_state.mark), "heaptrace:%s", name);

	syscall(SYS_write, -1, point_state.mark, (size_t)len);
}

/* Leaves the mark "held", and goes on when standard input ends: whoever has seen the mark has seen the program live. */
static inline void hold(void)
{
	char byte;

	mark("held");
	while (read(0, &byte, 1) > 0)
		;
}

/* Reads the own memory, then leaves the mark @name. Nothing can change between the two: the pages that the reading is
 * stored to are written first (after fork they are still shared), and a reading that is thrown away has brought the
 * code of the other one into memory. One thread at a time. */
static inline void point(const char *name)
{
	static const char *const fields[POINT_FIELDS] = { "VmSize:",  "VmRSS:",	   "RssAnon:",
							  "RssFile:", "RssShmem:", "VmSwap:" };
	struct point *next = &point_state.points[point_state.count];
	volatile char *status = point_state.status;
	int len;
	ssize_t got = 0, got_rollup = 0;

	must(point_state.count < sizeof(point_state.points) / sizeof(point_state.points[0]));
	point_open();
	len = snprintf(point_state.mark, sizeof(point_state.mark), "heaptrace:%s", name);
	memset(next, 0, sizeof(*next));
	snprintf(next->name, sizeof(next->name), "%s", name);
	next->pid = (int)getpid();
	point_state.count++;
	status[0] = status[sizeof(point_state.status) - 1] = 0;
	((volatile char *)point_state.rollup)[0] = 0;
	for (int turn = 0; turn < 2; turn++) {
		got = syscall(SYS_pread64, point_state.fd, point_state.status, sizeof(point_state.status) - 1, 0L);
		if (point_state.rollup_fd >= 0)
			got_rollup = syscall(SYS_pread64, point_state.rollup_fd, point_state.rollup,
					     sizeof(point_state.rollup) - 1, 0L);
	}
	syscall(SYS_write, -1, point_state.mark, (size_t)len);
	must(got > 0);
	point_state.status[got] = 0;
	for (int i = 0; i < POINT_FIELDS; i++)
		next->bytes[i] = point_field(point_state.status, fields[i]);
	if (got_rollup <= 0)
		return;
	point_state.rollup[got_rollup] = 0;
	next->bytes[POINT_RSS] = point_field(point_state.rollup, "Rss:");
	next->bytes[POINT_ANON] = point_field(point_state.rollup, "Anonymous:");
	next->bytes[POINT_SWAP] = point_field(point_state.rollup, "Swap:");
	next->bytes[POINT_FILE] = next->bytes[POINT_SHMEM] = POINT_UNKNOWN;
}

/* The marks around one step: "NAME {" and "NAME }". */
static inline void step_begin(const char *step)
{
	char name[48];

	snprintf(name, sizeof(name), "%s {", step);
	point(name);
}

static inline void step_end(const char *step)
{
	char name[48];

	snprintf(name, sizeof(name), "%s }", step);
	point(name);
}

/* STEP("name", statement): the statement between its two marks. */
#define STEP(name, ...)           \
	do {                      \
		step_begin(name); \
		__VA_ARGS__;      \
		step_end(name);   \
	} while (0)

/* Prints this process's readings as one line of JSON on stdout and forgets them. */
static inline void points_print(void)
{
	static char line[65536];
	size_t len = 0;

	len += (size_t)snprintf(line, sizeof(line), "{\"points\":[");
	for (unsigned int i = 0; i < point_state.count; i++) {
		const struct point *p = &point_state.points[i];

		len += (size_t)snprintf(line + len, sizeof(line) - len,
					"%s{\"pid\":%d,\"name\":\"%s\",\"virt\":%llu,\"rss\":%llu,\"anon\":%llu,"
					"\"swap\":%llu,",
					i ? "," : "", p->pid, p->name, p->bytes[POINT_VIRT], p->bytes[POINT_RSS],
					p->bytes[POINT_ANON], p->bytes[POINT_SWAP]);
		must(len < sizeof(line) - 80);
		len += (size_t)snprintf(line + len, sizeof(line) - len,
					p->bytes[POINT_FILE] == POINT_UNKNOWN ? "\"file\":null,\"shmem\":null}"
									      : "\"file\":%llu,\"shmem\":%llu}",
					p->bytes[POINT_FILE], p->bytes[POINT_SHMEM]);
		must(len < sizeof(line) - 4);
	}
	memcpy(line + len, "]}\n", 3);
	len += 3;
	point_state.count = 0;
	for (size_t done = 0; done < len;) {
		ssize_t wrote = write(STDOUT_FILENO, line + done, len - done);

		must(wrote > 0);
		done += (size_t)wrote;
	}
}

/* Waits until thread @tid sleeps: what it did before is done, and a reading of the memory that it shares is of one
 * moment. */
static inline void wait_asleep(int tid)
{
	char path[64], text[256] = "";
	ssize_t got = 0;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	while (!strstr(text, ") S ")) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);

		must(fd >= 0);
		got = read(fd, text, sizeof(text) - 1);
		must(got > 0 && close(fd) == 0);
		text[got] = 0;
	}
}

/* Writes one byte to each page of [@at, @at + @len). */
static inline void touch(void *at, size_t len)
{
	for (size_t i = 0; i < len; i += PAGE)
		((volatile char *)at)[i] = 1;
}

/* Reads one byte of each page. */
static inline void peek(const void *at, size_t len)
{
	for (size_t i = 0; i < len; i += PAGE)
		(void)((const volatile char *)at)[i];
}

#endif
