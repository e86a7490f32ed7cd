/* SPDX-License-Identifier: GPL-2.0-only */
/* The router: which books an event goes to, what comes out, and what stays in memory. */
#include "base/map.h"
#include "event/memcalls.h"
#include "ledger_rows.h"
#include "model/model.h"

#include <malloc.h>
#include <stdlib.h>
#include <sys/mman.h>

#define PAGE 65536LL /* whole pages on every machine */
#define MANY 10000

/* What the model handed out: the last record of each kind, and counts. */
struct sink {
	unsigned int events, ledgers, balanced;
	enum event_kind kind;
	struct usage after;
	struct region region;
	char path[64];
	struct ledger_view ledger;
	char image[64];
	unsigned int ledger_phases;
	int fail_with;
};

static int take(void *ctx, struct record *record)
{
	struct sink *sink = ctx;

	if (record->kind == RECORD_LEDGER) {
		sink->ledgers++;
		sink->ledger = *record->ledger;
		sink->balanced += record->ledger->balanced;
		sink->ledger_phases = record->ledger->phase_count;
		snprintf(sink->image, sizeof(sink->image), "%s", record->ledger->image ? record->ledger->image : "");
		return sink->fail_with;
	}
	assert_int_equal(record->kind, RECORD_EVENT);
	assert_false(record->hidden);
	sink->events++;
	sink->kind = record->event->kind;
	sink->after = record->after;
	sink->region = record->region;
	snprintf(sink->path, sizeof(sink->path), "%s", record->region.path ? record->region.path : "");
	return sink->fail_with;
}

static void feed(struct model *model, struct event event)
{
	assert_int_equal(model_feed(model, &event), 0);
}

static struct event exit_event(uint64_t mm, struct usage level)
{
	struct event event = row_event(CAUSE_EXIT, "exit", minus(level));

	event.mm = mm;
	return event;
}

static struct event close_of(uint64_t mm, struct usage closing)
{
	struct event event = close_event(closing);

	event.mm = mm;
	return event;
}

static struct event call_event(const char *name, int64_t ret, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	struct event event = row_event(CAUSE_SYSCALL, name, (struct usage){ 0 });

	event.change.call = memcall_by_name(name);
	event.change.ret = ret;
	event.change.args[0] = a;
	event.change.args[1] = b;
	event.change.args[2] = c;
	event.change.args[3] = d;
	return event;
}

static struct event map_library(void)
{
	struct event event = call_event("mmap", 16 * PAGE, 0, 4 * PAGE, PROT_READ, MAP_PRIVATE);

	event.change.text = "/lib/x.so";
	event.change.delta.virt = 4 * PAGE;
	return event;
}

/* Rows with the level after them and the mapping that they are about; a mark with its level. */
static void test_rows(void **state)
{
	struct sink sink = { 0 };
	struct model *model = model_new(take, &sink);
	struct event event;

	(void)state;
	assert_non_null(model);
	feed(model, open_event(1));
	assert_int_equal(sink.kind, EVENT_MM_OPEN);
	assert_usage(&sink.after, 1000, 100, 200, 30, 4);
	assert_int_equal(model_open_mms(model), 1);
	feed(model, map_library());
	assert_usage(&sink.after, 1000 + 4 * PAGE, 100, 200, 30, 4);
	assert_int_equal(sink.region.kind, REGION_FILE);
	assert_string_equal(sink.path, "/lib/x.so");

	event = row_event(CAUSE_FAULT, "minor", (struct usage){ .file = 2 * PAGE });
	event.change.addr = 17 * PAGE;
	event.change.len = 2 * PAGE;
	feed(model, event);
	assert_int_equal(sink.region.kind, REGION_FILE);
	assert_int_equal(sink.region.start, 17 * PAGE);
	assert_int_equal(sink.region.end, 19 * PAGE);

	feed(model, mark_event(30, "phase"));
	assert_int_equal(sink.kind, EVENT_MARK);
	assert_usage(&sink.after, 1000 + 4 * PAGE, 100, 200 + 2 * PAGE, 30, 4);

	/* An unmapping names what is there no longer. */
	event = call_event("munmap", 0, 16 * PAGE, 4 * PAGE, 0, 0);
	feed(model, event);
	assert_int_equal(sink.region.kind, REGION_FILE);
	assert_string_equal(sink.path, "/lib/x.so");
	assert_int_equal(sink.events, 5);
	model_free(model);
}

