/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/bpf_decode.h"

#include "event/memcalls.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <cmocka.h>

#define PAGE 4096

/* The events delivered last, their strings copied. */
struct seen {
	struct event events[8];
	char text[8][WIRE_TEXT + 2];
	char name[8][64];
	unsigned int count;
	int answer;
};

static int keep(void *ctx, const struct event *event)
{
	struct seen *seen = ctx;
	const char *text = NULL;

	assert_true(seen->count < 8);
	seen->events[seen->count] = *event;
	if (event->kind == EVENT_CHANGE) {
		text = event->change.text;
		snprintf(seen->name[seen->count], sizeof(seen->name[0]), "%s", event->change.name);
	} else if (event->kind == EVENT_MM_OPEN) {
		text = event->open.image;
	} else if (event->kind == EVENT_VMA) {
		text = event->vma.path;
	} else if (event->kind == EVENT_MARK) {
		text = event->mark.name;
	}
	snprintf(seen->text[seen->count], sizeof(seen->text[0]), "%s", text ? text : "(none)");
	seen->count++;
	return seen->answer;
}

static struct bpf_decode *decode;
static struct seen seen;

static int setup(void **state)
{
	(void)state;
	memset(&seen, 0, sizeof(seen));
	decode = bpf_decode_new(PAGE, keep, &seen);
	return decode ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	bpf_decode_free(decode);
	return 0;
}

static struct wire_head head_of(enum wire_kind kind, enum wire_cause cause)
{
	return (struct wire_head){
		.kind = kind, .cause = cause, .ts_ns = 77, .mm = 5, .pid = 100, .tid = 101, .comm = "worker"
	};
}

static void mmap_is_decoded(void **state)
{
	struct wire_change change = {
		.head = head_of(WIRE_CHANGE, WIRE_SYSCALL),
		.delta = { .virt = 3, .rss = { [WIRE_FILE] = 1, [WIRE_ANON] = 2, [WIRE_SWAP] = -4, [WIRE_SHMEM] = 8 } },
		.args = { 0, 3 * PAGE, 3, 0x22, (u64)-1, 0 },
		.ret = 0x7f0000000000,
		.count = 1,
		.order = 9,
		.nr = SYS_mmap,
		.returned = 1
	};
	const struct event *event = &seen.events[0];

	(void)state;
	assert_int_equal(bpf_decode_record(decode, &change, sizeof(change)), 0);
	assert_int_equal(seen.count, 1);
	assert_int_equal(event->kind, EVENT_CHANGE);
	assert_int_equal(event->ts_ns, 77);
	assert_int_equal(event->pid, 100);
	assert_int_equal(event->tid, 101);
	assert_int_equal(event->mm, 5);
	assert_string_equal(event->comm, "worker");
	assert_int_equal(event->change.cause, CAUSE_SYSCALL);
	assert_string_equal(seen.name[0], "mmap");
	assert_ptr_equal(event->change.call, memcall_by_name("mmap"));
	assert_int_equal(event->change.ret, 0x7f0000000000);
	assert_true(event->change.has_ret);
	assert_true(event->change.attributed);
	assert_int_equal(event->change.args[1], 3 * PAGE);
	assert_int_equal(event->change.delta.virt, 3 * PAGE);
	assert_int_equal(event->change.delta.file, PAGE);
	assert_int_equal(event->change.delta.anon, 2 * PAGE);
	assert_int_equal(event->change.delta.swap, -4 * PAGE);
	assert_int_equal(event->change.delta.shmem, 8 * PAGE);
	assert_int_equal(usage_rss(&event->change.delta), 11 * PAGE);
	assert_int_equal(event->change.order, 9);
}

/* Adds a row of @bytes to @batch, and returns it. */
static struct wire_whole_row *batch_row(struct wire_batch *batch, u32 bytes, enum wire_cause cause, s32 nr)
{
	struct wire_whole_row *row = (void *)(batch->data + batch->bytes);

