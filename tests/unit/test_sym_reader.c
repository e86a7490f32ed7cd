/* SPDX-License-Identifier: GPL-2.0-only */
/* Small objects, made by the compiler and objcopy in a directory of the test's own, in every state in which distributions
 * ship theirs, and what is left of their names in each. */
#include "base/procfs.h"
#include "model/sym_client.h"
#include "model/sym_demangle.h"

#include <dirent.h>
#include <fcntl.h>
#include <lzma.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* A sanitiser takes seconds to say what a reader has died of, to nobody. */
#ifdef __SANITIZE_ADDRESS__
#define DAMAGED 8u
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "symbolize=0";
}
#else
#define DAMAGED 200u
#endif

static char dir[64];

static const char make_objects[] =
	"cd %s && set -e\n"
	"cat >lib.c <<'END'\n"
	"volatile int sink;\n"
	"static __attribute__((noinline)) void hidden(int x) { sink = x; }\n" /* line 2 */
	"static inline __attribute__((always_inline)) void inner(int x) { sink += x; hidden(x); }\n"
	"static inline __attribute__((always_inline)) void middle(int x)\n"
	"{\n"
	"	inner(x + 1);\n" /* line 6 */
	"}\n"
	"void visible(int x)\n"
	"{\n"
	"	middle(x + 2);\n" /* line 10 */
	"	sink = 0;\n"
	"}\n"
	"int main(void) { visible(1); return 0; }\n"
	"END\n"
	"cat >lib.cc <<'END'\n"
	"namespace app { template <class T> struct Widget { __attribute__((noinline)) void grow(T x); T held; };\n"
	"template <class T> void Widget<T>::grow(T x) { held += x; } }\n"
	"void use(app::Widget<int> &w) { w.grow(3); w.grow(4); }\n"
	"END\n"
	"cc=\"${CC:-gcc} -O2 -g -fPIC -Wl,--build-id\"\n"
	"$cc -shared -o full.so lib.c\n"
	"$cc -no-pie -fno-PIC -o fixed lib.c\n"
	"$cc -gdwarf-4 -shared -o four.so lib.c\n"
	"$cc -gz -shared -o packed.so lib.c\n"
	"g++ -O2 -g -fPIC -shared -o cxx.so lib.cc\n"
	"strip -o stripped.so full.so\n"
	"strip --strip-debug -o symbols.so full.so\n"
	"objcopy --only-keep-debug full.so linked.debug\n"
	"objcopy --add-gnu-debuglink=linked.debug stripped.so linked.so\n"
	"id=$(readelf -n full.so | sed -n 's/.*Build ID: //p')\n"
	"mkdir -p root/.build-id/${id%%${id#??}}\n"
	"cp linked.debug root/.build-id/${id%%${id#??}}/${id#??}.debug\n"
	"gcc -O2 -g -fPIC -shared -Wl,--build-id=none -o bare.so lib.c\n"
	"mkdir .debug\n"
	"objcopy --only-keep-debug bare.so .debug/bare.debug\n"
	"strip bare.so\n"
	"(cd .debug && objcopy --add-gnu-debuglink=bare.debug ../bare.so)\n"
	"cp bare.so other.so && objcopy --remove-section=.gnu_debuglink other.so\n"
	"cp linked.debug .debug/other.debug && (cd .debug && objcopy --add-gnu-debuglink=other.debug ../other.so)\n"
	"echo wrong >>.debug/other.debug\n"
	"nm full.so >names && nm --defined-only fixed >fixed.names && nm cxx.so >cxx.names && nm four.so >four.names\n"
	"nm packed.so >packed.names\n";

static int make_all(void **state)
{
	char script[sizeof(make_objects) + 128];

	(void)state;
	strcpy(dir, "/tmp/heaptrace-symbols-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(script, sizeof(script), make_objects, dir);
	return system(script);
}

static int remove_all(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

/* The address of @symbol in the list that nm made. */
static uint64_t address_of(const char *list, const char *symbol)
{
	char path[128], line[512], name[400], type;
	unsigned long long addr;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", dir, list);
	file = fopen(path, "r");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%llx %c %399s", &addr, &type, name) == 3 && !strcmp(name, symbol)) {
			fclose(file);
			return addr;
		}
	}
	fail_msg("%s has no %s", path, symbol);
	return 0;
}

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

static void test_cxx(void **state)
{
	struct sym_reader *reader = reader_of("cxx.so");

	(void)state;
	assert_string_equal(text_of(reader, address_of("cxx.names", "_ZN3app6WidgetIiE4growEi")),
			    "app::Widget<int>::grow+0 lib.cc:2");
	assert_memory_equal(text_of(reader, address_of("cxx.names", "_Z3useRN3app6WidgetIiEE")), "use+0 lib.cc:3", 14);
	sym_reader_free(reader);
}

static char *slurp(const char *object, size_t *ret_len)
{
	char path[128], *data = malloc(1 << 20);
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, object);
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	*ret_len = (size_t)read(fd, data, 1 << 20);
	close(fd);
	return data;
}

