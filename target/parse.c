/* SPDX-License-Identifier: GPL-2.0-only */
#include "parse.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int digit_value(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return INT_MAX;
}

/* Digits of @base from *@text on, which is left at the first other character. */
static int scan_digits(const char **text, unsigned int base, uint64_t *out)
{
	const char *at = *text;
	uint64_t value = 0;

	if (digit_value(*at) >= (int)base)
		return -EINVAL;
	for (; digit_value(*at) < (int)base; at++) {
		if (__builtin_mul_overflow(value, base, &value) ||
		    __builtin_add_overflow(value, (unsigned int)digit_value(*at), &value))
			return -ERANGE;
	}
	*text = at;
	*out = value;
	return 0;
}

int parse_u64(const char *text, uint64_t *out)
{
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	uint64_t value;
	int err;

	if (hex)
		text += 2;
	err = scan_digits(&text, hex ? 16 : 10, &value);
	if (err < 0)
		return err;
	if (*text)
		return -EINVAL;
	*out = value;
	return 0;
}

/* A size from *@text on, which is left at the first character after it. */
static int scan_size(const char **text, size_t *out)
{
	static const char units[] = "kmgt";
	uint64_t value;
	const char *unit;
	int err = scan_digits(text, 10, &value);

	if (err < 0)
		return err;
	unit = **text ? strchr(units, **text | 0x20) : NULL;
	if (unit) {
		uint64_t scale = UINT64_C(1) << (10 * (unit - units + 1));

		if (__builtin_mul_overflow(value, scale, &value))
			return -ERANGE;
		(*text)++;
		if (**text == 'i' && (*text)[1] == 'B')
			(*text)++;
	}
	if (**text == 'B')
		(*text)++;
	if (value > SIZE_MAX)
		return -ERANGE;
	*out = (size_t)value;
	return 0;
}

int parse_size(const char *text, size_t *out)
{
	size_t value;
	int err = scan_size(&text, &value);

	if (err < 0)
		return err;
	if (*text)
		return -EINVAL;
	*out = value;
	return 0;
}

int parse_int_size(const char *text, int *out)
{
	bool negative = *text == '-';
	size_t value;
	int err = parse_size(text + negative, &value);

	if (err < 0)
		return err;
	if (value > (size_t)INT_MAX)
		return -ERANGE;
	*out = negative ? -(int)value : (int)value;
	return 0;
}

int parse_size_list(const char *text, size_t *sizes, size_t max)
{
	size_t count = 0;

	for (;;) {
		size_t value;
		int err = scan_size(&text, &value);

		if (err < 0)
			return err;
		if (*text && *text != ',')
			return -EINVAL;
		if (count == max || count == INT_MAX)
			return -E2BIG;
		sizes[count++] = value;
		if (!*text++)
			return (int)count;
	}
}

#define PPM 1000000U

int parse_fraction(const char *text, uint32_t *out_ppm)
{
	uint64_t whole, part = 0, scale = PPM;
	int err;

	if (strcmp(text, "all") == 0 || strcmp(text, "none") == 0) {
		*out_ppm = text[0] == 'a' ? PPM : 0;
		return 0;
	}
	err = scan_digits(&text, 10, &whole);
	if (err < 0 || whole > 100)
		return -EINVAL;
	if (*text == '.') {
		for (text++; is_digit(*text); text++) {
			scale /= 10; /* further digits than six are read and count nothing */
			part += (uint64_t)(*text - '0') * scale;
		}
	}
	part += whole * PPM;
	if (*text == '%') {
		part /= 100;
		text++;
	}
	if (*text || part > PPM)
		return -EINVAL;
	*out_ppm = (uint32_t)part;
	return 0;
}
