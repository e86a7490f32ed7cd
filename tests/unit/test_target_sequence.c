/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "target/cutoff.h"
#include "target/print.h"
#include "target/sequence.h"

static struct options options;
static size_t page;
static atomic_uint allocs, frees;

/* An allocator that counts, and that has no block of 13 bytes. */
static int fake_init(void)
{
	return 0;
}

static void *fake_alloc(size_t size)
{
	void *ptr;

	if (size == 13) {
		errno = ENOMEM;
		return NULL;
	}
	allocs++;
	ptr = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return ptr == MAP_FAILED ? NULL : ptr;
}

static void fake_free(void *ptr, size_t size)
{
	frees++;
	munmap(ptr, size);
}

static const struct allocator fake = {
	.name = "fake", .help = "", .init = fake_init, .alloc = fake_alloc, .free = fake_free
};

static int set_up(void **state)
{
	(void)state;
	page = (size_t)sysconf(_SC_PAGESIZE);
	memset(&options, 0, sizeof(options));
	options.allocator = &fake;
	options.order = ORDER_GIVEN;
	options.rounds = options.threads = 1;
	options.touch_ppm = OPTIONS_PPM;
	options.sizes[0] = 64 * page;
	options.sizes[1] = 16 * page;
	options.nr_sizes = 2;
	allocs = frees = 0;
	return 0;
}

static void check_name(const struct block *block, unsigned int index, const char *name)
{
	struct mark mark;

	sequence_mark(&options, block, index, &mark);
	assert_string_equal(mark_name(&mark), name);
}

/* Readings are those of the kernel: a mapping adds its length to VIRT, touching it its length to RSS. */
static void one_thread(void **state)
{
	struct sequence sequence;

	(void)state;
	assert_int_equal(sequence_run(&options, NULL, NULL, &sequence), 0);
	assert_int_equal(sequence.nr_blocks, 2);
	assert_int_equal(sequence.nr_failed + sequence.nr_kept + sequence.nr_skipped + sequence.nr_untouched, 0);
	for (size_t i = 0; i < 2; i++) {
		const struct block *block = &sequence.blocks[i];
		const struct block_mark *marks = block->marks;

		assert_int_equal(block->size, options.sizes[i]);
		assert_int_equal(block->outcome, OUTCOME_FREED);
		assert_int_equal(block->touched_bytes, block->size);
		assert_int_equal(block->tid, getpid());
		assert_int_equal(block->nr_marks, 4);
		assert_int_equal(marks[1].reading.virt_bytes - marks[0].reading.virt_bytes, block->size);
		assert_int_equal(marks[2].reading.virt_bytes, marks[1].reading.virt_bytes);
		assert_true(marks[2].reading.rss_bytes - marks[1].reading.rss_bytes >= block->size);
		assert_int_equal(marks[3].reading.virt_bytes, marks[0].reading.virt_bytes);
		assert_int_equal(marks[2].reading.rss_bytes - marks[3].reading.rss_bytes, block->size);
	}
	assert_int_equal(allocs, 2);
	assert_int_equal(frees, 2);
	sequence_close(&sequence);
	sequence_close(&sequence);
}

static void touch_none_and_part(void **state)
{
	struct sequence sequence;

	(void)state;
	options.touch_ppm = 0;
	assert_int_equal(sequence_run(&options, NULL, NULL, &sequence), 0);
	assert_int_equal(sequence.blocks[0].touched_bytes, 0);
	assert_int_equal(sequence.blocks[0].marks[2].reading.rss_bytes, sequence.blocks[0].marks[1].reading.rss_bytes);
	sequence_close(&sequence);
	options.touch_ppm = 250000;
	assert_int_equal(sequence_run(&options, NULL, NULL, &sequence), 0);
	assert_int_equal(sequence.blocks[0].touched_bytes, 16 * page);
	assert_int_equal(sequence.blocks[0].marks[2].reading.rss_bytes - sequence.blocks[0].marks[3].reading.rss_bytes,
			 16 * page);
	sequence_close(&sequence);
}