static void write_bytes(const char *object, const void *data, size_t len)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, object);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_int_equal(write(fd, data, len), len);
	close(fd);
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

static void count_answer(void *ctx, unsigned int index, const struct sym_frame *frames, unsigned int count)
{
	(void)index;
	(void)frames;
	(void)count;
	++*(unsigned int *)ctx;
}

static uint32_t add_file(struct sym_client *client, const char *object)
{
	uint32_t id = 0;
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, object);
	assert_int_equal(sym_client_add(client, open(path, O_RDONLY | O_CLOEXEC), path, &id), 0);
	return id;
}

/* Damaged files, read by the process that may die of them: every question gets its answer. */
static void test_damaged(void **state)
{
	uint64_t hidden = address_of("names", "hidden"), visible = address_of("names", "visible"), random = 1;
	struct sym_client *client = NULL;
	size_t len;
	char *data = slurp("full.so", &len), *damaged = malloc(len);

	(void)state;
	assert_int_equal(sym_client_open(&client), 0);
	for (unsigned int i = 0; i < DAMAGED; i++) {
		unsigned int answers = 0;
		struct sym_item items[4] = { { .offset = hidden }, { .offset = visible }, { .offset = visible + 9 } };

		memcpy(damaged, data, len);
		for (unsigned int j = 0; j < 1 + i % 16; j++) {
			random = random * 6364136223846793005u + 1442695040888963407u;
			/* Every other time among the headers of the file. */
			damaged[(random >> 33) % (i % 2 ? len : 512)] = (char)(random >> 24);
		}
		write_bytes("damaged.so", damaged, len);
		for (unsigned int j = 0; j < 4; j++)
			items[j].object = j ? items[0].object : add_file(client, "damaged.so");
		assert_int_equal(sym_client_find(client, items, 4, count_answer, &answers), 0);
		assert_int_equal(answers, 4);
		sym_client_drop(client, items[0].object);
	}
	sym_client_close(client);
	free(damaged);
	free(data);
}

static void keep_symbol(void *ctx, unsigned int index, const struct sym_frame *frames, unsigned int count)
{
	(void)index;
	snprintf(ctx, SYM_NAME_SIZE, "%s", count && frames[count - 1].symbol ? frames[count - 1].symbol : "");
}

/* The only child of @parent. */
static pid_t child_of(pid_t parent)
{
	struct procfs_stat stat;
	struct dirent *entry;
	DIR *proc = opendir("/proc");
	pid_t found = 0;

	assert_non_null(proc);
	while ((entry = readdir(proc))) {
		pid_t pid = atoi(entry->d_name);

		if (pid > 0 && !procfs_stat(pid, &stat) && stat.ppid == parent && stat.state != 'Z')
			found = pid;
	}
	closedir(proc);
	return found;
}

/* A reader that is killed is replaced, and nobody who asks notices. */
static void test_reader_dies(void **state)
{
	struct sym_item item = { .offset = address_of("names", "hidden") };
	char symbol[SYM_NAME_SIZE];
	struct sym_client *client = NULL;

	(void)state;
	assert_int_equal(sym_client_open(&client), 0);
	item.object = add_file(client, "full.so");
	for (unsigned int i = 0; i < 6; i++) {
		strcpy(symbol, "none");
		assert_int_equal(sym_client_find(client, &item, 1, keep_symbol, symbol), 0);
		assert_string_equal(symbol, "hidden");
		/* Its supervisor has told of the last death before the next question is asked, or tells of it after. */
		if (i % 2)
			assert_int_equal(kill(child_of(child_of(getpid())), SIGKILL), 0);
	}
	sym_client_close(client);
}

/* The reader has no capabilities, and is nobody where we are root. */
static void test_reader_rights(void **state)
{
	struct sym_client *client = NULL;
	struct procfs_status status;
	struct buf text = { 0 };
	pid_t reader;

	(void)state;
	assert_int_equal(sym_client_open(&client), 0);
	while (!(reader = child_of(child_of(getpid()))))
		;
	assert_int_equal(procfs_read(reader, "status", &text), 0);
	assert_int_equal(procfs_status(reader, &status), 0);
	assert_non_null(strstr(text.data, "\nCapPrm:\t0000000000000000\n"));
	assert_non_null(strstr(text.data, "\nNoNewPrivs:\t1\n"));
	assert_int_equal(status.uid, getuid() ? getuid() : 65534);
	buf_free(&text);
	sym_client_close(client);
	assert_int_equal(child_of(getpid()), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_states),	    cmocka_unit_test(test_build_id),
		cmocka_unit_test(test_inlined),	    cmocka_unit_test(test_fixed_addresses),
		cmocka_unit_test(test_cxx),	    cmocka_unit_test(test_minidebug),
		cmocka_unit_test(test_broken),	    cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_reader_dies), cmocka_unit_test(test_reader_rights),
	};

	return cmocka_run_group_tests(tests, make_all, remove_all);
}