	row->call.row = (struct wire_row){
		.bytes = (u16)bytes, .cause = (u8)cause, .nr = nr, .ts_ns = 500 + batch->rows, .order = 9, .virt = -2
	};
	batch->bytes += bytes;
	batch->rows++;
	return row;
}

static int batch_decode(const struct wire_batch *batch)
{
	return bpf_decode_record(decode, batch, offsetof(struct wire_batch, data) + batch->bytes);
}

static void a_batch_is_its_rows_in_order(void **state)
{
	struct wire_batch batch = { .head = head_of(WIRE_BATCH, 0) };
	const u32 two_args = sizeof(struct wire_row) + 2 * sizeof(u64);
	struct wire_whole_row *row = batch_row(&batch, two_args, WIRE_SYSCALL, SYS_munmap);
	const struct event *events = seen.events;

	(void)state;
	row->call.row.returned = 1;
	row->call.args[0] = 0x1000;
	row->call.args[1] = 2 * PAGE;
	row = batch_row(&batch, sizeof(*row), WIRE_FAULT_MINOR, -1);
	row->rss[WIRE_ANON] = 3;
	row->call.args[WIRE_FAULT_FIRST] = 0x6000;
	row->call.args[WIRE_FAULT_LAST] = 0x7000;
	row->addr = 0x5000;
	row->len = 3 * PAGE;
	row->count = 3;
	batch_row(&batch, sizeof(struct wire_row), WIRE_SYSCALL, SYS_getpid);
	assert_int_equal(batch_decode(&batch), 0);
	assert_int_equal(seen.count, 3);
	for (u32 i = 0; i < 3; i++) {
		assert_int_equal(events[i].ts_ns, 500 + i);
		assert_int_equal(events[i].tid, 101);
		assert_int_equal(events[i].mm, 5);
		assert_string_equal(events[i].comm, "worker");
		assert_int_equal(events[i].change.order, 9);
		assert_int_equal(events[i].change.delta.virt, -2 * PAGE);
	}
	assert_string_equal(seen.name[0], "munmap");
	assert_true(events[0].change.has_ret);
	assert_int_equal(events[0].change.args[0], 0x1000);
	assert_int_equal(events[0].change.args[1], 2 * PAGE);
	assert_int_equal(events[0].change.count, 1);
	assert_int_equal(usage_rss(&events[0].change.delta), 0);
	assert_int_equal(events[1].change.cause, CAUSE_FAULT);
	assert_int_equal(events[1].change.delta.anon, 3 * PAGE);
	assert_int_equal(events[1].change.addr, 0x5000);
	assert_int_equal(events[1].change.len, 3 * PAGE);
	assert_int_equal(events[1].change.first, 0x6000);
	assert_int_equal(events[1].change.last, 0x7000);
	assert_int_equal(events[1].change.args[0], 0);
	assert_int_equal(events[1].change.count, 3);
	assert_int_equal(events[2].change.first, 0);
	assert_string_equal(seen.name[2], "getpid");
	assert_int_equal(events[2].change.args[0], 0);
}

static void a_batch_that_is_cut_is_refused(void **state)
{
	static const u16 wrong[] = { 0, sizeof(struct wire_row) - 8, sizeof(struct wire_row) + 4,
				     sizeof(struct wire_row) + 7 * sizeof(u64), sizeof(struct wire_whole_row) + 8 };
	struct wire_batch batch = { .head = head_of(WIRE_BATCH, 0) };
	struct wire_whole_row *row = batch_row(&batch, sizeof(*row), WIRE_SYSCALL, SYS_munmap);
	size_t size = offsetof(struct wire_batch, data) + batch.bytes;

	(void)state;
	assert_int_equal(bpf_decode_record(decode, &batch, size - 1), -EBADMSG);
	assert_int_equal(bpf_decode_record(decode, &batch, offsetof(struct wire_batch, data) - 1), -EBADMSG);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		row->call.row.bytes = wrong[i];
		assert_int_equal(bpf_decode_record(decode, &batch, size), -EBADMSG);
	}
	assert_int_equal(seen.count, 0);
}

