/* SPDX-License-Identifier: GPL-2.0-only */
/* Events come out of the queue as they were put into it, whatever became of what they pointed to; it is bounded, and it ends. */
#include "event/event_queue.h"

#include "event/memcalls.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define NO_WAIT	  0
#define LONG_WAIT 60000
#define MANY	  100000u

struct seen {
	unsigned int count;
	const struct event *wanted; /* as many as are put; NULL: they are numbered by ts_ns */
	int answer;
};

static void frames_check(const struct event_change *got, const struct event_change *wanted)
{
	assert_int_equal(got->stack_len, wanted->stack_len);
	assert_int_equal(got->stack_complete, wanted->stack_complete);
	assert_int_equal(got->stack_id, wanted->stack_id);
	for (unsigned int i = 0; i < got->stack_len; i++) {
		assert_int_equal(got->stack[i].addr, wanted->stack[i].addr);
		assert_int_equal(got->stack[i].exact, wanted->stack[i].exact);
		assert_null(got->stack[i].symbol);
	}
}

static void string_check(const char *got, const char *wanted)
{
	assert_int_equal(!got, !wanted);
	if (wanted)
		assert_string_equal(got, wanted);
}

static int on_event(void *ctx, const struct event *event)
{
	struct seen *seen = ctx;
	const struct event *wanted = seen->wanted ? &seen->wanted[seen->count] : NULL;

	if (!wanted) {
		assert_int_equal(event->ts_ns, seen->count);
	} else {
		assert_int_equal(event->kind, wanted->kind);
		assert_int_equal(event->ts_ns, wanted->ts_ns);
		assert_string_equal(event->comm, wanted->comm);
	}
	if (wanted && wanted->kind == EVENT_CHANGE) {
		string_check(event->change.name, wanted->change.name);
		string_check(event->change.text, wanted->change.text);
		assert_ptr_equal(event->change.call, wanted->change.call);
		assert_memory_equal(event->change.args, wanted->change.args, sizeof(wanted->change.args));
		frames_check(&event->change, &wanted->change);
	} else if (wanted && wanted->kind == EVENT_MM_OPEN) {
		string_check(event->open.image, wanted->open.image);
	} else if (wanted && wanted->kind == EVENT_VMA) {
		string_check(event->vma.path, wanted->vma.path);
		assert_int_equal(event->vma.inode, wanted->vma.inode);
	} else if (wanted && wanted->kind == EVENT_MARK) {
		string_check(event->mark.name, wanted->mark.name);
	}
	seen->count++;
	return seen->answer;
}

static void comes_out_as_it_went_in(void **state)
{
	struct frame frames[] = { { .addr = 0x401000, .exact = true, .symbol = "not kept" },
				  { .addr = 0xffffffffff600000 },
				  { .addr = 0x7f0000001234, .exact = true } };
	char actor[] = "khugepaged", path[] = "/lib/libc.so.6";
	struct event events[] = {
		{ .kind = EVENT_MM_OPEN, .ts_ns = 1, .comm = "target", .open = { .image = "/bin/target" } },
		{ .kind = EVENT_VMA, .ts_ns = 2, .vma = { .path = path, .inode = 77 } },
		{ .kind = EVENT_VMA, .ts_ns = 3 },
		{ .kind = EVENT_CHANGE,
		  .ts_ns = 4,
		  .change = { .cause = CAUSE_KERNEL,
			      .name = actor,
			      .stack = frames,
			      .stack_len = 3,
			      .stack_complete = true,
			      .stack_id = 9 } },
		{ .kind = EVENT_CHANGE,
		  .ts_ns = 5,
		  .change = { .name = "mmap", .call = memcall_at(0), .args = { 1, 2, 3 }, .text = path } },
		{ .kind = EVENT_MARK, .ts_ns = 6, .mark = { .name = "" } },
		{ .kind = EVENT_SAMPLE, .ts_ns = 7 },
		{ .kind = EVENT_PROC_EXIT, .ts_ns = 8 },
		{ .kind = EVENT_LOST, .ts_ns = 9 },
		{ .kind = EVENT_MM_CLOSE, .ts_ns = 10 },
	};
	const unsigned int count = sizeof(events) / sizeof(*events);
	struct event_queue *queue = event_queue_new(1 << 20);
	struct seen seen = { .wanted = events };
	int result = 1;

	(void)state;
	assert_non_null(queue);
	assert_int_equal(event_queue_take(queue, NO_WAIT, on_event, &seen, &result), 0);
	for (unsigned int i = 0; i < count; i++)
		assert_int_equal(event_queue_put(queue, &events[i]), 0);
	/* What they pointed to is gone. */
	memset(actor, 'x', sizeof(actor) - 1);
	memset(path, 'x', sizeof(path) - 1);
	events[3].change.name = "khugepaged";
	events[1].vma.path = events[4].change.text = "/lib/libc.so.6";
	event_queue_flush(queue);
	assert_int_equal(event_queue_take(queue, LONG_WAIT, on_event, &seen, &result), 1);
	assert_int_equal(seen.count, count);
	event_queue_end(queue, -EPIPE);
	assert_int_equal(event_queue_take(queue, LONG_WAIT, on_event, &seen, &result), -ENODATA);
	assert_int_equal(result, -EPIPE);
	assert_int_equal(event_queue_take(queue, NO_WAIT, on_event, &seen, &result), -ENODATA);
	event_queue_free(queue);
	event_queue_free(NULL);
}

