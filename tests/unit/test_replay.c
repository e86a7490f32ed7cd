/* SPDX-License-Identifier: GPL-2.0-only */
/* Recordings in tests/replay/ become outputs that are compared byte by byte with the files beside them:
 *
 *   NAME.events  ->  NAME.text.expect, NAME.verbose.expect, ... for each of @outputs, and NAME.events itself
 *
 * REPLAY_UPDATE=1 in the environment writes the expectations anew; read what changed before it is committed. */
#include "replay_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#define DIR "tests/replay/"

static const char *const names[] = { "experiment", "children", "attach", "unbalanced", "hostile", "callers" };

static const struct {
	const char *format, *suffix;
	struct report_options options;
} outputs[] = {
	{ "text", "text.expect", { .quiet = false } },	     { "text", "verbose.expect", { .verbose = 1 } },
	{ "text", "quiet.expect", { .quiet = true } },	     { "text", "color.expect", { .color = true } },
	{ "summary", "summary.expect", { .quiet = false } }, { "jsonl", "jsonl.expect", { .quiet = false } },
	{ "folded", "folded.expect", { .quiet = false } },   { "text", "narrow.expect", { .columns = 120 } },
	{ "recording", "events", { .quiet = false } },
};

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_not_equal(fputs(text, file), EOF);
	assert_int_equal(fclose(file), 0);
}

static void check_output(const char *name, unsigned int output)
{
	struct diag diag = { { 0 } };
	char events[128], path[128];
	char *got, *expected;
	int said = 0;

	snprintf(events, sizeof(events), DIR "%s.events", name);
	snprintf(path, sizeof(path), DIR "%s.%s", name, outputs[output].suffix);
	got = replay_run_text(events, outputs[output].format, outputs[output].options, &said, &diag);
	assert_string_equal(diag.text, "");
	assert_int_equal(said, -ENODATA);
	assert_non_null(got);
	if (getenv("REPLAY_UPDATE") && strcmp(outputs[output].suffix, "events") != 0)
		write_file(path, got);
	expected = replay_run_slurp(path);
	assert_non_null(expected);
	assert_string_equal(got, expected);
	free(expected);
	free(got);
}

static void test_outputs(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		for (unsigned int j = 0; j < sizeof(outputs) / sizeof(outputs[0]); j++)
			check_output(names[i], j);
	}
}

static const char header[] =
	"heaptrace-recording 1 heaptrace=1 source=bpf caps=7 page_size=4096 start_ns=5 start_realtime_ns=6\n";