static unsigned int done_calls;

static void count_done(void *ctx, const struct sequence *sequence, const struct block *blocks)
{
	assert_ptr_equal(ctx, &done_calls);
	assert_ptr_equal(blocks, &sequence->blocks[(size_t)done_calls * options.threads]);
	for (unsigned int i = 0; i < options.threads; i++)
		assert_int_equal(blocks[i].thread, i + 1);
	done_calls++;
}

/* In step: at one step every thread reads the same, and all blocks of the step are there. */
static void threads_in_step(void **state)
{
	struct sequence sequence;

	(void)state;
	options.threads = 4;
	options.rounds = 3;
	done_calls = 0;
	assert_int_equal(sequence_run(&options, count_done, &done_calls, &sequence), 0);
	assert_int_equal(done_calls, 6);
	assert_int_equal(sequence.nr_blocks, 24);
	for (size_t i = 0; i < 24; i += 4) {
		const struct block *blocks = &sequence.blocks[i];
		const struct block_mark *first = blocks[0].marks;

		for (size_t thread = 1; thread < 4; thread++) {
			assert_int_not_equal(blocks[thread].tid, blocks[0].tid);
			for (unsigned int step = 0; step < 4; step++)
				assert_memory_equal(&blocks[thread].marks[step].reading, &first[step].reading,
						    sizeof(struct reading));
		}
		assert_int_equal(first[1].reading.virt_bytes - first[0].reading.virt_bytes, 4 * blocks[0].size);
		assert_int_equal(first[2].reading.virt_bytes - first[3].reading.virt_bytes, 4 * blocks[0].size);
	}
	check_name(&sequence.blocks[23], 3, "free 65536 #3 @4");
	assert_int_equal(allocs, 24);
	assert_int_equal(frees, 24);
	sequence_close(&sequence);
}

static void kept_failed_and_trimmed(void **state)
{
	struct sequence sequence;
	const struct block *blocks;

	(void)state;
	options.sizes[0] = 13;
	options.sizes[1] = page;
	options.sizes[2] = 2 * page;
	options.nr_sizes = 3;
	options.keep = 2;
	options.trim = true;
	assert_int_equal(sequence_run(&options, NULL, NULL, &sequence), 0);
	blocks = sequence.blocks;
	assert_int_equal(blocks[0].outcome, OUTCOME_FAILED);
	assert_int_equal(blocks[0].error, ENOMEM);
	assert_int_equal(blocks[0].nr_marks, 2);
	assert_int_equal(blocks[1].outcome, OUTCOME_KEPT);
	check_name(&blocks[1], 3, page == 4096 ? "keep 4096" : "keep 65536");
	assert_int_equal(blocks[1].marks[3].reading.virt_bytes - blocks[1].marks[0].reading.virt_bytes, page);
	assert_int_equal(blocks[2].outcome, OUTCOME_FREED);
	assert_int_equal(blocks[2].nr_marks, 5);
	assert_int_equal(blocks[2].marks[4].step, STEP_TRIM);
	assert_int_equal(sequence.nr_failed, 1);
	assert_int_equal(sequence.nr_kept, 1);
	assert_int_equal(frees, 1);
	sequence_close(&sequence);
	/* The same failure of a size that nobody asked for by name, on a machine that cannot have it, is a skip. */
	options.default_sizes = true;
	options.sizes[0] = 13;
	assert_int_equal(sequence_run(&options, NULL, NULL, &sequence), 0);
	assert_int_equal(sequence.blocks[0].outcome, OUTCOME_FAILED); /* 13 bytes are not more than the machine has */
	sequence_close(&sequence);
}

static void too_many_readings(void **state)
{
	struct sequence sequence;

	(void)state;
	options.rounds = 1000000;
	options.threads = OPTIONS_THREADS_MAX;
	assert_int_equal(sequence_run(&options, NULL, NULL, &sequence), -E2BIG);
	sequence_close(&sequence);
}