static void test_end_of_process(void **state)
{
	struct sink sink = { 0 };
	struct model *model = model_new(take, &sink);
	struct record_end end = { .ts_ns = 5, .code = 3 };

	(void)state;
	assert_non_null(model);
	feed(model, open_event(1));
	feed(model, mark_event(30, "phase"));
	feed(model, exit_event(1, opening));
	assert_usage(&sink.after, 0);
	assert_int_equal(sink.region.kind, REGION_NONE);
	assert_int_equal(sink.ledgers, 0);
	feed(model, close_of(1, opening));
	assert_int_equal(sink.kind, EVENT_MM_CLOSE);
	assert_int_equal(sink.events, 4);
	assert_int_equal(sink.ledgers, 1);
	assert_true(sink.ledger.balanced);
	assert_int_equal(sink.ledger_phases, 2);
	assert_int_equal(model_open_mms(model), 0);

	/* The rest of the record is the caller's. */
	model_count(model, &end);
	assert_int_equal(end.ts_ns, 5);
	assert_int_equal(end.code, 3);
	assert_int_equal(end.processes, 1);
	assert_int_equal(end.events, 1);
	assert_int_equal(end.mms, 1);
	assert_int_equal(end.balanced_mms, 1);
	assert_int_equal(end.lost_events, 0);
	model_free(model);
	model_free(NULL);
}

/* Events that belong to no open books are handed on as they are. */
static void test_unknown_mm(void **state)
{
	struct event events[] = {
		row_event(CAUSE_SYSCALL, "brk", (struct usage){ .virt = 5 }),
		mark_event(30, "m"),
		close_event(opening),
		{ .kind = EVENT_VMA, .mm = 7, .vma = { .start = PAGE, .end = 2 * PAGE } },
		{ .kind = EVENT_SAMPLE, .mm = 7 },
		{ .kind = EVENT_LOST, .lost = { .records = 3, .what = "records" } },
		{ .kind = EVENT_PROC_EXIT, .pid = 42 },
		{ .kind = EVENT_MM_OPEN, .mm = 0 },
	};
	const unsigned int count = sizeof(events) / sizeof(events[0]);
	struct sink sink = { 0 };
	struct model *model = model_new(take, &sink);

	(void)state;
	assert_non_null(model);
	for (unsigned int i = 0; i < count; i++) {
		feed(model, events[i]);
		assert_int_equal(sink.kind, events[i].kind);
		assert_usage(&sink.after, 0);
		assert_int_equal(sink.region.kind, REGION_NONE);
	}
	assert_int_equal(sink.events, count);
	assert_int_equal(sink.ledgers, 0);
	assert_int_equal(model_open_mms(model), 0);
	model_free(model);
}

static void test_opened_twice(void **state)
{
	struct event again = open_event(1);
	struct sink sink = { 0 };
	struct model *model = model_new(take, &sink);

	(void)state;
	assert_non_null(model);
	feed(model, open_event(1));
	again.open.opening.virt = 5;
	feed(model, again);
	assert_usage(&sink.after, 1000, 100, 200, 30, 4);
	feed(model, close_of(1, opening));
	feed(model, close_of(1, opening));
	assert_int_equal(sink.ledgers, 1);
	assert_true(sink.ledger.balanced);
	model_free(model);
}

static struct event fork_event(uint64_t mm, uint64_t parent)
{
	struct event event = open_event(mm);

	event.pid = (int32_t)mm + 100;
	event.open.how = OPEN_FORK;
	event.open.parent_mm = parent;
	event.open.image = NULL;
	return event;
}

