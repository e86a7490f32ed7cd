/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/unpack.h"

#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LIMIT 4096u

/* A section as a packer would leave it that does not pack: zlib's head, one block of @len bytes as they are, their checksum. */
static size_t packed_make(uint8_t *out, uint64_t said, const char *text, uint16_t len)
{
	const Elf64_Chdr head = { .ch_type = ELFCOMPRESS_ZLIB, .ch_size = said, .ch_addralign = 1 };
	const uint8_t begin[] = {
		0x78, 0x01, 0x01, (uint8_t)len, (uint8_t)(len >> 8), (uint8_t)~len, (uint8_t)(~len >> 8)
	};
	uint32_t a = 1, b = 0;
	uint8_t *at = out;

	memcpy(at, &head, sizeof(head));
	at += sizeof(head);
	memcpy(at, begin, sizeof(begin));
	at += sizeof(begin);
	memcpy(at, text, len);
	at += len;
	for (unsigned int i = 0; i < len; i++) {
		a = (a + (uint8_t)text[i]) % 65521;
		b = (b + a) % 65521;
	}
	for (int shift = 24; shift >= 0; shift -= 8)
		*at++ = (uint8_t)((b << 16 | a) >> shift);
	return (size_t)(at - out);
}

static void what_was_packed_comes_out(void **state)
{
	const char text[] = "the frames of a program";
	uint8_t packed[128];
	size_t size = packed_make(packed, sizeof(text), text, sizeof(text)), got = 0;
	void *data = NULL;

	(void)state;
	assert_int_equal(section_unpack(packed, size, sizeof(text), &data, &got), 0);
	assert_int_equal(got, sizeof(text));
	assert_memory_equal(data, text, sizeof(text));
	free(data);
}

static void sizes_that_lie(void **state)
{
	static const struct {
		uint64_t said;
		int err;
	} cases[] = {
		{ 0, -EBADMSG },     { 1, -EBADMSG },	    { 23, -EBADMSG },	    { 25, -EBADMSG },
		{ LIMIT, -EBADMSG }, { LIMIT + 1, -EFBIG }, { 1ull << 40, -EFBIG }, { UINT64_MAX, -EFBIG },
	};
	const char text[] = "the frames of a program";

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint8_t packed[128];
		size_t size = packed_make(packed, cases[i].said, text, sizeof(text)), got = 7;
		void *data = packed;

		assert_int_equal(section_unpack(packed, size, LIMIT, &data, &got), cases[i].err);
		assert_ptr_equal(data, packed);
		assert_int_equal(got, 7);
	}
}

/* Cut off anywhere, or with any one byte changed, it is refused, or gives as many bytes as it says. */
static void what_is_damaged(void **state)
{
	const char text[] = "the frames of a program";
	uint8_t packed[128];
	size_t size = packed_make(packed, sizeof(text), text, sizeof(text)), got;
	void *data;

	(void)state;
	for (size_t len = 0; len < size; len++) {
		uint8_t *cut = malloc(len + 1);

		assert_non_null(cut);
		memcpy(cut, packed, len);
		assert_int_equal(section_unpack(cut, len, LIMIT, &data, &got), -EBADMSG);
		free(cut);
	}
	for (size_t at = 0; at < size; at++) {
		for (unsigned int bit = 0; bit < 8; bit++) {
			packed[at] ^= (uint8_t)(1u << bit);
			if (!section_unpack(packed, size, LIMIT, &data, &got)) {
				assert_int_equal(got, sizeof(text));
				free(data);
			}
			packed[at] ^= (uint8_t)(1u << bit);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_packed_comes_out),
		cmocka_unit_test(sizes_that_lie),
		cmocka_unit_test(what_is_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
