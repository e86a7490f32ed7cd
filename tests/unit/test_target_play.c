/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "target/play.h"

static struct play play;
static char complaint[512];

/* play_parse of the texts up to a NULL; stderr is caught. */
static int parse(const char *first, ...)
{
	char *texts[PLAY_STEPS_MAX + 2];
	int count = 0, ends[2], saved = dup(STDERR_FILENO), err;
	va_list more;
	ssize_t len;

	va_start(more, first);
	for (const char *text = first; text; text = va_arg(more, const char *))
		texts[count++] = (char *)(uintptr_t)text;
	va_end(more);
	assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
	dup2(ends[1], STDERR_FILENO);
	err = play_parse(texts, count, &play);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(ends[1]);
	len = read(ends[0], complaint, sizeof(complaint) - 1);
	close(ends[0]);
	complaint[len > 0 ? len : 0] = '\0';
	return err;
}

static void every_verb(void **state)
{
	(void)state;
	assert_int_equal(parse("alloc a 10 2k", "alloc b 1 3", "free a but 4", "free a", "trim", "sleep 5",
			       "await 1M 7", "thread", NULL),
			 0);
	assert_string_equal(complaint, "");
	assert_int_equal(play.nr_steps, 8);
	assert_int_equal(play.nr_groups, 2);
	assert_int_equal(play.nr_blocks, 11);
	assert_string_equal(play.groups[0].name, "a");
	assert_int_equal(play.groups[0].count, 10);
	assert_int_equal(play.groups[0].size, 2048);
	assert_int_equal(play.steps[1].group, 1);
	assert_int_equal(play.steps[2].verb, PLAY_FREE);
	assert_int_equal(play.steps[2].number, 4);
	assert_int_equal(play.steps[3].number, 0);
	assert_int_equal(play.steps[4].verb, PLAY_TRIM);
	assert_int_equal(play.steps[5].number, 5);
	assert_int_equal(play.steps[6].bytes, 1 << 20);
	assert_int_equal(play.steps[6].number, 7);
	assert_int_equal(play.steps[7].verb, PLAY_THREAD);
	assert_string_equal(play.steps[2].text, "free a but 4");
}

static void what_is_refused(void **state)
{
	static const char *const wrong[] = {
		"",
		" ",
		"nosuch",
		"alloc",
		"alloc a",
		"alloc a 1",
		"alloc a x 1",
		"alloc a 1 1x",
		"alloc a 0 1",
		"alloc a 1 1 1",
		"alloc a 67108865 1",
		"alloc a 18446744073709551615 1",
		"alloc sixteencharacter 1 1",
		"free",
		"free b",
		"trim now",
		"thread 2",
		"sleep",
		"sleep x",
		"sleep 3600001",
		"await",
		"await 1M",
		"await 0 1",
		"await 1M 3601",
		"alloc \"a 1 1",
		"alloc a\\ 1 1",
		"trim\n",
		"alloc a 1 0000000000000000000000000000000000000000000000000001024k",
		"alloc a 1 1 1 1 1 1 1",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(parse(wrong[i], NULL), -EINVAL);
		assert_non_null(strstr(complaint, "play: step 1, '"));
	}
	assert_int_equal(parse("alloc a 1 1", "free a but 0", NULL), -EINVAL);
	assert_int_equal(parse("alloc a 1 1", "free a and 2", NULL), -EINVAL);
	assert_int_equal(parse("alloc a 1 1", "free a but", NULL), -EINVAL);
	assert_int_equal(parse("alloc a 1 1", "alloc a 1 1", NULL), -EINVAL);
	assert_int_equal(parse("alloc a 67108863 1", "alloc b 2 1", NULL), -EINVAL);
	assert_int_equal(parse("thread", "thread", NULL), -EINVAL);
	assert_int_equal(parse(NULL), -EINVAL);
}

static void too_many(void **state)
{
	static char names[PLAY_GROUPS_MAX + 1][24];
	char *texts[PLAY_GROUPS_MAX + 1], *trims[PLAY_STEPS_MAX + 1];

	(void)state;
	for (int i = 0; i <= PLAY_GROUPS_MAX; i++) {
		snprintf(names[i], sizeof(names[i]), "alloc g%d 1 1", i);
		texts[i] = names[i];
	}
	assert_int_equal(play_parse(texts, PLAY_GROUPS_MAX, &play), 0);
	assert_int_equal(play_parse(texts, PLAY_GROUPS_MAX + 1, &play), -EINVAL);
	for (int i = 0; i <= PLAY_STEPS_MAX; i++)
		trims[i] = (char *)(uintptr_t) "trim";
	assert_int_equal(play_parse(trims, PLAY_STEPS_MAX, &play), 0);
	assert_int_equal(play_parse(trims, PLAY_STEPS_MAX + 1, &play), -EINVAL);
}