/* A child has its parent's image, mappings and heap; the parent may be gone before it. */
static void test_fork(void **state)
{
	struct event parent = open_event(1), map = call_event("mmap", 64 * PAGE, 0, 4 * PAGE, PROT_READ, MAP_PRIVATE);
	struct event heap = call_event("brk", 101 * PAGE, 101 * PAGE, 0, 0, 0);
	struct event fault = row_event(CAUSE_FAULT, "minor", (struct usage){ .anon = PAGE });
	struct sink sink = { 0 };
	struct model *model = model_new(take, &sink);

	(void)state;
	assert_non_null(model);
	parent.open.start_brk = 100 * PAGE;
	parent.open.brk = 100 * PAGE;
	feed(model, parent);
	map.change.text = "/lib/x.so";
	feed(model, map);
	feed(model, heap);
	feed(model, fork_event(2, 1));
	feed(model, close_of(1, opening));
	fault.mm = 2;
	fault.change.addr = 65 * PAGE;
	fault.change.len = PAGE;
	feed(model, fault);
	assert_int_equal(sink.region.kind, REGION_FILE);
	assert_string_equal(sink.path, "/lib/x.so");
	fault.change.addr = 100 * PAGE;
	feed(model, fault);
	assert_int_equal(sink.region.kind, REGION_HEAP);
	/* A copy of an mm that is not watched begins empty. */
	feed(model, fork_event(3, 99));
	fault.mm = 3;
	feed(model, fault);
	assert_int_equal(sink.region.kind, REGION_NONE);
	feed(model, close_of(3, opening));
	assert_string_equal(sink.image, "");
	feed(model, close_of(2, (struct usage){ 1000, 100 + 2 * PAGE, 200, 30, 4 }));
	assert_string_equal(sink.image, "/bin/prog");
	assert_true(sink.ledger.balanced);
	assert_int_equal(sink.ledger.how, OPEN_FORK);
	model_free(model);
}

/* What an mm had when it was opened. */
static void test_seeds(void **state)
{
	struct event vma = { .kind = EVENT_VMA,
			     .mm = 1,
			     .vma = { .start = 16 * PAGE,
				      .end = 18 * PAGE,
				      .prot = PROT_READ,
				      .flags = MAP_PRIVATE,
				      .path = "[vdso]" } };
	struct event fault = row_event(CAUSE_FAULT, "minor", (struct usage){ 0 });
	struct sink sink = { 0 };
	struct model *model = model_new(take, &sink);

	(void)state;
	assert_non_null(model);
	feed(model, open_event(1));
	feed(model, vma);
	fault.change.addr = 16 * PAGE;
	fault.change.len = PAGE;
	feed(model, fault);
	assert_int_equal(sink.region.kind, REGION_VDSO);
	model_free(model);
}

/* Losses count for every mm that was open then: nobody knows whose they were. */
static void test_lost(void **state)
{
	struct event lost = { .kind = EVENT_LOST, .lost = { .records = 5, .what = "records" } };
	struct event detail = { .kind = EVENT_LOST, .lost = { .records = 2, .what = "marks", .detail = true } };
	struct sink sink = { 0 };
	struct model *model = model_new(take, &sink);
	struct record_end end = { 0 };

	(void)state;
	assert_non_null(model);
	feed(model, lost);
	feed(model, open_event(1));
	feed(model, lost);
	feed(model, open_event(2));
	feed(model, lost);
	feed(model, detail);
	feed(model, close_of(1, opening));
	assert_int_equal(sink.ledger.lost_events, 10);
	feed(model, close_of(2, opening));
	assert_int_equal(sink.ledger.lost_events, 5);
	model_count(model, &end);
	assert_int_equal(end.lost_events, 15);
	assert_int_equal(end.lost_details, 2);
	model_free(model);
}

static struct event proc_exit(int32_t pid)
{
	return (struct event){ .kind = EVENT_PROC_EXIT, .pid = pid, .tid = pid };
}

/* A process is one however many mms it goes through, also if it never had one of its own; PIDs come again. */
static void test_processes(void **state)
{
	struct event open = open_event(1);
	struct sink sink = { 0 };
	struct model *model = model_new(take, &sink);
	struct record_end end = { 0 };

	(void)state;
	assert_non_null(model);
	feed(model, open);
	open.mm = 2; /* exec */
	feed(model, open);
	feed(model, proc_exit(77)); /* vfork and _exit */
	feed(model, proc_exit(42));
	open.mm = 3; /* the same PID again */
	feed(model, open);
	feed(model, close_of(1, opening));
	feed(model, close_of(2, opening));
	model_count(model, &end);
	assert_int_equal(end.processes, 3);
	assert_int_equal(end.mms, 2);
	feed(model, close_of(3, (struct usage){ 0 }));
	model_count(model, &end);
	assert_int_equal(end.mms, 3);
	assert_int_equal(end.balanced_mms, 2);
	model_free(model);
}

