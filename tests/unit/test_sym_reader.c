/* SPDX-License-Identifier: GPL-2.0-only */
/* What is left of an object's names in every state in which distributions ship theirs. */
#include "model/sym_demangle.h"
#include "model/sym_reader.h"
#include "tests/unit/sym_objects.h"

#include <lzma.h>

static struct sym_reader *reader_of(const char *object)
{
	static char root[128];
	char path[128];
	struct sym_reader *reader;

	snprintf(path, sizeof(path), "%s/%s", dir, object);
	reader = sym_reader_new(open(path, O_RDONLY | O_CLOEXEC), path);
	assert_non_null(reader);
	snprintf(root, sizeof(root), "%s/none", dir);
	sym_reader_set_debug_root(reader, root);
	return reader;
}

/* The frames at @offset as text: "symbol+off file:line; ..." */
static const char *text_of(struct sym_reader *reader, uint64_t offset)
{
	static char text[4096];
	struct sym_frame frames[SYM_FRAMES_MAX];
	unsigned int count = sym_reader_find(reader, offset, frames);
	size_t len = 0;

	text[0] = '\0';
	/* Where nothing is known, it is the address itself. */
	if (count == 1 && !frames[0].symbol && !frames[0].file) {
		assert_int_equal(frames[0].offset, offset);
		return text;
	}
	for (unsigned int i = 0; i < count && len < sizeof(text); i++) {
		const char *slash = frames[i].file ? strrchr(frames[i].file, '/') : NULL;

		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s+%llu %s:%u%s", i ? "; " : "",
					frames[i].symbol ? frames[i].symbol : "?", (unsigned long long)frames[i].offset,
					slash		 ? slash + 1
					: frames[i].file ? frames[i].file
							 : "?",
					frames[i].line, frames[i].inlined ? " inlined" : "");
	}
	return text;
}

struct state_case {
	const char *object, *list;
	const char *hidden;  /* what is said of the first byte of hidden() */
	const char *visible; /* and of visible() */
};

static const struct state_case cases[] = {
	{ "full.so", "names", "hidden+0 lib.c:2", NULL },
	{ "four.so", "four.names", "hidden+0 lib.c:2", NULL },
	{ "packed.so", "packed.names", "hidden+0 lib.c:2", NULL },
	{ "symbols.so", "names", "hidden+0 ?:0", "visible+0 ?:0" },
	{ "stripped.so", "names", "", "visible+0 ?:0" },
	{ "linked.so", "names", "hidden+0 lib.c:2", NULL },
	/* No build-id: the CRC decides. */
	{ "bare.so", "names", "hidden+0 lib.c:2", NULL },
	{ "other.so", "names", "", "visible+0 ?:0" },
};

static void test_states(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sym_reader *reader = reader_of(cases[i].object);

		assert_string_equal(text_of(reader, address_of(cases[i].list, "hidden")), cases[i].hidden);
		if (cases[i].visible)
			assert_string_equal(text_of(reader, address_of(cases[i].list, "visible")), cases[i].visible);
		sym_reader_free(reader);
	}
}

static void test_build_id(void **state)
{
	struct sym_reader *reader = reader_of("stripped.so");
	char root[128];

	(void)state;
	snprintf(root, sizeof(root), "%s/root", dir);
	sym_reader_set_debug_root(reader, root);
	assert_string_equal(text_of(reader, address_of("names", "hidden")), "hidden+0 lib.c:2");
	sym_reader_free(reader);
}

/* Somewhere in visible() are the addresses of inner() in middle() in visible(), each with the line of its call. */
static void test_inlined(void **state)
{
	static const char *const objects[][2] = { { "full.so", "names" }, { "four.so", "four.names" } };

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		struct sym_reader *reader = reader_of(objects[i][0]);
		uint64_t start = address_of(objects[i][1], "visible");
		bool found = false;

		for (uint64_t at = start; at < start + 64 && !found; at++) {
			const char *text = text_of(reader, at);

			found = !strncmp(text, "inner+0 lib.c:3 inlined; middle+0 lib.c:6 inlined; visible+", 59) &&
				!strcmp(strrchr(text, ' '), " lib.c:10");
		}
		assert_true(found);
		sym_reader_free(reader);
	}
}

static void test_fixed_addresses(void **state)
{
	struct sym_reader *reader = reader_of("fixed");
	uint64_t addr = address_of("fixed.names", "hidden");

	(void)state;
	/* Linked to 0x400000, mapped from the file's beginning. */
	assert_true(addr > 0x400000);
	assert_string_equal(text_of(reader, addr - 0x400000), "hidden+0 lib.c:2");
	assert_string_equal(text_of(reader, addr), "");
	assert_string_equal(text_of(reader, UINT64_MAX), "");
	sym_reader_free(reader);
}

/* An address that no function and no unit of the compiler has: nothing that was found for another one. */
static void test_elsewhere(void **state)
{
	struct sym_reader *reader = reader_of("full.so");

	(void)state;
	assert_string_equal(text_of(reader, address_of("names", "hidden")), "hidden+0 lib.c:2");
	assert_string_equal(text_of(reader, 0), "");
	sym_reader_free(reader);
}

