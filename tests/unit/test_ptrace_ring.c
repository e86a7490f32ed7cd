/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/ptrace_ring.h"

#include "event/memcalls.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define SMALL (64u << 10)

/* What has been delivered: sums, and the last events with their strings copied. */
struct seen {
	struct event last;
	char text[4200];
	char name[32];
	uint64_t events, marks, rows, folded, next_order;
	uint64_t stacks; /* rows with one that is as stack_of() makes it */
	struct usage sum;
	int answer;
	bool in_order;
};

static struct ptrace_shared *shared;
static struct ptrace_writer *writer;
static struct seen seen;

static int setup(void **state)
{
	(void)state;
	memset(&seen, 0, sizeof(seen));
	seen.in_order = true;
	shared = ptrace_shared_new(SMALL);
	writer = shared ? ptrace_writer_new(shared) : NULL;
	return writer ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	ptrace_writer_free(writer);
	ptrace_shared_free(shared);
	return 0;
}

#define FRAMES 127

/* The stack of a row with that id: so many frames, each with another address. */
static void stack_of(struct event_change *change, uint64_t id, struct frame *frames)
{
	change->stack_id = id;
	change->stack_len = (unsigned int)(id % (FRAMES + 1));
	change->stack = frames;
	change->stack_complete = id & 1;
	for (unsigned int i = 0; i < change->stack_len; i++)
		frames[i] = (struct frame){ .addr = 0x7fffffff0000 + id * 256 + i, .exact = i % 3 == 0 };
}

static bool stack_is_right(const struct event_change *change)
{
	struct event_change want = { 0 };
	struct frame frames[FRAMES];

	if (!change->stack_len)
		return false;
	stack_of(&want, change->stack_id, frames);
	if (change->stack_len != want.stack_len || change->stack_complete != want.stack_complete)
		return false;
	for (unsigned int i = 0; i < want.stack_len; i++) {
		if (change->stack[i].addr != frames[i].addr || change->stack[i].exact != frames[i].exact ||
		    change->stack[i].symbol)
			return false;
	}
	return true;
}

static int take(void *ctx, const struct event *event)
{
	struct seen *to = ctx;
	const char *text = NULL;

	to->last = *event;
	to->events++;
	if (event->kind == EVENT_CHANGE) {
		text = event->change.text;
		snprintf(to->name, sizeof(to->name), "%s", event->change.name);
		usage_add(&to->sum, &event->change.delta);
		to->rows += event->change.count;
		to->folded += event->change.folded;
		to->in_order &= event->change.order >= to->next_order;
		to->next_order = event->change.order;
		to->stacks += stack_is_right(&event->change);
	} else if (event->kind == EVENT_MARK) {
		text = event->mark.name;
		to->marks++;
	}
	snprintf(to->text, sizeof(to->text), "%s", text ? text : "(none)");
	return to->answer;
}

static struct event row(uint64_t mm, uint64_t order, int64_t virt, const char *text)
{
	struct event event = { .kind = EVENT_CHANGE, .mm = mm, .pid = 7, .tid = 8 };

	event.change = (struct event_change){ .cause = CAUSE_SYSCALL,
					      .name = "literal",
					      .text = text,
					      .count = 1,
					      .order = order,
					      .delta = { .virt = virt } };
	return event;
}

static void put(const struct event *event, int nr)
{
	assert_int_equal(ptrace_write(writer, event, nr), 0);
}

static void test_one_event(void **state)
{
	struct event event = row(3, 1, 4096, "/a/path");

	(void)state;
	assert_int_equal(ptrace_ring_read(shared, 10, take, &seen), 0);
	put(&event, SYS_munmap);
	assert_int_equal(ptrace_ring_read(shared, 10, take, &seen), 1);
	assert_string_equal(seen.name, "munmap");
	assert_string_equal(seen.text, "/a/path");
	assert_int_equal(seen.last.mm, 3);
	assert_int_equal(seen.last.tid, 8);
	event.change.text = NULL;
	put(&event, -1);
	assert_int_equal(ptrace_ring_read(shared, 10, take, &seen), 1);
	assert_string_equal(seen.name, "literal");
	assert_string_equal(seen.text, "(none)");
	assert_int_equal(ptrace_ring_read(shared, 10, take, &seen), 0);
}

static void test_texts(void **state)
{
	static char text[6000];
	struct event event = { .kind = EVENT_MARK, .mm = 1, .mark = { .name = "" } };

	(void)state;
	put(&event, -1);
	assert_int_equal(ptrace_ring_read(shared, 1, take, &seen), 1);
	assert_string_equal(seen.text, "");
	memset(text, 'x', sizeof(text) - 1);
	event.mark.name = text;
	put(&event, -1);
	assert_int_equal(ptrace_ring_read(shared, 1, take, &seen), 1);
	assert_int_equal(strlen(seen.text), 4095); /* cut, as no path is longer */
}

static void test_reader_stops(void **state)
{
	struct event event = row(1, 1, 1, NULL);

	(void)state;
	for (int i = 0; i < 5; i++)
		put(&event, -1);
	assert_int_equal(ptrace_ring_read(shared, 2, take, &seen), 2);
	seen.answer = -EPIPE;
	assert_int_equal(ptrace_ring_read(shared, 10, take, &seen), -EPIPE);
	seen.answer = 0;
	assert_int_equal(ptrace_ring_read(shared, 10, take, &seen), 2);
	assert_int_equal(seen.sum.virt, 5);
}

