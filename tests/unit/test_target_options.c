/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "target/mark.h"
#include "target/options.h"
#include "target/out.h"

static struct options options;
static char complaint[2048]; /* what options_parse has said on stderr */

/* The words of @line as command line; stderr is caught. */
static int parse(const char *line)
{
	static char words[512];
	char *argv[32] = { "target" };
	int argc = 1, ends[2], saved, err;
	ssize_t len;

	snprintf(words, sizeof(words), "%s", line);
	for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	optind = 0; /* glibc and musl: begin anew */
	saved = dup(STDERR_FILENO);
	assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
	dup2(ends[1], STDERR_FILENO);
	err = options_parse(argc, argv, &options);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(ends[1]);
	len = read(ends[0], complaint, sizeof(complaint) - 1);
	close(ends[0]);
	assert_true(len >= 0);
	complaint[len] = '\0';
	return err;
}

static void defaults(void **state)
{
	(void)state;
	assert_int_equal(parse(""), 0);
	assert_int_equal(options.command, COMMAND_RUN);
	assert_string_equal(options.allocator->name, "malloc");
	assert_int_equal(options.nr_sizes, 7);
	assert_int_equal(options.sizes[0], 1024 * 2);
	assert_int_equal(options.sizes[6], (size_t)1024 * 1024 * 1024 * 2);
	assert_true(options.default_sizes);
	assert_int_equal(options.order, ORDER_SHUFFLED);
	assert_false(options.has_seed);
	assert_int_equal(options.rounds, 1);
	assert_int_equal(options.threads, 1);
	assert_int_equal(options.keep, 0);
	assert_int_equal(options.touch_ppm, OPTIONS_PPM);
	assert_string_equal(complaint, "");
}

static void all_options(void **state)
{
	(void)state;
	assert_int_equal(
		parse("--alloc operator --sizes 1k,2M --order given --seed 0x10 --rounds 3 --keep 2 --touch 0.25 "
		      "--threads 4 --mallopt mmap_threshold=64k --mallopt trim_threshold=-1 --trim --json"),
		0);
	assert_string_equal(options.allocator->name, "operator");
	assert_int_equal(options.nr_sizes, 2);
	assert_int_equal(options.sizes[1], 2 << 20);
	assert_false(options.default_sizes);
	assert_int_equal(options.order, ORDER_GIVEN);
	assert_true(options.has_seed);
	assert_int_equal(options.seed, 16);
	assert_int_equal(options.rounds, 3);
	assert_int_equal(options.keep, 2);
	assert_int_equal(options.touch_ppm, 250000);
	assert_int_equal(options.threads, 4);
	assert_int_equal(options.nr_tunes, 2);
	assert_string_equal(options.tunes[0].name, "mmap_threshold");
	assert_int_equal(options.tunes[0].value, 65536);
	assert_int_equal(options.tunes[1].value, -1);
	assert_true(options.trim && options.json);
}

static void commands(void **state)
{
	(void)state;
	assert_int_equal(parse("cutoff --alloc mmap --large 1M --max 2M"), 0);
	assert_int_equal(options.command, COMMAND_CUTOFF);
	assert_int_equal(options.large_bytes, 1 << 20);
	assert_int_equal(options.max_bytes, 2 << 20);
	assert_int_equal(parse("--alloc mmap cutoff"), 0);
	assert_int_equal(options.command, COMMAND_CUTOFF);
	assert_int_equal(parse("--list"), 0);
	assert_int_equal(options.command, COMMAND_LIST);
	assert_int_equal(parse("cutoff --help"), 0);
	assert_int_equal(options.command, COMMAND_HELP);
}

/* Each is refused, with one line that names what is wrong. */
static void refusals(void **state)
{
	static const char *const cases[][2] = {
		{ "--sizes 2x", "2x" },
		{ "--sizes 99999999999999999999", "range" },
		{ "--alloc nosuch", "nosuch" },
		{ "--order up", "up" },
		{ "--seed -1", "-1" },
		{ "--rounds 0", "rounds" },
		{ "--rounds many", "many" },
		{ "--threads 1025", "1024" },
		{ "--touch 2", "'2'" },
		{ "--mallopt mmap_threshold", "mmap_threshold" },
		{ "--mallopt nosuch=1", "nosuch" },
		{ "--mallopt top_pad=1T", "top_pad" },
		{ "--large 0", "large" },
		{ "--nosuch", "nosuch" },
		{ "--sizes", "sizes" },
		{ "nosuch", "nosuch" },
		{ "cutoff more", "cutoff" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(parse(cases[i][0]), -EINVAL);
		assert_non_null(strstr(complaint, cases[i][1]));
		assert_ptr_equal(strchr(complaint, '\n'), complaint + strlen(complaint) - 1);
	}
}

static void terminals_are_safe(void **state)
{
	(void)state;
	assert_int_equal(parse("--alloc \033[31m\a"), -EINVAL);
	assert_non_null(strstr(complaint, "'?[31m?'"));
}

static void help_names_every_allocator_option(void **state)
{
	const char *help = options_help();

	(void)state;
	for (size_t i = 0; tune_name(i); i++)
		assert_non_null(strstr(help, tune_name(i)));
	assert_ptr_equal(alloc_by_name("malloc"), alloc_by_index(0));
	assert_null(alloc_by_name(""));
	assert_null(alloc_by_index(1000));
}

static void marks(void **state)
{
	struct mark mark;

	(void)state;
	mark_make(&mark, "before", 2048, 0, 0);
	assert_string_equal(mark.text, "heaptrace:before 2048");
	assert_int_equal(mark.len, strlen(mark.text));
	assert_string_equal(mark_name(&mark), "before 2048");
	mark_make(&mark, "before", SIZE_MAX, UINT32_MAX, UINT32_MAX);
	assert_string_equal(mark_name(&mark), "before 18446744073709551615 #4294967295 @4294967295");
	assert_true(mark.len < MARK_BYTES);
	mark_make_word(&mark, "opening");
	assert_string_equal(mark.text, "heaptrace:opening");
	errno = 0;
	mark_send(&mark);
	assert_int_equal(errno, EBADF);
}

/* More than the buffer holds arrives whole, and an error stays. */
static void output(void **state)
{
	static struct out out;
	static char text[3 * OUT_BYTES];
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	out = (struct out){ .fd = ends[1] };
	for (int i = 0; i < 2000; i++)
		out_printf(&out, "%08d\n", i);
	assert_int_equal(out_flush(&out), 0);
	close(ends[1]);
	assert_int_equal(read(ends[0], text, sizeof(text)), 2000 * 9);
	for (int i = 0; i < 2000; i++) {
		char line[16];

		snprintf(line, sizeof(line), "%08d\n", i);
		assert_memory_equal(text + 9L * i, line, 9);
	}
	close(ends[0]);
	out = (struct out){ .fd = open("/dev/full", O_WRONLY) };
	out_printf(&out, "lost");
	assert_int_equal(out_flush(&out), -ENOSPC);
	assert_int_equal(out_flush(&out), -ENOSPC);
	close(out.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(all_options),
		cmocka_unit_test(commands),
		cmocka_unit_test(refusals),
		cmocka_unit_test(terminals_are_safe),
		cmocka_unit_test(help_names_every_allocator_option),
		cmocka_unit_test(marks),
		cmocka_unit_test(output),
	};

	return cmocka_run_group_tests_name("target_options", tests, NULL, NULL);
}
