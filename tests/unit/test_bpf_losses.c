/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/bpf_losses.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define EVENTS_MAX 8

struct heard {
	struct event events[EVENTS_MAX];
	unsigned int count;
	int answer;
};

static int hear(void *ctx, const struct event *event)
{
	struct heard *heard = ctx;

	assert_true(heard->count < EVENTS_MAX);
	assert_int_equal(event->kind, EVENT_LOST);
	assert_int_equal(event->ts_ns, 7);
	assert_non_null(event->lost.what);
	heard->events[heard->count++] = *event;
	return heard->answer;
}

static void nothing_lost_nothing_said(void **state)
{
	struct wire_stats stats = { .mms = 3, .processes = 2, .folded_rows = 9, .graves = 1, .dropped_stacks = 4 };
	struct wire_stats told = { 0 };
	struct heard heard = { .count = 0 };

	(void)state;
	assert_int_equal(bpf_losses_tell(&stats, &told, 7, hear, &heard), 0);
	assert_int_equal(heard.count, 0);
}

static void each_loss_is_said_once(void **state)
{
	struct wire_stats stats = { .dropped_info = 5, .buried_mms = 2 }, told = { 0 };
	struct heard heard = { .count = 0 };

	(void)state;
	assert_int_equal(bpf_losses_tell(&stats, &told, 7, hear, &heard), 0);
	assert_int_equal(bpf_losses_tell(&stats, &told, 7, hear, &heard), 0);
	assert_int_equal(heard.count, 2);
	assert_int_equal(heard.events[0].lost.records, 5);
	assert_true(heard.events[0].lost.detail && !heard.events[0].lost.books);
	assert_int_equal(heard.events[1].lost.records, 2);
	assert_true(heard.events[1].lost.books && !heard.events[1].lost.detail);
	stats.buried_mms += 3;
	stats.unwatched_mms = stats.unwatched_tasks = 1;
	assert_int_equal(bpf_losses_tell(&stats, &told, 7, hear, &heard), 0);
	assert_int_equal(heard.count, 5);
	assert_int_equal(heard.events[2].lost.records, 3);
	for (unsigned int i = 2; i < 5; i++)
		assert_true(heard.events[i].lost.books);
}

static void an_error_ends_it(void **state)
{
	struct wire_stats stats = { .dropped_info = 5, .buried_mms = 2 }, told = { 0 };
	struct heard heard = { .answer = -ENOSPC };

	(void)state;
	assert_int_equal(bpf_losses_tell(&stats, &told, 7, hear, &heard), -ENOSPC);
	assert_int_equal(heard.count, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_lost_nothing_said),
		cmocka_unit_test(each_loss_is_said_once),
		cmocka_unit_test(an_error_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