static void arguments_a_call_lacks_are_zero(void **state)
{
	struct wire_change change = { .head = head_of(WIRE_CHANGE, WIRE_SYSCALL),
				      .args = { 1, 2, 3, 4, 5, 6 },
				      .nr = SYS_munmap,
				      .returned = 1 };

	(void)state;
	assert_int_equal(bpf_decode_record(decode, &change, sizeof(change)), 0);
	assert_int_equal(seen.events[0].change.args[0], 1);
	assert_int_equal(seen.events[0].change.args[1], 2);
	for (int i = 2; i < 6; i++)
		assert_int_equal(seen.events[0].change.args[i], 0);
}

static void path_send(u32 tid, const char *text, u32 len, u32 reversed)
{
	struct wire_path path = { .head = head_of(WIRE_PATH, 0), .text_len = len, .reversed = reversed };

	path.head.tid = tid;
	memcpy(path.text, text, len);
	assert_int_equal(bpf_decode_record(decode, &path, offsetof(struct wire_path, text) + len), 0);
}

static void a_path_goes_to_the_next_row_of_its_thread(void **state)
{
	struct wire_change change = { .head = head_of(WIRE_CHANGE, WIRE_SYSCALL), .nr = SYS_mmap, .returned = 1 };

	(void)state;
	path_send(101, "libc.so.6\0lib\0usr", 18, 1);
	path_send(102, "other\0tmp", 10, 1);
	path_send(101, "libm.so.6\0lib\0usr", 18, 1); /* replaces the first */
	change.nr = SYS_munmap;
	bpf_decode_record(decode, &change, sizeof(change)); /* has no path: leaves it */
	change.nr = SYS_mmap;
	bpf_decode_record(decode, &change, sizeof(change));
	bpf_decode_record(decode, &change, sizeof(change)); /* taken already */
	change.head.tid = 102;
	bpf_decode_record(decode, &change, sizeof(change));
	assert_string_equal(seen.text[0], "(none)");
	assert_string_equal(seen.text[1], "/usr/lib/libm.so.6");
	assert_string_equal(seen.text[2], "(none)");
	assert_string_equal(seen.text[3], "/tmp/other");
}