/* Texts of all lengths, so that records end everywhere in the ring; read now and then. */
static void test_wraps(void **state)
{
	enum { ROUNDS = 20000 };
	char text[256];

	(void)state;
	srandom(5);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		struct event event;

		memset(text, 'a' + (int)(i % 26), sizeof(text));
		text[random() % 255] = '\0';
		event = row(1, i, 1, text);
		put(&event, -1);
		if (i % 8 == 7) {
			assert_int_equal(ptrace_ring_read(shared, 100, take, &seen), 8);
			assert_string_equal(seen.text, text);
		}
	}
	assert_int_equal(seen.events, ROUNDS);
	assert_int_equal(seen.sum.virt, ROUNDS);
	assert_int_equal(seen.folded, 0);
	assert_true(seen.in_order);
}

/* Nobody reads: rows add up by mm and cause, other events are kept, and all comes in the end. */
static void test_overflow(void **state)
{
	enum { ROUNDS = 5000 };
	const struct event mark = { .kind = EVENT_MARK, .mm = 1, .mark = { .name = "here" } };
	int got;

	(void)state;
	for (unsigned int i = 0; i < ROUNDS; i++) {
		struct event event = row(1 + i % 3, i, 4096, "text");

		event.change.delta.anon = -1;
		put(&event, i % 2 ? SYS_mmap : SYS_munmap);
		if (i % 1000 == 999)
			put(&mark, -1);
	}
	assert_false(ptrace_write_flush(writer));
	do {
		ptrace_write_flush(writer);
		got = ptrace_ring_read(shared, 64, take, &seen);
	} while (got);
	assert_int_equal(seen.sum.virt, 4096L * ROUNDS);
	assert_int_equal(seen.sum.anon, -ROUNDS);
	assert_int_equal(seen.rows, ROUNDS);
	assert_int_equal(seen.marks, 5);
	assert_true(seen.folded > ROUNDS / 2 && seen.folded < ROUNDS);
	/* As before, once there is room. */
	put(&mark, -1);
	assert_int_equal(ptrace_ring_read(shared, 64, take, &seen), 1);
	assert_string_equal(seen.text, "here");
}

static void test_closed(void **state)
{
	struct event event = row(1, 1, 1, NULL);

	(void)state;
	for (int i = 0; i < 2000; i++)
		put(&event, -1);
	ptrace_writer_close(writer);
	put(&event, -1);
	assert_true(ptrace_write_flush(writer));
	while (ptrace_ring_read(shared, 100, take, &seen))
		;
	assert_true(seen.events > 0 && seen.events < 2000);
}

/* Two processes, the reader asleep or awake as it comes. */
static void test_two_processes(void **state)
{
	enum { ROUNDS = 200000 };
	uint64_t count;
	int status, got;
	pid_t pid;

	(void)state;
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		for (unsigned int i = 0; i < ROUNDS; i++) {
			struct event event = row(1, i, 3, i % 7 ? NULL : "text");

			if (ptrace_write(writer, &event, SYS_brk))
				_exit(1);
		}
		while (!ptrace_write_flush(writer))
			;
		atomic_store(&shared->finished, 1);
		_exit(0);
	}
	for (;;) {
		bool finished = atomic_load(&shared->finished);

		got = ptrace_ring_read(shared, 1000, take, &seen);
		assert_true(got >= 0);
		if (!got && finished)
			break;
		if (!got) {
			atomic_store(&shared->sleeping, 1);
			(void)!read(shared->wake_fd, &count, sizeof(count));
		}
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(seen.rows, ROUNDS);
	assert_int_equal(seen.sum.virt, 3L * ROUNDS);
	assert_string_equal(seen.name, "brk");
}

/* Stacks of all lengths, with texts and without, on their way round the ring. */
static void test_stacks(void **state)
{
	struct frame frames[FRAMES];
	uint64_t taken = 0;

	(void)state;
	for (uint64_t id = 1; id <= 1000; id++) {
		struct event event = row(1, id, 1, id % 3 ? "/some/path" + id % 7 : NULL);

		stack_of(&event.change, id, frames);
		taken += event.change.stack_len > 0;
		put(&event, -1);
		assert_int_equal(ptrace_ring_read(shared, 10, take, &seen), 1);
		assert_int_equal(seen.stacks, taken);
		assert_int_equal(seen.last.change.stack_id, id);
		assert_string_equal(seen.text, id % 3 ? "/some/path" + id % 7 : "(none)");
	}
}

/* Rows that are added up keep the stack that all of them have. */
static void test_stacks_folded(void **state)
{
	struct frame frames[FRAMES];
	struct event event;

	(void)state;
	for (int same = 0; same < 2; same++) {
		memset(&seen, 0, sizeof(seen));
		for (uint64_t i = 0; i < 300; i++) {
			event = row(1, i, 1, NULL);
			stack_of(&event.change, same ? 99 : 101 + i % 2, frames);
			put(&event, -1);
		}
		do
			(void)ptrace_write_flush(writer);
		while (ptrace_ring_read(shared, 10, take, &seen) > 0);
		assert_int_equal(seen.rows, 300);
		assert_true(seen.events < 300 && seen.folded > 0);
		/* The last is the sum of those that waited. */
		assert_int_equal(seen.last.change.stack_len, same ? 99 : 0);
		assert_int_equal(seen.stacks, seen.events - !same);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one_event, setup, teardown),
		cmocka_unit_test_setup_teardown(test_texts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reader_stops, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wraps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_overflow, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stacks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stacks_folded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_closed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_two_processes, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