/* A return address that was put on the stack by hand is that of a function's first byte: what is asked for is before it. */
static void test_before(void **state)
{
	struct sym_reader *reader = reader_of("apart.so");
	uint64_t second = address_of("apart.names", "second");

	(void)state;
	assert_string_equal(text_of(reader, second), "second+0 ?:0");
	assert_string_equal(text_of(reader, second - 1), "second+18446744073709551615 ?:0");
	assert_string_equal(text_of(reader, second - 2), "");
	sym_reader_free(reader);
}

/* A part of a function that the compiler has inlined in the function again is no frame of its own. */
static void test_parts(void **state)
{
	struct sym_reader *reader = reader_of("apart.so");
	uint64_t start = address_of("apart.names", "split");

	(void)state;
	for (uint64_t at = start; at < start + 64; at++)
		assert_null(strstr(text_of(reader, at), "inlined; split+"));
	sym_reader_free(reader);
}

/* A function that is inlined in itself has called itself: that is no part of it. */
static void test_inlined_in_itself(void **state)
{
	struct sym_reader *reader = reader_of("apart.so");
	uint64_t start = address_of("apart.names", "deep");
	unsigned int found = 0;

	(void)state;
	for (uint64_t at = start; at < start + 512 && !found; at++) {
		const char *text = text_of(reader, at);

		found = !strncmp(text, "deep+0 ", 7) && strstr(text, " inlined; deep+");
	}
	assert_true(found);
	sym_reader_free(reader);
}

static void test_cxx(void **state)
{
	struct sym_reader *reader = reader_of("cxx.so");

	(void)state;
	assert_string_equal(text_of(reader, address_of("cxx.names", "_ZN3app6WidgetIiE4growEi")),
			    "app::Widget<int>::grow+0 lib.cc:2");
	assert_memory_equal(text_of(reader, address_of("cxx.names", "_Z3useRN3app6WidgetIiEE")), "use+0 lib.cc:3", 14);
	sym_reader_free(reader);
}

/* .gnu_debugdata, as Fedora has it: the symbol table alone, packed with xz. */
static void test_minidebug(void **state)
{
	size_t len, packed_len = 0, size = 1 << 20;
	char *symbols = slurp("symbols.so", &len), command[512];
	uint8_t *packed = malloc(size);
	struct sym_reader *reader;

	(void)state;
	assert_int_equal(
		lzma_easy_buffer_encode(6, LZMA_CHECK_CRC64, NULL, (uint8_t *)symbols, len, packed, &packed_len, size),
		LZMA_OK);
	write_bytes("mini.xz", packed, packed_len);
	/* Half a stream, and one that is none. */
	write_bytes("half.xz", packed, packed_len / 2);
	write_bytes("none.xz", "hello", 5);
	snprintf(
		command, sizeof(command),
		"cd %s && for i in mini half none; do objcopy --add-section .gnu_debugdata=$i.xz stripped.so $i.so || exit 1; done",
		dir);
	assert_int_equal(system(command), 0);
	reader = reader_of("mini.so");
	assert_string_equal(text_of(reader, address_of("names", "hidden")), "hidden+0 ?:0");
	sym_reader_free(reader);
	for (unsigned int i = 0; i < 2; i++) {
		reader = reader_of(i ? "half.so" : "none.so");
		assert_string_equal(text_of(reader, address_of("names", "hidden")), "");
		assert_string_equal(text_of(reader, address_of("names", "visible")), "visible+0 ?:0");
		sym_reader_free(reader);
	}
	free(packed);
	free(symbols);
}

/* Files that end early, or are no objects at all. */
static void test_broken(void **state)
{
	size_t len;
	char *data = slurp("full.so", &len);
	uint64_t addr = address_of("names", "hidden");

	(void)state;
	for (size_t cut = 0; cut < len; cut += cut < 256 ? 16 : len / 40) {
		struct sym_reader *reader;

		write_bytes("cut.so", data, cut);
		reader = reader_of("cut.so");
		(void)text_of(reader, addr);
		sym_reader_free(reader);
	}
	for (unsigned int i = 0; i < 2; i++) {
		struct sym_reader *reader = reader_of("lib.c");

		if (i)
			assert_string_equal(text_of(reader, 0), "");
		sym_reader_free(reader);
	}
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_states),	  cmocka_unit_test(test_build_id),
		cmocka_unit_test(test_inlined),	  cmocka_unit_test(test_fixed_addresses),
		cmocka_unit_test(test_elsewhere), cmocka_unit_test(test_before),
		cmocka_unit_test(test_parts),	  cmocka_unit_test(test_inlined_in_itself),
		cmocka_unit_test(test_cxx),	  cmocka_unit_test(test_minidebug),
		cmocka_unit_test(test_broken),
	};

	return cmocka_run_group_tests(tests, make_all, remove_all);
}
