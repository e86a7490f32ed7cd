/* SPDX-License-Identifier: GPL-2.0-only */
#include "output.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/heaptrace-output-XXXXXX";
static char path[128], link_path[128];

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/file", folder);
	snprintf(link_path, sizeof(link_path), "%s/link", folder);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	unlink(link_path);
	return rmdir(folder);
}

static void write_to(const char *name, const char *text)
{
	struct diag diag = { "" };
	FILE *stream = NULL;

	assert_int_equal(output_open(name, geteuid(), getegid(), &stream, &diag), 0);
	assert_true(fputs(text, stream) >= 0);
	assert_int_equal(output_close(stream), 0);
}

static void a_file_is_made_and_overwritten(void **state)
{
	struct stat stat;

	(void)state;
	write_to(path, "a longer text");
	write_to(path, "short");
	assert_int_equal(lstat(path, &stat), 0);
	assert_int_equal(stat.st_size, 5);
	assert_int_equal(stat.st_uid, geteuid());
}

static void a_new_file_belongs_to_the_user(void **state)
{
	struct diag diag = { "" };
	struct stat stat;
	FILE *stream;

	(void)state;
	if (geteuid())
		skip();
	unlink(path);
	assert_int_equal(output_open(path, 65534, 65533, &stream, &diag), 0);
	assert_int_equal(output_close(stream), 0);
	assert_int_equal(lstat(path, &stat), 0);
	assert_int_equal(stat.st_uid, 65534);
	assert_int_equal(stat.st_gid, 65533);
	unlink(path);
}

static void a_link_is_not_followed(void **state)
{
	struct diag diag = { "" };
	struct stat stat;
	FILE *stream = NULL;

	(void)state;
	write_to(path, "precious");
	assert_int_equal(symlink(path, link_path), 0);
	assert_int_equal(output_open(link_path, geteuid(), getegid(), &stream, &diag), -ELOOP);
	assert_null(stream);
	assert_non_null(strstr(diag.text, "symbolic link"));
	assert_int_equal(lstat(path, &stat), 0);
	assert_int_equal(stat.st_size, 8);
}

static void a_file_of_another_user_is_left_alone(void **state)
{
	struct diag diag = { "" };
	struct stat stat;
	FILE *stream = NULL;

	(void)state;
	if (geteuid())
		skip();
	write_to(path, "bait");
	assert_int_equal(chown(path, 65534, 65534), 0);
	assert_int_equal(output_open(path, 1000, 1000, &stream, &diag), -EPERM);
	assert_non_null(strstr(diag.text, "another user"));
	assert_int_equal(lstat(path, &stat), 0);
	assert_int_equal(stat.st_size, 4);
	assert_int_equal(output_open(path, 65534, 65534, &stream, &diag), 0);
	assert_int_equal(output_close(stream), 0);
	unlink(path);
}

static void what_cannot_be_is_said(void **state)
{
	struct diag missing = { "" }, directory = { "" };
	char none[160];
	FILE *stream = NULL;

	(void)state;
	snprintf(none, sizeof(none), "%s/none/file", folder);
	assert_int_equal(output_open(none, geteuid(), getegid(), &stream, &missing), -ENOENT);
	assert_non_null(strstr(missing.text, "folder does not exist"));
	assert_int_equal(output_open(folder, geteuid(), getegid(), &stream, &directory), -EISDIR);
	assert_non_null(strstr(directory.text, "it is a folder"));
}

static void a_full_disk_is_found_at_the_latest_when_closing(void **state)
{
	struct diag diag = { "" };
	FILE *stream;

	(void)state;
	assert_int_equal(output_open("/dev/full", geteuid(), getegid(), &stream, &diag), 0);
	assert_true(fputs("text", stream) >= 0);
	assert_int_equal(output_close(stream), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_is_made_and_overwritten),
		cmocka_unit_test(a_new_file_belongs_to_the_user),
		cmocka_unit_test(a_link_is_not_followed),
		cmocka_unit_test(a_file_of_another_user_is_left_alone),
		cmocka_unit_test(what_cannot_be_is_said),
		cmocka_unit_test(a_full_disk_is_found_at_the_latest_when_closing),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