/* Puts numbered events until it may not; ends with how many it could put. */
static void *putter(void *ctx)
{
	struct event event = { .kind = EVENT_MARK, .mark = { .name = "a mark" } };

	while (event.ts_ns < MANY && !event_queue_put(ctx, &event))
		event.ts_ns++;
	event_queue_end(ctx, (int)event.ts_ns);
	return NULL;
}

/* More than fits: who puts waits, and nothing is lost or turned round. */
static void bounded(void **state)
{
	struct event_queue *queue = event_queue_new(4096);
	struct seen seen = { 0 };
	pthread_t thread;
	int result = 0, got;

	(void)state;
	assert_non_null(queue);
	assert_int_equal(pthread_create(&thread, NULL, putter, queue), 0);
	do {
		unsigned int before = seen.count;

		got = event_queue_take(queue, LONG_WAIT, on_event, &seen, &result);
		/* One event more than the bound is what it has at most. */
		assert_true(seen.count - before <= 4096 / sizeof(struct event) + 1);
	} while (got >= 0);
	assert_int_equal(got, -ENODATA);
	assert_int_equal(result, MANY);
	assert_int_equal(seen.count, MANY);
	assert_int_equal(pthread_join(thread, NULL), 0);
	event_queue_free(queue);
}

/* Who takes gives up: what it answers arrives, and who waits for room is let go. */
static void abandoned(void **state)
{
	struct event_queue *queue = event_queue_new(4096);
	struct seen seen = { .answer = -ENOMEM };
	pthread_t thread;
	int result = 0;

	(void)state;
	assert_non_null(queue);
	assert_int_equal(pthread_create(&thread, NULL, putter, queue), 0);
	assert_int_equal(event_queue_take(queue, LONG_WAIT, on_event, &seen, &result), -ENOMEM);
	assert_int_equal(seen.count, 1);
	event_queue_abandon(queue);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(event_queue_put(queue, &(struct event){ .kind = EVENT_SAMPLE }), -ECANCELED);
	event_queue_free(queue);
}

static unsigned int open_files(void)
{
	DIR *folder = opendir("/proc/self/fd");
	unsigned int count = 0;

	assert_non_null(folder);
	while (readdir(folder))
		count++;
	closedir(folder);
	return count;
}

/* Counts the events that come with the file of *@ctx, and stops after the third. */
static int on_mapped(void *ctx, const struct event *event)
{
	struct stat *wanted = ctx, got;

	if (!event->code_fd)
		return 0;
	assert_int_equal(fstat(*event->code_fd, &got), 0);
	assert_int_equal(got.st_ino, wanted->st_ino);
	return ++wanted->st_nlink == 3 ? -EINTR : 0;
}

/* An event's file is open while it is delivered, if the putter has closed it or not, and no longer. Not all have one, where they are
 * many. */
static void keeps_files(void **state)
{
	struct event_queue *queue = event_queue_new(1u << 20);
	unsigned int before = open_files();
	struct stat status;
	int result = 0;

	(void)state;
	assert_non_null(queue);
	for (unsigned int i = 0; i < 1000; i++) {
		int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
		struct event event = { .kind = EVENT_VMA, .code_fd = i ? &fd : NULL };

		assert_int_equal(fstat(fd, &status), 0);
		assert_int_equal(event_queue_put(queue, &event), 0);
		close(fd);
	}
	assert_in_range(open_files(), before + 3, before + 500);
	status.st_nlink = 0;
	assert_int_equal(event_queue_take(queue, NO_WAIT, on_mapped, &status, &result), -EINTR);
	assert_int_equal(status.st_nlink, 3);
	assert_int_equal(open_files(), before);
	for (unsigned int i = 0; i < 10; i++) {
		const int fd = STDIN_FILENO;
		const struct event event = { .kind = EVENT_VMA, .code_fd = &fd };

		assert_int_equal(event_queue_put(queue, &event), 0);
	}
	assert_int_equal(open_files(), before + 10);
	event_queue_free(queue);
	assert_true(open_files() <= before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_out_as_it_went_in),
		cmocka_unit_test(bounded),
		cmocka_unit_test(abandoned),
		cmocka_unit_test(keeps_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
