/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "target/parse.h"

static void numbers(void **state)
{
	static const struct {
		const char *text;
		int err;
		uint64_t value;
	} cases[] = {
		{ "0", 0, 0 },
		{ "18446744073709551615", 0, UINT64_MAX },
		{ "0xffFF", 0, 0xffff },
		{ "007", 0, 7 },
		{ "18446744073709551616", -ERANGE, 0 },
		{ "0x1ffffffffffffffff", -ERANGE, 0 },
		{ "", -EINVAL, 0 },
		{ "0x", -EINVAL, 0 },
		{ "-1", -EINVAL, 0 },
		{ "+1", -EINVAL, 0 },
		{ " 1", -EINVAL, 0 },
		{ "1 ", -EINVAL, 0 },
		{ "12a", -EINVAL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t value = 4711;

		assert_int_equal(parse_u64(cases[i].text, &value), cases[i].err);
		assert_int_equal(value, cases[i].err ? 4711 : cases[i].value);
	}
}

static void sizes(void **state)
{
	static const struct {
		const char *text;
		int err;
		size_t value;
	} cases[] = {
		{ "2048", 0, 2048 },
		{ "2k", 0, 2048 },
		{ "2K", 0, 2048 },
		{ "3M", 0, (size_t)3 << 20 },
		{ "1G", 0, (size_t)1 << 30 },
		{ "1T", 0, (size_t)1 << 40 },
		{ "1MiB", 0, (size_t)1 << 20 },
		{ "1kB", 0, 1024 },
		{ "7B", 0, 7 },
		{ "0", 0, 0 },
		{ "16777215T", 0, (size_t)16777215 << 40 },
		{ "16777216T", -ERANGE, 0 },
		{ "99999999999999999999", -ERANGE, 0 },
		{ "k", -EINVAL, 0 },
		{ "2x", -EINVAL, 0 },
		{ "2kk", -EINVAL, 0 },
		{ "2ki", -EINVAL, 0 },
		{ "1.5k", -EINVAL, 0 },
		{ "-1k", -EINVAL, 0 },
		{ "", -EINVAL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t value = 4711;

		assert_int_equal(parse_size(cases[i].text, &value), cases[i].err);
		assert_int_equal(value, cases[i].err ? 4711 : cases[i].value);
	}
}

static void ints(void **state)
{
	int value = 4711;

	(void)state;
	assert_int_equal(parse_int_size("-1", &value), 0);
	assert_int_equal(value, -1);
	assert_int_equal(parse_int_size("128k", &value), 0);
	assert_int_equal(value, 131072);
	assert_int_equal(parse_int_size("2147483647", &value), 0);
	assert_int_equal(value, INT_MAX);
	assert_int_equal(parse_int_size("2G", &value), -ERANGE);
	assert_int_equal(parse_int_size("--1", &value), -EINVAL);
	assert_int_equal(parse_int_size("-", &value), -EINVAL);
	assert_int_equal(value, INT_MAX);
}

static void lists(void **state)
{
	size_t got[3];

	(void)state;
	assert_int_equal(parse_size_list("1k,2M,0", got, 3), 3);
	assert_int_equal(got[0], 1024);
	assert_int_equal(got[1], 2 << 20);
	assert_int_equal(got[2], 0);
	assert_int_equal(parse_size_list("7", got, 3), 1);
	assert_int_equal(got[0], 7);
	assert_int_equal(parse_size_list("1,2,3,4", got, 3), -E2BIG);
	assert_int_equal(parse_size_list("", got, 3), -EINVAL);
	assert_int_equal(parse_size_list(",", got, 3), -EINVAL);
	assert_int_equal(parse_size_list("1,", got, 3), -EINVAL);
	assert_int_equal(parse_size_list("1 2", got, 3), -EINVAL);
	assert_int_equal(parse_size_list("1,99999999999999999999", got, 3), -ERANGE);
}

static void fractions(void **state)
{
	static const struct {
		const char *text;
		int ppm; /* -EINVAL: no fraction */
	} cases[] = {
		{ "all", 1000000 },	    { "none", 0 },	     { "0", 0 },
		{ "1", 1000000 },	    { "0.5", 500000 },	     { "0.000001", 1 },
		{ "0.0000001", 0 },	    { "1.000000", 1000000 }, { "50%", 500000 },
		{ "100%", 1000000 },	    { "12.5%", 125000 },     { "1.1", -EINVAL },
		{ "101%", -EINVAL },	    { "-0.5", -EINVAL },     { "", -EINVAL },
		{ ".5", -EINVAL },	    { "0.5x", -EINVAL },     { "every", -EINVAL },
		{ "4294967297%", -EINVAL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t ppm = 4711;
		int err = parse_fraction(cases[i].text, &ppm);

		assert_int_equal(err, cases[i].ppm < 0 ? -EINVAL : 0);
		assert_int_equal(ppm, cases[i].ppm < 0 ? 4711 : cases[i].ppm);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers), cmocka_unit_test(sizes),	cmocka_unit_test(ints),
		cmocka_unit_test(lists),   cmocka_unit_test(fractions),
	};

	return cmocka_run_group_tests_name("target_parse", tests, NULL, NULL);
}
