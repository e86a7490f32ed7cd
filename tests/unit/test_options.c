/* SPDX-License-Identifier: GPL-2.0-only */
#include "options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define ARGS(...) ((char *[]){ (char *)"heaptrace", __VA_ARGS__, NULL })

static int count(char **argv)
{
	int argc = 0;

	while (argv[argc])
		argc++;
	return argc;
}

static struct options parse(char **argv)
{
	struct options options;

	options_parse(count(argv), argv, &options);
	return options;
}

/* Parses in a child, as mistakes end the process. Returns its exit status; what it said goes to @said. */
static int refuse(char **argv, char *said, size_t room)
{
	int out[2], status;
	size_t len = 0;
	ssize_t got;
	pid_t pid;

	assert_int_equal(pipe(out), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		struct options options;

		dup2(out[1], STDERR_FILENO);
		dup2(out[1], STDOUT_FILENO);
		options_parse(count(argv), argv, &options);
		_exit(99);
	}
	close(out[1]);
	while (len + 1 < room && (got = read(out[0], said + len, room - len - 1)) > 0)
		len += (size_t)got;
	said[len] = '\0';
	close(out[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void a_command_keeps_its_own_options(void **state)
{
	struct options options = parse(ARGS("-f", "jsonl", "-o", "out", "--", "ls", "-q", "--root"));

	(void)state;
	assert_int_equal(options.command, COMMAND_WATCH);
	assert_ptr_equal(options.format, report_by_name("jsonl"));
	assert_string_equal(options.output, "out");
	assert_false(options.quiet);
	assert_false(options.keep_root);
	assert_string_equal(options.cmd[0], "ls");
	assert_string_equal(options.cmd[2], "--root");
	assert_null(options.cmd[3]);
	options_free(&options);
}

static void the_dashes_may_be_left_out(void **state)
{
	struct options options = parse(ARGS("-q", "sleep", "-d", "1"));

	(void)state;
	assert_true(options.quiet);
	assert_string_equal(options.cmd[1], "-d");
	assert_true(options.duration_s == 0);
	options_free(&options);
}

static void defaults(void **state)
{
	struct options options = parse(ARGS("true"));

	(void)state;
	assert_true(options.follow);
	assert_null(options.source);
	assert_null(options.output);
	assert_ptr_equal(options.format, &report_text);
	assert_int_equal(options.sample_ms, 0);
	assert_int_equal(options.filter.min_bytes, 0);
	options_free(&options);
}

static void numbers_and_lists(void **state)
{
	struct options options =
		parse(ARGS("-p", "12,345", "-p", "6", "--min", "4k", "--ring=1M", "--sample", "250", "-d", "1.5", "-e",
			   "!mprotect", "--no-follow", "--color=never", "-vv", "-s", "bpf"));

	(void)state;
	assert_int_equal(options.pid_count, 3);
	assert_int_equal(options.pids[1], 345);
	assert_int_equal(options.pids[2], 6);
	assert_int_equal(options.filter.min_bytes, 4096);
	assert_true(options.filter.inverted);
	assert_int_equal(options.ring_bytes, 1 << 20);
	assert_int_equal(options.sample_ms, 250);
	assert_true(options.duration_s == 1.5);
	assert_false(options.follow);
	assert_int_equal(options.color, COLOR_NEVER);
	assert_int_equal(options.verbose, 2);
	assert_ptr_equal(options.source, &source_bpf);
	assert_null(options.cmd);
	options_free(&options);
}

static void the_other_commands(void **state)
{
	struct options report = parse(ARGS("report", "-f", "summary", "file"));
	struct options doctor = parse(ARGS("doctor"));
	struct options watch = parse(ARGS("--", "doctor"));
	struct options later = parse(ARGS("-q", "--", "top", "-b"));

	(void)state;
	assert_int_equal(report.command, COMMAND_REPORT);
	assert_string_equal(report.file, "file");
	assert_int_equal(doctor.command, COMMAND_DOCTOR);
	assert_int_equal(watch.command, COMMAND_WATCH);
	assert_string_equal(watch.cmd[0], "doctor");
	assert_int_equal(later.command, COMMAND_WATCH);
	assert_string_equal(later.cmd[0], "top");
	assert_string_equal(later.cmd[1], "-b");
	options_free(&report);
	options_free(&doctor);
	options_free(&watch);
	options_free(&later);
}

static void mistakes_end_with_2_and_one_line(void **state)
{
	static char *cases[][6] = {
		{ "heaptrace" },
		{ "heaptrace", "-p", "1", "ls" },
		{ "heaptrace", "-p", "0" },
		{ "heaptrace", "-p", "1,x" },
		{ "heaptrace", "-p", "99999999999" },
		{ "heaptrace", "-f", "xml", "ls" },
		{ "heaptrace", "-s", "magic", "ls" },
		{ "heaptrace", "-s", "replay", "ls" },
		{ "heaptrace", "-d", "0", "ls" },
		{ "heaptrace", "-d", "nan", "ls" },
		{ "heaptrace", "--min", "-1", "ls" },
		{ "heaptrace", "--min", "1Q", "ls" },
		{ "heaptrace", "--min", "99999999999999999999", "ls" },
		{ "heaptrace", "--ring", "2G", "ls" },
		{ "heaptrace", "--sample", "0", "ls" },
		{ "heaptrace", "--color", "sometimes", "ls" },
		{ "heaptrace", "-e", "nothing", "ls" },
		{ "heaptrace", "-u", "a", "--root", "ls" },
		{ "heaptrace", "report" },
		{ "heaptrace", "report", "a", "b" },
		{ "heaptrace", "doctor", "x" },
		{ "heaptrace", "explain", "-p", "1" },
		{ "heaptrace", "top", "-p", "1" },
		{ "heaptrace", "diff", "a", "b" },
		{ "heaptrace", "-q", "top" },
		{ "heaptrace", "-p", "1", "top" },
		{ "heaptrace", "-q", "report", "a" },
		{ "heaptrace", "-q", "doctor" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char said[1024];

		int status = refuse(cases[i], said, sizeof(said));

		if (status != EXIT_USAGE)
			print_error("case %zu: %s", i, said);
		assert_int_equal(status, EXIT_USAGE);
		assert_memory_equal(said, "heaptrace: ", 11);
		assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
	}
}

static void help_and_version_end_with_0(void **state)
{
	char said[8192];

	(void)state;
	assert_int_equal(refuse(ARGS("--version"), said, sizeof(said)), 0);
	assert_memory_equal(said, "heaptrace ", 10);
	assert_int_equal(refuse(ARGS("-h"), said, sizeof(said)), 0);
	for (unsigned int i = 0; report_at(i); i++)
		assert_non_null(strstr(said, report_at(i)->help));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_command_keeps_its_own_options),
		cmocka_unit_test(the_dashes_may_be_left_out),
		cmocka_unit_test(defaults),
		cmocka_unit_test(numbers_and_lists),
		cmocka_unit_test(the_other_commands),
		cmocka_unit_test(mistakes_end_with_2_and_one_line),
		cmocka_unit_test(help_and_version_end_with_0),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