/* What the record function says is what the caller hears; and nothing leaks by it. */
static void test_sink_fails(void **state)
{
	struct event events[] = { open_event(1), row_event(CAUSE_SYSCALL, "brk", (struct usage){ 0 }),
				  mark_event(30, "m"), close_event(opening) };
	struct sink sink = { .fail_with = -ENOSPC };
	struct model *model = model_new(take, &sink);

	(void)state;
	assert_non_null(model);
	for (unsigned int i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		assert_int_equal(model_feed(model, &events[i]), -ENOSPC);
	assert_int_equal(sink.ledgers, 0);
	assert_int_equal(model_open_mms(model), 0);
	model_free(model);
}

static void live_briefly(struct model *model, uint64_t mm)
{
	struct event row = row_event(CAUSE_FAULT, "minor", (struct usage){ .anon = PAGE });
	struct event unmap = call_event("munmap", 0, 64 * PAGE, PAGE, 0, 0);

	row.mm = mm;
	row.pid = (int32_t)mm + 100;
	unmap.mm = mm;
	feed(model, row);
	feed(model, unmap);
}

static void die(struct model *model, uint64_t mm)
{
	struct usage closing = opening;

	closing.anon += PAGE;
	feed(model, exit_event(mm, closing));
	feed(model, proc_exit((int32_t)mm + 100));
	feed(model, close_of(mm, closing));
}

static struct model *with_parent(struct sink *sink)
{
	struct model *model = model_new(take, sink);
	struct event map = call_event("mmap", 64 * PAGE, 0, 4 * PAGE, PROT_READ, MAP_PRIVATE);

	assert_non_null(model);
	feed(model, open_event(1));
	map.change.text = "/lib/x.so";
	feed(model, map);
	return model;
}

/* Short processes one after the other leave nothing behind but counts. */
static void test_many_in_turn(void **state)
{
	struct sink sink = { 0 };
	struct model *model = with_parent(&sink);
	struct record_end end = { 0 };
	size_t before = 0;

	(void)state;
	for (uint64_t mm = 2; mm < 2 + MANY; mm++) {
		feed(model, fork_event(mm, 1));
		live_briefly(model, mm);
		die(model, mm);
		assert_int_equal(model_open_mms(model), 1);
		if (mm == 100)
			before = mallinfo2().uordblks;
	}
	/* 0 under AddressSanitizer, whose own accounting of leaks takes its place. */
	assert_true(mallinfo2().uordblks <= before);
	assert_int_equal(sink.balanced, MANY);
	model_count(model, &end);
	assert_int_equal(end.mms, MANY);
	assert_int_equal(end.balanced_mms, MANY);
	assert_int_equal(end.processes, MANY + 1);
	model_free(model);
}

/* All alive at once, ended in another order than they began. */
static void test_many_at_once(void **state)
{
	struct sink sink = { 0 };
	struct model *model = with_parent(&sink);

	(void)state;
	for (uint64_t i = 0; i < MANY; i++)
		feed(model, fork_event(2 + i, 1 + i));
	assert_int_equal(model_open_mms(model), MANY + 1);
	for (uint64_t i = 0; i < MANY; i++)
		live_briefly(model, 2 + i * 7919 % MANY);
	for (uint64_t i = 0; i < MANY; i++)
		die(model, 2 + i * 4801 % MANY);
	assert_int_equal(sink.balanced, MANY);
	assert_int_equal(model_open_mms(model), 1);
	feed(model, close_of(1, opening));
	assert_int_equal(model_open_mms(model), 0);
	model_free(model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),	     cmocka_unit_test(test_end_of_process),
		cmocka_unit_test(test_unknown_mm),   cmocka_unit_test(test_opened_twice),
		cmocka_unit_test(test_fork),	     cmocka_unit_test(test_seeds),
		cmocka_unit_test(test_lost),	     cmocka_unit_test(test_processes),
		cmocka_unit_test(test_sink_fails),   cmocka_unit_test(test_many_in_turn),
		cmocka_unit_test(test_many_at_once),
	};

	return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