/* Writes @text to a file of its own, whose name goes to @path. */
static void make_file(const char *text, char path[static 64])
{
	size_t len = strlen(text);
	int fd;

	strcpy(path, "/tmp/heaptrace-replay-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	close(fd);
}

struct bad_recording {
	const char *text;     /* what follows the header */
	int said;	      /* by the last poll, or by open */
	const char *expected; /* reason, behind the name of the file */
};

#define TS "ts=1 pid=1 tid=1 "

static const struct bad_recording bad_recordings[] = {
	{ "", -EPIPE, " is truncated: it ends after line 1 without an end line" },
	{ "mark " TS "name=a\nmark " TS "na", -EPIPE, " is truncated: it ends after line 2 without an end line" },
	{ "end ts=1", -EPIPE, " is truncated: it ends after line 1 without an end line" },
	{ "end ts=1\nmark " TS "name=a\n", -EBADMSG, ":3: text after the end line" },
	{ "end ts=1\nx", -EBADMSG, ":2: text after the end line" },
	{ "end\n", -EBADMSG, ":2: the last line lacks a key" },
	{ "end ts=1 code=1\n", -EBADMSG, ":2: the last line lacks a key" },
	{ "end ts=1 code=1 signal=x\n", -EBADMSG, ":2: a value that is wrong: \"signal\"" },
	{ "end ts=1 ts=1\n", -EBADMSG, ":2: an unknown key, or one that stands twice: \"ts\"" },
	{ "\n", -EBADMSG, ":2: this is no line of a recording" },
	{ "nonsense\n", -EBADMSG, ":2: an unknown kind of line: \"nonsense\"" },
	{ "heaptrace-recording 1\n", -EBADMSG, ":2: an unknown kind of line: \"heaptrace-recording\"" },
	{ "mark=1 " TS "name=a\n", -EBADMSG, ":2: this is no line of a recording" },
	{ "mark " TS "name=a\nmark " TS "\n", -EBADMSG, ":3: an empty word" },
	{ "mark " TS " name=a\n", -EBADMSG, ":2: an empty word" },
	{ "mark " TS "\n", -EBADMSG, ":2: an empty word" },
	{ "mark ts=1 pid=1 tid=1\n", -EBADMSG, ":2: a key is missing: \"name\"" },
	{ "mark pid=1 tid=1 name=a\n", -EBADMSG, ":2: a key is missing: \"ts\"" },
	{ "mark " TS "name=a name=b\n", -EBADMSG, ":2: a key that stands twice: \"name\"" },
	{ "mark " TS "name\n", -EBADMSG, ":2: a key without a value: \"name\"" },
	{ "mark " TS "name=a color=red\n", -EBADMSG, ":2: an unknown key: \"color\"" },
	{ "mark " TS "name=%zz\n", -EBADMSG, ":2: a value that is wrong: \"name\"" },
	{ "mark " TS "name=a=b\n", -EBADMSG, ":2: a value that is wrong: \"name\"" },
	{ "mark " TS "name=\xff\n", -EBADMSG, ":2: a value that is wrong: \"name\"" },
	{ "mark " TS "comm=1234567890123456 name=a\n", -EBADMSG, ":2: a value that is wrong: \"comm\"" },
	{ "mark ts=1 pid=-1 tid=1 name=a\n", -EBADMSG, ":2: a negative process or thread id" },
	{ "mark ts=1 pid=2147483648 tid=1 name=a\n", -EBADMSG, ":2: a value that is wrong: \"pid\"" },
	{ "mark ts=18446744073709551616 pid=1 tid=1 name=a\n", -EBADMSG, ":2: a value that is wrong: \"ts\"" },
	{ "mark ts=0x pid=1 tid=1 name=a\n", -EBADMSG, ":2: a value that is wrong: \"ts\"" },
	{ "mark ts=1f pid=1 tid=1 name=a\n", -EBADMSG, ":2: a value that is wrong: \"ts\"" },
	{ "mark ts= pid=1 tid=1 name=a\n", -EBADMSG, ":2: a value that is wrong: \"ts\"" },
	{ "change " TS "name=a\n", -EBADMSG, ":2: a key is missing: \"cause\"" },
	{ "change " TS "cause=love name=a\n", -EBADMSG, ":2: a value that is wrong: \"cause\"" },
	{ "change " TS "cause=exit name=a call=read\n", -EBADMSG, ":2: a value that is wrong: \"call\"" },
	{ "change " TS "cause=exit name=a args=1,2,3,4,5,6,7\n", -EBADMSG, ":2: a value that is wrong: \"args\"" },
	{ "change " TS "cause=exit name=a args=1,,3\n", -EBADMSG, ":2: a value that is wrong: \"args\"" },
	{ "change " TS "cause=exit name=a unattributed=0\n", -EBADMSG, ":2: a value that is wrong: \"unattributed\"" },
	{ "change " TS "cause=exit name=a delta=1,2,3,4\n", -EBADMSG, ":2: a value that is wrong: \"delta\"" },
	{ "change " TS "cause=exit name=a delta=1,2,3,4,5,6\n", -EBADMSG, ":2: a value that is wrong: \"delta\"" },
	{ "change " TS "cause=exit name=a delta=0x7fffffffffffffff,0,0,0,0\n", -ERANGE,
	  ":2: sizes that are too large" },
	{ "change " TS "cause=exit name=a delta=0,-9223372036854775808,0,0,0\n", -ERANGE,
	  ":2: sizes that are too large" },
	{ "change " TS "cause=exit name=a delta=0,-9223372036854775809,0,0,0\n", -EBADMSG,
	  ":2: a value that is wrong: \"delta\"" },
	{ "change " TS "cause=exit name=a frame=1,2,a,b,c,3\n", -EBADMSG, ":2: a value that is wrong: \"frame\"" },
	{ "change " TS "cause=exit name=a frame=1,2,a,b,c,3,4\n", -EBADMSG, ":2: a value that is wrong: \"frame\"" },
	{ "change " TS "cause=exit name=a stack=1\n", -EBADMSG, ":2: a call chain that no line has, or two of them" },
	{ "change " TS "cause=exit name=a stack=0\n", -EBADMSG, ":2: a value that is wrong: \"stack\"" },
	{ "stack id=1 frame=1,2,a,b,c,3,0\nchange " TS "cause=exit name=a stack=1 frame=1,2,a,b,c,3,0\n", -EBADMSG,
	  ":3: a call chain that no line has, or two of them" },
	{ "stack id=1\n", -EBADMSG, ":2: a call chain without frames, or whose number is not the next" },
	{ "stack frame=1,2,a,b,c,3,0\n", -EBADMSG, ":2: a call chain without frames, or whose number is not the next" },
	{ "stack id=2 frame=1,2,a,b,c,3,0\n", -EBADMSG,
	  ":2: a call chain without frames, or whose number is not the next" },
	{ "stack id=65537 frame=1,2,a,b,c,3,0\n", -EBADMSG, ":2: a value that is wrong: \"id\"" },
	{ "stack id=1 id=1 frame=1,2,a,b,c,3,0\n", -EBADMSG, ":2: an unknown key, or one that stands twice: \"id\"" },
	{ "stack id=1 frame\n", -EBADMSG, ":2: a key without a value: \"frame\"" },
	{ "stack id=1 frame=1,2,a,b,c,3,0 frame=1\n", -EBADMSG, ":2: a value that is wrong: \"frame\"" },
	/* Number 1 anew: number 2 is forgotten. */
	{ "stack id=1 frame=1,2,a,b,c,3,0\nstack id=2 frame=1,2,a,b,c,3,0\nstack id=1 frame=1,2,a,b,c,3,0\nchange " TS
	  "cause=exit name=a stack=2\n",
	  -EBADMSG, ":5: a call chain that no line has, or two of them" },
	{ "change " TS "cause=exit name=a frame=1,2,a,b,c,4294967296,0\n", -EBADMSG,
	  ":2: a value that is wrong: \"frame\"" },
	{ "vma " TS "mm=1 start=0x2000 end=0x1000\n", -EBADMSG, ":2: a mapping that ends before it begins" },
	{ "vma " TS "mm=1 start=0x1000 end=0x2000 prot=0x100000000\n", -EBADMSG,
	  ":2: a value that is wrong: \"prot\"" },
	{ "open " TS "mm=1 how=birth\n", -EBADMSG, ":2: a value that is wrong: \"how\"" },
	{ "open " TS "how=exec\n", -EBADMSG, ":2: an mm that is opened twice, or closed without that" },
	{ "open " TS "mm=1 how=exec\nopen " TS "mm=1 how=exec\n", -EBADMSG,
	  ":3: an mm that is opened twice, or closed without that" },
	{ "close " TS "mm=1\n", -EBADMSG, ":2: an mm that is opened twice, or closed without that" },
};

static void test_bad_recordings(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad_recordings) / sizeof(bad_recordings[0]); i++) {
		struct diag diag = { { 0 } };
		char text[4096], path[64], expected[512];
		char *got;
		int said = 0;

		snprintf(text, sizeof(text), "%s%s", header, bad_recordings[i].text);
		make_file(text, path);
		got = replay_run_text(path, "jsonl", (struct report_options){ 0 }, &said, &diag);
		snprintf(expected, sizeof(expected), "%s%s", path, bad_recordings[i].expected);
		assert_string_equal(diag.text, expected);
		assert_int_equal(said, bad_recordings[i].said);
		free(got);
		unlink(path);
	}
}