/* An allocator that tells what was asked of it; its blocks are pages, so that RSS is exact. */
static struct {
	int allocs, frees, fail_at;
	size_t frees_bytes;
	long tid[64];
} seen;

static int seen_init(void)
{
	return 0;
}

static void *seen_alloc(size_t size)
{
	void *block = MAP_FAILED;

	if (++seen.allocs != seen.fail_at)
		block = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return block == MAP_FAILED ? NULL : block;
}

static void seen_free(void *ptr, size_t size)
{
	seen.tid[seen.frees++ % 64] = gettid();
	seen.frees_bytes += size;
	munmap(ptr, size);
}

static const struct allocator seen_allocator = { "seen", "", seen_init, seen_alloc, seen_free };

static void run(void)
{
	memset(&seen, 0, sizeof(seen));
	assert_int_equal(play_run(&seen_allocator, &play), 0);
}

/* By so many blocks of 1 MiB the step left the process larger than at the opening. Half a block is allowed for the rest,
 * and for a sanitizer's shadow of the ten blocks, of which it writes to as much as it likes, 1.25 MiB. */
static void assert_grown(unsigned int step, int64_t blocks)
{
#ifdef __SANITIZE_ADDRESS__
	int64_t shadow = 5 << 18;
#else
	int64_t shadow = 0;
#endif
	int64_t bytes = (int64_t)play.steps[step].reading.anon_bytes - (int64_t)play.opening.anon_bytes;

	assert_true(bytes > (blocks << 20) - (1 << 19));
	assert_true(bytes < (blocks << 20) + (1 << 19) + shadow);
}

static void blocks_come_and_go(void **state)
{
	(void)state;
	assert_int_equal(parse("alloc a 10 1M", "free a but 4", "free a but 4", "free a", "free a", NULL), 0);
	run();
	assert_int_equal(seen.allocs, 10);
	assert_int_equal(seen.frees, 10);
	assert_int_equal(seen.frees_bytes, 10 << 20);
	assert_grown(0, 10);
	/* The 4th and the 8th are left. */
	assert_grown(1, 2);
	assert_grown(2, 2);
	assert_grown(3, 0);
	assert_int_equal(play.steps[4].reading.virt_bytes, play.opening.virt_bytes);
	assert_int_equal(play_failed(&play), 0);
	play_close(&play);
	play_close(&play);
}

static void a_failed_block_is_told(void **state)
{
	(void)state;
	assert_int_equal(parse("alloc a 3 4k", "free a", NULL), 0);
	memset(&seen, 0, sizeof(seen));
	seen.fail_at = 2;
	assert_int_equal(play_run(&seen_allocator, &play), 0);
	assert_int_equal(play.steps[0].err, -ENOMEM);
	assert_int_equal(play.steps[1].err, 0);
	assert_int_equal(seen.frees, 2);
	assert_int_equal(play_failed(&play), 1);
	play_close(&play);
}

static void a_second_thread_goes_on(void **state)
{
	(void)state;
	assert_int_equal(parse("alloc a 2 4k", "free a but 2", "thread", "free a", "sleep 1", NULL), 0);
	run();
	assert_int_equal(seen.frees, 2);
	assert_int_equal(seen.tid[0], getpid());
	assert_int_not_equal(seen.tid[1], getpid());
	assert_int_equal(play.steps[0].tid, getpid());
	assert_int_equal(play.steps[2].tid, seen.tid[1]);
	assert_int_equal(play.steps[4].tid, seen.tid[1]);
	play_close(&play);
}

static void awaiting(void **state)
{
	(void)state;
	assert_int_equal(parse("alloc a 1 1M", "await 1M 0", NULL), 0);
	run();
	assert_int_equal(play.steps[1].err, -ETIMEDOUT);
	play_close(&play);
	/* What has fallen already when the step begins does not count; the player looks at least once. */
	assert_int_equal(parse("alloc a 1 1M", "free a", "await 4k 0", NULL), 0);
	run();
	assert_int_equal(play.steps[2].err, -ETIMEDOUT);
	play_close(&play);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_verb),
		cmocka_unit_test(what_is_refused),
		cmocka_unit_test(too_many),
		cmocka_unit_test(blocks_come_and_go),
		cmocka_unit_test(a_failed_block_is_told),
		cmocka_unit_test(a_second_thread_goes_on),
		cmocka_unit_test(awaiting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