/* A sequence by hand, for the printers. */
static void make_sequence(struct sequence *sequence, struct block *blocks)
{
	static const enum step steps[] = { STEP_BEFORE, STEP_ALLOC, STEP_TOUCH, STEP_FREE };
	static const unsigned int kb[4][2] = { { 100, 50 }, { 2152, 52 }, { 2152, 2100 }, { 100, 52 } };

	memset(sequence, 0, sizeof(*sequence));
	memset(blocks, 0, 2 * sizeof(*blocks));
	sequence->options = &options;
	sequence->blocks = blocks;
	sequence->nr_blocks = 2;
	sequence->nr_failed = 1;
	sequence->opening = (struct reading){
		.virt_bytes = 102400, .rss_bytes = 51200, .anon_bytes = READING_UNKNOWN, .swap_bytes = 0
	};
	sequence->closing = sequence->opening;
	sequence->closing.rss_bytes += 2048;
	blocks[0] = (struct block){ .size = 2 << 20,
				    .round = 1,
				    .thread = 1,
				    .tid = 7,
				    .addr = 4096,
				    .touched_bytes = 2 << 20,
				    .available_bytes = UINT64_MAX,
				    .nr_marks = 4 };
	for (size_t i = 0; i < 4; i++) {
		blocks[0].marks[i].step = steps[i];
		blocks[0].marks[i].reading.virt_bytes = kb[i][0] * 1024;
		blocks[0].marks[i].reading.rss_bytes = kb[i][1] * 1024;
	}
	blocks[1] = (struct block){ .size = 13,
				    .round = 1,
				    .thread = 1,
				    .tid = 7,
				    .outcome = OUTCOME_FAILED,
				    .error = ENOMEM,
				    .available_bytes = UINT64_MAX,
				    .nr_marks = 1 };
}

/* What @print writes, in a static buffer. */
static const char *printed(void (*print)(struct out *out, const struct sequence *sequence))
{
	static struct sequence sequence;
	static struct block blocks[2];
	static struct out out;
	static char text[8192];
	int ends[2];
	ssize_t len;

	make_sequence(&sequence, blocks);
	assert_int_equal(pipe(ends), 0);
	out = (struct out){ .fd = ends[1] };
	print(&out, &sequence);
	assert_int_equal(out_flush(&out), 0);
	close(ends[1]);
	len = read(ends[0], text, sizeof(text) - 1);
	close(ends[0]);
	assert_true(len > 0);
	text[len] = '\0';
	return text;
}

static void print_text(struct out *out, const struct sequence *sequence)
{
	print_text_blocks(out, sequence, &sequence->blocks[0]);
	print_text_blocks(out, sequence, &sequence->blocks[1]);
	print_text_foot(out, sequence);
}

static void tables(void **state)
{
	(void)state;
	assert_string_equal(printed(print_text), "\n"
						 "2 MiB = 1048576 elements of 2 bytes\n"
						 "                         virtual          physical\n"
						 "before                    100 kB             50 kB\n"
						 "during                   2152 kB           2100 kB\n"
						 "after                     100 kB             52 kB\n"
						 "allocation              +2052 kB          +2050 kB\n"
						 "deallocation            -2052 kB          -2048 kB\n"
						 "\n"
						 "13 bytes\n"
						 "cannot be had: Cannot allocate memory\n"
						 "\n"
						 "the whole: 2 blocks, 1 failed\n"
						 "                         virtual          physical\n"
						 "opening                   100 kB             50 kB\n"
						 "closing                   100 kB             52 kB\n"
						 "difference                  0 kB             +2 kB\n");
}