static void causes_have_their_names(void **state)
{
	static const struct {
		enum wire_cause wire;
		s32 nr;
		enum cause cause;
		const char *name;
		bool attributed;
	} cases[] = {
		{ WIRE_FAULT_MINOR, -1, CAUSE_FAULT, "minor", true },
		{ WIRE_FAULT_MAJOR, -1, CAUSE_FAULT, "major", true },
		{ WIRE_FAULT_STACK, -1, CAUSE_FAULT, "stack", true },
		{ WIRE_KERNEL_FAULT, SYS_read, CAUSE_KERNEL_FAULT, "read", true },
		{ WIRE_KERNEL_FAULT, -1, CAUSE_KERNEL_FAULT, "signal", true },
		{ WIRE_EXIT_FAULT, -1, CAUSE_KERNEL_FAULT, "exit", true },
		{ WIRE_ACTOR, SYS_process_vm_writev, CAUSE_KERNEL, "process_vm_writev", true },
		{ WIRE_ACTOR, -1, CAUSE_KERNEL, "worker", true },
		{ WIRE_RECLAIM, -1, CAUSE_KERNEL, "reclaim", true },
		{ WIRE_IN_FLIGHT, -1, CAUSE_KERNEL, "in flight at attach", true },
		{ WIRE_UNKNOWN, -1, CAUSE_KERNEL, "unattributed", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct wire_change change = { .head = head_of(WIRE_CHANGE, cases[i].wire),
					      .nr = cases[i].nr,
					      .count = 1 };

		seen.count = 0;
		assert_int_equal(bpf_decode_record(decode, &change, sizeof(change)), 0);
		assert_int_equal(bpf_decode_settle(decode), 0);
		assert_int_equal(seen.count, 1);
		assert_int_equal(seen.events[0].change.cause, cases[i].cause);
		assert_string_equal(seen.name[0], cases[i].name);
		assert_int_equal(seen.events[0].change.attributed, cases[i].attributed);
	}
}

static void pages_taken_one_by_one_are_one_row(void **state)
{
	struct wire_change reclaim = {
		.head = head_of(WIRE_CHANGE, WIRE_ACTOR), .delta = { .rss = { [WIRE_ANON] = -1 } }, .count = 1, .nr = -1
	};
	struct wire_change fault = { .head = head_of(WIRE_CHANGE, WIRE_FAULT_MINOR), .count = 1 };
	struct wire_mark mark = { .head = head_of(WIRE_MARK, 0), .text_len = 11, .text = "heaptrace:m" };

	(void)state;
	strcpy(reclaim.head.comm, "kswapd0");
	for (int i = 0; i < 10; i++) {
		assert_int_equal(bpf_decode_record(decode, &reclaim, sizeof(reclaim)), 0);
		if (i == 4)
			assert_int_equal(bpf_decode_record(decode, &fault, sizeof(fault)), 0);
	}
	assert_int_equal(seen.count, 1); /* the fault passed it */
	assert_int_equal(bpf_decode_record(decode, &mark, sizeof(mark)), 0);
	assert_int_equal(seen.count, 3);
	assert_string_equal(seen.name[1], "kswapd0");
	assert_int_equal(seen.events[1].change.delta.anon, -10 * PAGE);
	assert_int_equal(seen.events[1].change.count, 10);
	assert_int_equal(seen.events[2].kind, EVENT_MARK);
	reclaim.head.mm = 6; /* another mm is another row */
	bpf_decode_record(decode, &reclaim, sizeof(reclaim));
	reclaim.head.mm = 5;
	bpf_decode_record(decode, &reclaim, sizeof(reclaim));
	assert_int_equal(bpf_decode_settle(decode), 0);
	assert_int_equal(bpf_decode_settle(decode), 0);
	assert_int_equal(seen.count, 5);
	assert_int_equal(seen.events[3].mm, 6);
	assert_int_equal(seen.events[4].mm, 5);
}

static void an_exec_opens_with_a_row(void **state)
{
	struct wire_open open = { .head = head_of(WIRE_OPEN, 0),
				  .opening = { .virt = 10 },
				  .how = WIRE_HOW_EXEC,
				  .text_len = 9,
				  .text = "true\0bin" };

	(void)state;
	assert_int_equal(bpf_decode_record(decode, &open, sizeof(open)), 0);
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.events[0].kind, EVENT_MM_OPEN);
	assert_int_equal(seen.events[0].open.opening.virt, 10 * PAGE);
	assert_string_equal(seen.text[0], "/bin/true");
	assert_int_equal(seen.events[1].change.cause, CAUSE_EXEC);
	assert_true(usage_is_zero(&seen.events[1].change.delta));
}

static void an_end_is_an_exit_row_and_a_closing(void **state)
{
	struct wire_close close = { .head = head_of(WIRE_CLOSE, 0),
				    .closing = { .virt = 7, .rss = { [WIRE_ANON] = 3 } },
				    .exit = { .virt = -7, .rss = { [WIRE_ANON] = -3 } },
				    .residue = { .rss = { [WIRE_FILE] = 1 } },
				    .spilled = { .virt = 2 },
				    .spilled_rows = 4,
				    .swapped_pages = 6 };

	(void)state;
	assert_int_equal(bpf_decode_record(decode, &close, sizeof(close)), 0);
	assert_int_equal(seen.count, 4);
	assert_string_equal(seen.name[0], "coalesced");
	assert_int_equal(seen.events[0].change.folded, 4);
	assert_int_equal(seen.events[0].change.delta.virt, 2 * PAGE);
	assert_false(seen.events[1].change.attributed);
	assert_int_equal(seen.events[1].change.delta.file, PAGE);
	assert_int_equal(seen.events[2].change.cause, CAUSE_EXIT);
	assert_int_equal(seen.events[2].change.delta.virt, -7 * PAGE);
	assert_int_equal(seen.events[3].kind, EVENT_MM_CLOSE);
	assert_int_equal(seen.events[3].close.closing.anon, 3 * PAGE);
	assert_true(seen.events[3].close.closing_known);
	assert_int_equal(seen.events[3].close.swapped_pages, 6);
}

