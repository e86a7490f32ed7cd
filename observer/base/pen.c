/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/pen.h"

#include <endian.h>

#define TENS(n) (n), (n)*10, (n)*100, (n)*1000, (n)*10000
static const uint64_t tens[20] = { TENS(1ull), TENS(100000ull), TENS(10000000000ull), TENS(1000000000000000ull) };

unsigned int pen_digits(uint64_t value)
{
	/* 1233 / 4096 is the logarithm of 2: never more than they are, and at most one less. */
	unsigned int least = (64u - (unsigned int)__builtin_clzll(value | 1)) * 1233 >> 12;

	return least ? least + (value >= tens[least]) : 1;
}

char *pen_decimal(char *end, uint64_t value)
{
	static const char pairs[] =
		"0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849"
		"5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";

	for (; value >= 10000; value /= 10000) { /* two pairs that do not wait for each other */
		size_t four = value % 10000;

		end -= 4;
		memcpy(end, pairs + four / 100 * 2, 2);
		memcpy(end + 2, pairs + four % 100 * 2, 2);
	}
	if (value >= 100) {
		end -= 2;
		memcpy(end, pairs + value % 100 * 2, 2);
		value /= 100;
	}
	if (value < 10) {
		*--end = (char)('0' + value);
		return end;
	}
	end -= 2;
	memcpy(end, pairs + value * 2, 2);
	return end;
}

/* A word holds eight digits, one a byte, the first in the lowest; this is @value in each byte. */
#define BYTES(value) (0x0101010101010101u * (value))

/* Numbers of more digits do not fit a word. */
#define EIGHT_DIGITS 100000000u

static char *put_word(char *at, uint64_t word, size_t bytes)
{
	word = htole64(word);
	memcpy(at, &word, sizeof(word));
	return at + bytes;
}

/* The digits of @value, below EIGHT_DIGITS, as numbers: each step parts the numbers in the word in two, and dividing by a
 * constant is a product and a shift. */
static inline uint64_t eight_digits(uint32_t value)
{
	uint64_t parts = value / 10000 | (uint64_t)(value % 10000) << 32, upper;

	upper = (parts * 10486 >> 20) & 0x0000007f0000007fu; /* n / 100 for n < 10000 */
	parts = upper | (parts - upper * 100) << 16;
	upper = (parts * 103 >> 10) & 0x000f000f000f000fu; /* n / 10 for n < 100 */
	return upper | (parts - upper * 10) << 8;
}

/* Columns that are too wide or too narrow for a word. */
static char *put_column(char *at, uint64_t value, char sign, unsigned int width)
{
	unsigned int len = pen_digits(value) + (sign != '\0'), blanks = len < width ? width - len : 0;
	char *end = at + blanks + len;

	memset(at, ' ', blanks);
	if (sign)
		at[blanks] = sign;
	pen_decimal(end, value);
	return end;
}

char *pen_column(char *at, uint64_t value, char sign, unsigned int width)
{
	uint64_t word, blank;
	unsigned int zeros = 7; /* before the first digit */

	if (value >= EIGHT_DIGITS / 10 || width < 8 || width > 16)
		return put_column(at, value, sign, width);
	if (value < 10) { /* as most are */
		word = value << 56;
	} else {
		word = eight_digits((uint32_t)value);
		zeros = (unsigned int)__builtin_ctzll(word) / 8;
	}
	blank = ~0ull >> (64 - zeros * 8);
	word = ((word | BYTES('0')) & ~blank) | (BYTES(' ') & blank);
	if (sign)
		word ^= (uint64_t)(' ' ^ sign) << (zeros - 1) * 8;
	put_word(at, BYTES(' '), 8);
	return put_word(at + width - 8, word, 8);
}

char *pen_six(char *at, uint32_t value)
{
	return put_word(at, (eight_digits(value) + BYTES('0')) >> 16, 6);
}

/* The hex digits of @value, one a byte, the first in the lowest. */
static uint64_t hex_digits(uint32_t value)
{
	uint64_t word = value, letters;

	word = (word << 16 | word) & 0x0000ffff0000ffffu;
	word = (word << 8 | word) & 0x00ff00ff00ff00ffu;
	word = (word << 4 | word) & BYTES(0x0fu);
	letters = (word + BYTES(6u)) >> 4 & BYTES(1u);
	word += BYTES('0') + letters * ('a' - '0' - 10);
	return __builtin_bswap64(word);
}

/* The first of the words without the zeros that it begins with. */
static char *put_first(char *at, uint32_t value)
{
	unsigned int zeros = value ? (unsigned int)__builtin_clz(value) / 4 : 7;

	return put_word(at, hex_digits(value) >> zeros * 8, 8 - zeros);
}

char *pen_hex(char *at, uint64_t value)
{
	*at++ = '0';
	*at++ = 'x';
	if (!(value >> 32))
		return put_first(at, (uint32_t)value);
	at = put_first(at, (uint32_t)(value >> 32));
	return put_word(at, hex_digits((uint32_t)value), 8);
}
