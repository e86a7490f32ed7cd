/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/escape.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct escape_case {
	const char *str, *ascii, *utf8, *json, *word;
};

static const struct escape_case cases[] = {
	{ "", "", "", "\"\"", "" },
	{ "plain name", "plain name", "plain name", "\"plain name\"", "plain%20name" },
	{ "a\"b\\c", "a\"b\\\\c", "a\"b\\\\c", "\"a\\\"b\\\\c\"", "a\"b\\c" },
	{ "k=1,2%", "k=1,2%", "k=1,2%", "\"k=1,2%\"", "k%3d1%2c2%25" },
	{ "\t\n\r\v\x01", "\\t\\n\\r\\x0b\\x01", "\\t\\n\\r\\x0b\\x01", "\"\\u0009\\u000a\\u000d\\u000b\\u0001\"",
	  "%09%0a%0d%0b%01" },
	/* A terminal is not steered: ESC, DEL, a C1 CSI, a right-to-left override, a line separator, a byte order mark. */
	{ "\033[31m", "\\x1b[31m", "\\x1b[31m", "\"\\u001b[31m\"", "%1b[31m" },
	{ "\x7f", "\\x7f", "\\x7f", "\"\\u007f\"", "%7f" },
	{ "\xc2\x9b"
	  "2J",
	  "\\xc2\\x9b2J", "\\xc2\\x9b2J", "\"\\u009b2J\"", "%c2%9b2J" },
	{ "\xe2\x80\xae", "\\xe2\\x80\\xae", "\\xe2\\x80\\xae", "\"\\u202e\"", "%e2%80%ae" },
	{ "\xe2\x80\xa8", "\\xe2\\x80\\xa8", "\\xe2\\x80\\xa8", "\"\\u2028\"", "%e2%80%a8" },
	{ "\xef\xbb\xbf", "\\xef\\xbb\\xbf", "\\xef\\xbb\\xbf", "\"\\ufeff\"", "%ef%bb%bf" },
	/* Valid UTF-8 of two, three and four bytes. */
	{ "é→😀", "\\xc3\\xa9\\xe2\\x86\\x92\\xf0\\x9f\\x98\\x80", "é→😀", "\"é→😀\"", "%c3%a9%e2%86%92%f0%9f%98%80" },
	/* Invalid: a lone byte, a lead alone, cut short, overlong, a surrogate, beyond the last character. */
	{ "a\xff"
	  "b",
	  "a\\xffb", "a\\xffb",
	  "\"a\xef\xbf\xbd"
	  "b\"",
	  "a%ffb" },
	{ "\xc3", "\\xc3", "\\xc3", "\"\xef\xbf\xbd\"", "%c3" },
	{ "\xe2\x86", "\\xe2\\x86", "\\xe2\\x86", "\"\xef\xbf\xbd\xef\xbf\xbd\"", "%e2%86" },
	{ "\xc0\xaf", "\\xc0\\xaf", "\\xc0\\xaf", "\"\xef\xbf\xbd\xef\xbf\xbd\"", "%c0%af" },
	{ "\xe0\x80\xaf", "\\xe0\\x80\\xaf", "\\xe0\\x80\\xaf", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"",
	  "%e0%80%af" },
	{ "\xed\xa0\x80", "\\xed\\xa0\\x80", "\\xed\\xa0\\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"",
	  "%ed%a0%80" },
	{ "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80", "\\xf4\\x90\\x80\\x80",
	  "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"", "%f4%90%80%80" },
};

#define CASES (sizeof(cases) / sizeof(cases[0]))

static void test_text(void **state)
{
	struct buf buf = { 0 };

	(void)state;
	for (size_t i = 0; i < CASES; i++) {
		buf_reset(&buf);
		buf_add_str(&buf, "");
		escape_text(&buf, cases[i].str, ESCAPE_ASCII);
		assert_string_equal(buf.data, cases[i].ascii);
		buf_reset(&buf);
		escape_text(&buf, cases[i].str, ESCAPE_UTF8);
		assert_string_equal(buf.data, cases[i].utf8);
	}
	buf_free(&buf);
}

static void test_quoted(void **state)
{
	struct buf buf = { 0 };

	(void)state;
	escape_quoted(&buf, "a\"b\\c\n", ESCAPE_ASCII);
	assert_string_equal(buf.data, "\"a\\\"b\\\\c\\n\"");
	buf_free(&buf);
}

static void test_json(void **state)
{
	struct buf buf = { 0 };

	(void)state;
	for (size_t i = 0; i < CASES; i++) {
		buf_reset(&buf);
		escape_json(&buf, cases[i].str);
		assert_string_equal(buf.data, cases[i].json);
	}
	buf_reset(&buf);
	escape_json(&buf, NULL);
	assert_string_equal(buf.data, "null");
	buf_free(&buf);
}

static void test_word(void **state)
{
	struct buf buf = { 0 };

	(void)state;
	for (size_t i = 0; i < CASES; i++) {
		buf_reset(&buf);
		buf_add_str(&buf, "");
		escape_word(&buf, cases[i].str);
		assert_string_equal(buf.data, cases[i].word);
		assert_int_equal(escape_word_undo(buf.data, buf.len), strlen(cases[i].str));
		assert_string_equal(buf.data, cases[i].str);
	}
	buf_free(&buf);
}

/* Every string of one or two bytes survives as a word. */
static void test_word_is_lossless(void **state)
{
	struct buf buf = { 0 };
	char str[3] = "";

	(void)state;
	for (unsigned int pair = 0; pair < 65536; pair++) {
		str[0] = (char)(pair & 255);
		str[1] = (char)(pair >> 8);
		if (!str[0])
			continue;
		buf_reset(&buf);
		escape_word(&buf, str);
		for (size_t i = 0; i < buf.len; i++)
			assert_true(buf.data[i] > ' ' && buf.data[i] < 0x7f && !strchr(",=", buf.data[i]));
		assert_int_equal(escape_word_undo(buf.data, buf.len), strlen(str));
		assert_string_equal(buf.data, str);
	}
	buf_free(&buf);
}

static void test_word_refuses(void **state)
{
	static const char *const bad[] = { "a b", "%", "%4", "%zz", "%00", "a,b", "a=b", "\x01", "\xff", "%4G", "%C3" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char word[16];

		snprintf(word, sizeof(word), "%s", bad[i]);
		assert_int_equal(escape_word_undo(word, strlen(word)), -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_quoted),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_word),
		cmocka_unit_test(test_word_is_lossless),
		cmocka_unit_test(test_word_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