static void vmas_and_marks(void **state)
{
	struct wire_vma vma = { .head = head_of(WIRE_VMA, 0),
				.start = 0x1000,
				.end = 0x3000,
				.vm_flags = 0x1 | 0x4 | 0x8,
				.vdso = 0x1000 };
	struct wire_mark mark = { .head = head_of(WIRE_MARK, 0), .text_len = 15, .text = "heaptrace:phase" };

	(void)state;
	assert_int_equal(bpf_decode_record(decode, &vma, offsetof(struct wire_vma, text)), 0);
	assert_int_equal(seen.events[0].vma.prot, PROT_READ | PROT_EXEC);
	assert_int_equal(seen.events[0].vma.flags, MAP_SHARED | MAP_ANONYMOUS);
	assert_string_equal(seen.text[0], "[vdso]");
	assert_int_equal(bpf_decode_record(decode, &mark, sizeof(mark)), 0);
	assert_string_equal(seen.text[1], "phase");
	mark.unread = 1;
	assert_int_equal(bpf_decode_record(decode, &mark, sizeof(mark)), 0);
	assert_string_equal(seen.text[2], "(label not in memory)");
}

static void a_fold_is_a_row_with_its_count(void **state)
{
	struct wire_fold_key key = { .mm = 5, .cause = WIRE_SYSCALL, .nr = SYS_munmap };
	struct wire_fold fold = { .delta = { .virt = -100 }, .rows = 50, .count = 50, .pid = 1, .tid = 2 };

	(void)state;
	assert_int_equal(bpf_decode_fold(decode, &key, &fold, 99), 0);
	assert_string_equal(seen.name[0], "munmap");
	assert_int_equal(seen.events[0].change.folded, 50);
	assert_false(seen.events[0].change.has_ret);
	assert_int_equal(seen.events[0].change.delta.virt, -100 * PAGE);
}

static void what_is_no_record_is_refused(void **state)
{
	struct wire_open open = { .head = head_of(WIRE_OPEN, 0), .text_len = WIRE_TEXT };
	struct wire_mark mark = { .head = head_of(WIRE_MARK, 0), .text_len = 5000 };
	struct wire_head head = head_of(WIRE_CHANGE, WIRE_SYSCALL);

	(void)state;
	assert_int_equal(bpf_decode_record(decode, &head, sizeof(head)), -EBADMSG);
	assert_int_equal(bpf_decode_record(decode, &head, 3), -EBADMSG);
	assert_int_equal(bpf_decode_record(decode, &open, offsetof(struct wire_open, text) + 4), -EBADMSG);
	assert_int_equal(bpf_decode_record(decode, &mark, sizeof(mark)), -EBADMSG);
	head.kind = 99;
	assert_int_equal(bpf_decode_record(decode, &head, sizeof(head)), -EBADMSG);
	assert_int_equal(seen.count, 0);
}

static void what_the_taker_says_is_passed_on(void **state)
{
	struct wire_change change = { .head = head_of(WIRE_CHANGE, WIRE_FAULT_MINOR) };

	(void)state;
	seen.answer = -ENOSPC;
	assert_int_equal(bpf_decode_record(decode, &change, sizeof(change)), -ENOSPC);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(mmap_is_decoded),
		CASE(a_batch_is_its_rows_in_order),
		CASE(a_batch_that_is_cut_is_refused),
		CASE(arguments_a_call_lacks_are_zero),
		CASE(a_path_goes_to_the_next_row_of_its_thread),
		CASE(causes_have_their_names),
		CASE(pages_taken_one_by_one_are_one_row),
		CASE(an_exec_opens_with_a_row),
		CASE(an_end_is_an_exit_row_and_a_closing),
		CASE(vmas_and_marks),
		CASE(a_fold_is_a_row_with_its_count),
		CASE(what_is_no_record_is_refused),
		CASE(what_the_taker_says_is_passed_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
