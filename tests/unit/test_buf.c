/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/buf.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_additions(void **state)
{
	struct buf buf = { 0 };

	(void)state;
	buf_add_str(&buf, "ab");
	buf_add_char(&buf, 'c');
	buf_add(&buf, "d\0e", 3);
	buf_add_repeated(&buf, "xy", 3);
	buf_addf(&buf, "[%5d]", 42);
	assert_int_equal(buf.len, 2 + 1 + 3 + 6 + 7);
	assert_memory_equal(buf.data, "abcd\0exyxyxy[   42]", buf.len + 1);
	buf_free(&buf);
	assert_null(buf.data);
	assert_int_equal(buf.cap, 0);
}

static void test_empty_additions_terminate(void **state)
{
	struct buf buf = { 0 };

	(void)state;
	buf_add(&buf, NULL, 0);
	assert_string_equal(buf.data, "");
	buf_free(&buf);
}

static void test_growth_keeps_content(void **state)
{
	struct buf buf = { 0 };

	(void)state;
	for (unsigned int i = 0; i < 100000; i++)
		buf_add_char(&buf, (char)('a' + i % 26));
	assert_int_equal(buf.len, 100000);
	for (unsigned int i = 0; i < 100000; i++)
		assert_int_equal(buf.data[i], 'a' + i % 26);
	assert_int_equal(buf.data[100000], '\0');
	assert_int_equal(buf_error(&buf), 0);
	buf_free(&buf);
}

/* Compares what is written of @value with printf's idea of it. */
static void check_number(struct buf *buf, uint64_t value)
{
	char expected[64];

	buf_reset(buf);
	buf_add_u64(buf, value);
	buf_add_char(buf, ' ');
	buf_add_i64(buf, (int64_t)value);
	buf_add_char(buf, ' ');
	buf_add_hex(buf, value);
	snprintf(expected, sizeof(expected), "%" PRIu64 " %" PRId64 " 0x%" PRIx64, value, (int64_t)value, value);
	assert_string_equal(buf->data, expected);
}

/* Where a number gets a digit more, in decimal and in binary. */
static void test_numbers(void **state)
{
	struct buf buf = { 0 };
	uint64_t ten = 1;

	(void)state;
	for (unsigned int i = 0; i < 20; i++, ten *= 10) {
		check_number(&buf, ten - 1);
		check_number(&buf, ten);
		check_number(&buf, ten + 1);
		check_number(&buf, -ten);
	}
	for (unsigned int i = 0; i < 64; i++) {
		check_number(&buf, (1ull << i) - 1);
		check_number(&buf, 1ull << i);
	}
	check_number(&buf, UINT64_MAX);
	buf_free(&buf);
}

static void test_reset_keeps_memory(void **state)
{
	struct buf buf = { 0 };
	size_t cap;

	(void)state;
	buf_reset(&buf);
	buf_add_str(&buf, "text");
	cap = buf.cap;
	buf_reset(&buf);
	assert_string_equal(buf.data, "");
	assert_int_equal(buf.len, 0);
	assert_int_equal(buf.cap, cap);
	buf_free(&buf);
}

static void test_error_sticks(void **state)
{
	struct buf buf = { 0 };

	(void)state;
	buf_add_str(&buf, "kept");
	assert_null(buf_reserve(&buf, SIZE_MAX / 2));
	assert_int_equal(buf_error(&buf), -ENOMEM);
	buf_add_str(&buf, "not added");
	buf_addf(&buf, "%d", 1);
	assert_string_equal(buf.data, "kept");
	buf_reset(&buf);
	assert_int_equal(buf_error(&buf), -ENOMEM);
	buf_free(&buf);
	assert_int_equal(buf_error(&buf), 0);
	buf_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_additions),
		cmocka_unit_test(test_empty_additions_terminate),
		cmocka_unit_test(test_growth_keeps_content),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_reset_keeps_memory),
		cmocka_unit_test(test_error_sticks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