static void json(void **state)
{
	const char *text = printed(print_json);

	(void)state;
	assert_non_null(strstr(text, "\"alloc\":\"fake\",\"order\":\"given\",\"seed\":0,\"rounds\":1,\"keep\":0,"));
	assert_non_null(strstr(text, "{\"size\":2097152,\"round\":1,\"thread\":1,\"outcome\":\"freed\",\"errno\":0,"
				     "\"addr\":4096,\"touched\":2097152,\"available\":null},\n"));
	assert_non_null(
		strstr(text, "\"outcome\":\"failed\",\"errno\":12,\"addr\":0,\"touched\":0,\"available\":null}],\n"));
	assert_non_null(strstr(text, "\"marks\":[\n{\"name\":\"opening\",\"virt\":102400,\"rss\":51200,\"anon\":null,"
				     "\"file\":0,\"shmem\":0,\"swap\":0,"));
	assert_non_null(strstr(text,
			       "{\"name\":\"touch 2097152\",\"virt\":2203648,\"rss\":2150400,\"anon\":0,\"file\":0,"
			       "\"shmem\":0,\"swap\":0,\"tid\":7,\"step\":\"touch\",\"size\":2097152,\"round\":1,"
			       "\"thread\":1},\n"));
	assert_non_null(strstr(text, "}],\n\"failed\":1,\"skipped\":0,\"untouched\":0,\"kept\":0}\n"));
}

static void sizes_in_words(void **state)
{
	char text[PRINT_SIZE_BYTES];

	(void)state;
	print_size(0, text);
	assert_string_equal(text, "0 bytes");
	print_size(1023, text);
	assert_string_equal(text, "1023 bytes");
	print_size(204800, text);
	assert_string_equal(text, "200 KiB");
	print_size((size_t)2 << 30, text);
	assert_string_equal(text, "2 GiB");
	print_size((size_t)2048 << 40, text);
	assert_string_equal(text, "2048 TiB");
	print_size(SIZE_MAX, text);
	assert_string_equal(text, "18446744073709551615 bytes");
}

/* Gives blocks of 12345 bytes and more back, and keeps smaller ones, whatever came before. */
static void cutoff_free(void *ptr, size_t size)
{
	if (size >= 12345)
		munmap(ptr, size);
}

static void cutoff_is_exact(void **state)
{
	struct allocator keeper = fake;
	struct cutoff cutoff;

	(void)state;
	keeper.free = cutoff_free;
	options.allocator = &keeper;
	options.max_bytes = 100000;
	assert_int_equal(cutoff_find(&options, 50000, &cutoff), 0);
	assert_int_equal(cutoff.size, 12345);
	assert_int_equal(cutoff.given.size, 12345);
	assert_true(cutoff_returned_bytes(&cutoff.given) >= 12345);
	assert_int_equal(cutoff.kept.size, 12344);
	assert_int_equal(cutoff_returned_bytes(&cutoff.kept), 0);
	assert_false(cutoff.given.in_heap);
	options.max_bytes = 12344;
	assert_int_equal(cutoff_find(&options, 0, &cutoff), 0);
	assert_int_equal(cutoff.size, 0);
	assert_int_equal(cutoff.kept.size, 12344);
	options.allocator = &fake;
	assert_int_equal(cutoff_find(&options, 0, &cutoff), 0);
	assert_int_equal(cutoff.size, 1);
	assert_int_equal(cutoff.kept.size, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(one_thread, set_up),
		cmocka_unit_test_setup(touch_none_and_part, set_up),
		cmocka_unit_test_setup(threads_in_step, set_up),
		cmocka_unit_test_setup(kept_failed_and_trimmed, set_up),
		cmocka_unit_test_setup(too_many_readings, set_up),
		cmocka_unit_test_setup(tables, set_up),
		cmocka_unit_test_setup(json, set_up),
		cmocka_unit_test_setup(sizes_in_words, set_up),
		cmocka_unit_test_setup(cutoff_is_exact, set_up),
	};

	return cmocka_run_group_tests_name("target_sequence", tests, NULL, NULL);
}
