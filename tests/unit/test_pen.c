/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/pen.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

/* What lies behind the room that a number is promised. */
struct page {
	char text[PEN_NUMBER_BYTES];
	char guard[8];
};

static char *page_begin(struct page *page)
{
	memset(page, '#', sizeof(*page));
	return page->text;
}

static void page_check(struct page *page, char *end, const char *expected)
{
	assert_true(end >= page->text && end < page->guard);
	*end = '\0';
	assert_string_equal(page->text, expected);
	assert_memory_equal(page->guard, "########", sizeof(page->guard));
}

#define WIDTH_MAX 40

static void check_column(uint64_t value, char sign, unsigned int width)
{
	char digits[32], expected[WIDTH_MAX + 32], text[WIDTH_MAX + PEN_NUMBER_BYTES + 8];
	char *end;

	snprintf(digits, sizeof(digits), "%.1s%" PRIu64, &sign, value);
	snprintf(expected, sizeof(expected), "%*s", (int)width, digits);
	memset(text, '#', sizeof(text));
	end = pen_column(text, value, sign, width);
	assert_memory_equal(text + width + PEN_NUMBER_BYTES, "########", 8);
	*end = '\0';
	assert_string_equal(text, expected);
}

static void check_columns(uint64_t value)
{
	static const unsigned int widths[] = { 0, 1, 5, 7, 8, 9, 12, 16, 17, WIDTH_MAX };
	static const char signs[] = { '\0', '+', '-' };

	for (size_t i = 0; i < sizeof(widths) / sizeof(*widths); i++)
		for (size_t j = 0; j < sizeof(signs); j++)
			check_column(value, signs[j], widths[i]);
}

/* Compares what is written of @value with printf's idea of it. */
static void check_number(uint64_t value)
{
	char expected[64];
	struct page page;

	snprintf(expected, sizeof(expected), "%" PRIu64, value);
	page_check(&page, pen_u64(page_begin(&page), value), expected);
	assert_int_equal(pen_digits(value), strlen(expected));
	snprintf(expected, sizeof(expected), "%" PRId64, (int64_t)value);
	page_check(&page, pen_i64(page_begin(&page), (int64_t)value), expected);
	snprintf(expected, sizeof(expected), "0x%" PRIx64, value);
	page_check(&page, pen_hex(page_begin(&page), value), expected);
	snprintf(expected, sizeof(expected), "%06" PRIu64, value % 1000000);
	page_check(&page, pen_six(page_begin(&page), (uint32_t)(value % 1000000)), expected);
	check_columns(value);
}

/* Where a number gets a digit more, in decimal and in binary. */
static void test_edges(void **state)
{
	uint64_t ten = 1;

	(void)state;
	for (unsigned int i = 0; i < 20; i++, ten *= 10) {
		check_number(ten - 1);
		check_number(ten);
		check_number(ten + 1);
		check_number(-ten);
	}
	for (unsigned int i = 0; i < 64; i++) {
		check_number((1ull << i) - 1);
		check_number(1ull << i);
	}
	check_number(UINT64_MAX);
}

/* Each group of four digits in each place, each digit in hex in each place, and numbers of any size. */
static void test_all_digits(void **state)
{
	uint64_t random = 1;

	(void)state;
	for (uint64_t four = 0; four < 10000; four++) {
		check_number(four);
		check_number(four * 10000);
		check_number(four * 100000000 + 1);
		check_number(four * 1000000000000 + 9999);
	}
	for (uint64_t digit = 0; digit < 16; digit++)
		for (unsigned int at = 0; at < 64; at += 4)
			check_number(digit << at);
	for (unsigned int i = 0; i < 20000; i++) {
		random = random * 6364136223846793005u + 1442695040888963407u;
		check_number(random >> (i % 64));
	}
}

static void test_strings(void **state)
{
	struct page page;
	char *at = page_begin(&page);

	(void)state;
	at = pen_str(pen_str(pen_str(at, "a="), ""), "b");
	page_check(&page, at, "a=b");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_all_digits),
		cmocka_unit_test(test_strings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