static void test_bad_headers(void **state)
{
	static const struct {
		const char *text, *expected;
	} bad[] = {
		{ "", " is truncated: it ends after line 0 without an end line" },
		{ "\n", ":1: this is no recording of heaptrace" },
		{ "\x7f"
		  "ELF\n",
		  ":1: this is no recording of heaptrace" },
		{ "{\"type\":\"header\"}\n", ":1: this is no recording of heaptrace" },
		{ "heaptrace-recording\n", ":1: the recording's version is missing" },
		{ "heaptrace-recording x\n", ":1: the recording's version is missing" },
		{ "heaptrace-recording 2 heaptrace=9\n", ":1: a recording of version 2, this program reads version 1" },
		{ "heaptrace-recording 1 heaptrace=1\n", ":1: the first line lacks a key" },
		{ "heaptrace-recording 1 heaptrace=1 heaptrace=1\n", ":1: a key that stands twice: \"heaptrace\"" },
		{ "heaptrace-recording 1 page_size=4095\n", ":1: a value that is wrong: \"page_size\"" },
		{ "heaptrace-recording 1 page_size=0\n", ":1: a value that is wrong: \"page_size\"" },
		{ "heaptrace-recording 1 page_size=0x80000000\n", ":1: a value that is wrong: \"page_size\"" },
		{ "heaptrace-recording 1 caps=-1\n", ":1: a value that is wrong: \"caps\"" },
		{ "heaptrace-recording 1 what=x\n", ":1: an unknown key: \"what\"" },
		{ "heaptrace-recording 1 cmd=%\n", ":1: a value that is wrong: \"cmd\"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct source_config config = { 0 };
		struct source *source = NULL;
		struct diag diag = { { 0 } };
		char path[64], expected[256];

		make_file(bad[i].text, path);
		config.file = path;
		assert_true(source_replay.open(&config, &source, &diag) < 0);
		assert_null(source);
		snprintf(expected, sizeof(expected), "%s%s", path, bad[i].expected);
		assert_string_equal(diag.text, expected);
		unlink(path);
	}
}

static void test_no_file(void **state)
{
	const struct source_config config = { .file = "/nonexistent/file" }, folder = { .file = "/tmp" };
	struct source *source = NULL;
	struct diag diag = { { 0 } };

	(void)state;
	assert_int_equal(source_replay.open(&config, &source, &diag), -ENOENT);
	assert_string_equal(diag.text, "/nonexistent/file: No such file or directory");
	diag.text[0] = '\0';
	assert_int_equal(source_replay.open(&folder, &source, &diag), -EISDIR);
	assert_string_equal(diag.text, "/tmp: Is a directory");
	assert_null(source);
}

/* Each prefix of a recording, cut at any byte, delivers its whole lines and is called truncated; none of its books is left
 * open. The number of outputs must grow by what was read, so a lost line would show. */
static void test_truncated_anywhere(void **state)
{
	char *whole = replay_run_slurp(DIR "children.events");
	unsigned int lines, most = 0;
	size_t len = strlen(whole);

	(void)state;
	for (size_t cut = (size_t)(strchr(whole, '\n') - whole) + 1; cut < len; cut += 7) {
		struct diag diag = { { 0 } };
		char path[64], expected[256];
		char last = whole[cut], *got;
		unsigned int events = 0;
		int said = 0;

		whole[cut] = '\0';
		make_file(whole, path);
		lines = 0;
		for (const char *at = whole; (at = strchr(at, '\n')); at++) {
			lines++;
			events += !strncmp(at + 1, "change ", 7) && strchr(at + 1, '\n');
		}
		got = replay_run_text(path, "jsonl", (struct report_options){ 0 }, &said, &diag);
		assert_int_equal(said, -EPIPE);
		snprintf(expected, sizeof(expected), "%s is truncated: it ends after line %u without an end line", path,
			 lines);
		assert_string_equal(diag.text, expected);
		snprintf(expected, sizeof(expected), "\"events\":%u,", events);
		assert_non_null(strstr(got, expected));
		most = events > most ? events : most;
		free(got);
		unlink(path);
		whole[cut] = last;
	}
	assert_int_equal(most, 12);
	free(whole);
}

static int count_events(void *ctx, const struct event *event)
{
	unsigned int *counts = ctx;

	counts[event->kind]++;
	return 0;
}

static int refuse_marks(void *ctx, const struct event *event)
{
	(void)ctx;
	return event->kind == EVENT_MARK ? -ENOSPC : 0;
}

static void test_source_by_hand(void **state)
{
	const struct source_config config = { .file = DIR "children.events" };
	unsigned int counts[8] = { 0 };
	struct source *source = NULL;
	struct diag diag = { { 0 } };

	(void)state;
	assert_int_equal(source_replay.probe(&diag), 0);
	assert_int_equal(source_replay.open(&config, &source, &diag), 0);
	assert_ptr_equal(source->ops, &source_replay);
	assert_int_equal(source_replay.caps_now(source), CAP_SYSCALLS | CAP_FAULTS | CAP_KERNEL);
	assert_string_equal(replay_header(source)->source, "bpf");
	assert_string_equal(replay_header(source)->cmd[2], "true; kill -9 $$");
	assert_null(replay_header(source)->cmd[3]);
	assert_null(replay_header(source)->why);
	assert_null(replay_end(source));
	assert_int_equal(source_replay.poll(source, 0, count_events, counts), -ENODATA);
	assert_int_equal(source_replay.poll(source, 0, count_events, counts), -ENODATA);
	assert_null(replay_reason(source));
	assert_int_equal(counts[EVENT_CHANGE], 12);
	assert_int_equal(counts[EVENT_MM_OPEN], 3);
	assert_int_equal(counts[EVENT_MM_CLOSE], 3);
	assert_int_equal(counts[EVENT_VMA], 8);
	assert_int_equal(counts[EVENT_PROC_EXIT], 2);
	assert_int_equal(source_replay.detach(source, count_events, counts), 0);
	assert_int_equal(counts[EVENT_MM_CLOSE], 3);
	assert_int_equal(replay_end(source)->signal, 9);
	source_replay.close(source);
	source_replay.close(NULL);
}

static void test_receiver_stops_it(void **state)
{
	const struct source_config config = { .file = DIR "experiment.events" };
	struct source *source = NULL;
	struct diag diag = { { 0 } };

	(void)state;
	assert_int_equal(source_replay.open(&config, &source, &diag), 0);
	assert_int_equal(source_replay.poll(source, 0, refuse_marks, NULL), -ENOSPC);
	assert_null(replay_reason(source));
	source_replay.close(source);
}

/* A line may be long, but not without end. */
static void test_long_lines(void **state)
{
	const size_t len = 3u << 20;
	struct diag diag = { { 0 } };
	char path[64], expected[256], *got;
	char *text = malloc(len + 1);
	int said = 0;

	(void)state;
	assert_non_null(text);
	memset(text, 'a', len);
	text[len] = '\0';
	memcpy(text, header, strlen(header));
	make_file(text, path);
	got = replay_run_text(path, "jsonl", (struct report_options){ 0 }, &said, &diag);
	snprintf(expected, sizeof(expected), "%s:2: a line of more than 1048576 bytes", path);
	assert_string_equal(diag.text, expected);
	assert_int_equal(said, -EBADMSG);
	unlink(path);
	free(got);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_outputs),
		cmocka_unit_test(test_bad_recordings),
		cmocka_unit_test(test_bad_headers),
		cmocka_unit_test(test_no_file),
		cmocka_unit_test(test_truncated_anywhere),
		cmocka_unit_test(test_source_by_hand),
		cmocka_unit_test(test_receiver_stops_it),
		cmocka_unit_test(test_long_lines),
	};

	if (access(DIR, R_OK)) {
		fputs("run from the top of the repository\n", stderr);
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
