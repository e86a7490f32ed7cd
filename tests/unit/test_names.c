/* SPDX-License-Identifier: GPL-2.0-only */
#include "event/memcalls.h"
#include "model/jitmap.h"
#include "tests/unit/names_live.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/wait.h>

#include <cmocka.h>

#define DEPTH 64

static unsigned int __attribute__((noinline)) take(struct frame *out)
{
	void *addrs[DEPTH];
	int count = backtrace(addrs, DEPTH);

	for (int i = 0; i < count; i++)
		out[i] = (struct frame){ .addr = (uintptr_t)addrs[i] };
	return (unsigned int)count;
}

static inline unsigned int __attribute__((always_inline)) names_inner(struct frame *out)
{
	unsigned int count = take(out);

	__asm__ volatile("" ::: "memory");
	return count;
}

static unsigned int __attribute__((noinline)) names_outer(struct frame *out)
{
	unsigned int count = names_inner(out);

	__asm__ volatile("" ::: "memory");
	return count;
}

/* The @index-th line of the last call chain. */
static const char *line_of(const struct names_live *live, unsigned int index)
{
	static char line[2048];
	const char *at = strstr(live->text, "take 0x"); /* a sanitiser may have frames of its own before */

	while (index-- && at)
		at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL;
	snprintf(line, sizeof(line), "%.*s", at ? (int)strcspn(at, "\n") : 0, at ? at : "");
	return line;
}

static void assert_begins(const char *text, const char *beginning)
{
	if (strncmp(text, beginning, strlen(beginning)) != 0)
		fail_msg("\"%s\" does not begin with \"%s\"", text, beginning);
}

static void assert_holds(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" does not hold \"%s\"", text, part);
}

/* This process's own call chain: exact lines, an inlined function, the C library, and the same again from memory. */
static void test_own(void **state)
{
	struct names_live live = { NULL };
	struct frame frames[DEPTH];
	unsigned int count = names_outer(frames);
	uint64_t id;

	(void)state;
	assert_int_equal(names_live_open(&live, getpid()), 0);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(names_live_row(&live, frames, count), 0);
		assert_begins(line_of(&live, 0), "take 0x");
		assert_holds(line_of(&live, 0), " test_names.c:");
		assert_holds(line_of(&live, 0), "/test_names");
		assert_begins(line_of(&live, 1), "names_inner 0 test_names.c:");
		assert_holds(line_of(&live, 1), " [inlined]");
		assert_begins(line_of(&live, 2), "names_outer 0x");
		assert_begins(line_of(&live, 3), "test_own 0x");
		assert_holds(live.text, "\nmain 0x");
		assert_holds(live.text, "libc.so.6\n");
		assert_int_not_equal(live.stack_id, 0);
		if (i)
			assert_int_equal(live.stack_id, id);
		id = live.stack_id;
	}
	names_live_close(&live);
}

/* Addresses that no object holds, a chain without end, and the vDSO. */
static void test_elsewhere(void **state)
{
	struct names_live live = { NULL };
	struct frame frames[] = { { .addr = 16 }, { .addr = 0 }, { .addr = UINT64_MAX }, { .addr = (uintptr_t)&live } };
	void *vdso = (void *)getauxval(AT_SYSINFO_EHDR);
	const ElfW(Ehdr) *head = vdso;

	(void)state;
	assert_int_equal(names_live_open(&live, getpid()), 0);
	assert_int_equal(names_live_row(&live, frames, 4), 0);
	assert_string_equal(live.text, "? 0 ?:0 ?\n? 0 ?:0 ?\n? 0 ?:0 ?\n? 0 ?:0 [stack]\n");
	if (head) {
		frames[0] = (struct frame){ .addr = (uintptr_t)dlsym(dlopen("linux-vdso.so.1", RTLD_LAZY | RTLD_NOLOAD),
								     "__vdso_clock_gettime"),
					    .exact = true };
		if (!frames[0].addr)
			frames[0].addr = (uintptr_t)vdso + head->e_entry;
		assert_int_equal(names_live_row(&live, frames, 1), 0);
		assert_holds(live.text, "[vdso]");
	}
	names_live_close(&live);
}

/* A process that waits until its standard input ends. Its first word is where its names_outer() is. */
static int hold(void)
{
	char c;

	printf("%p\n", (void *)names_outer);
	fflush(stdout);
	return read(STDIN_FILENO, &c, 1) != 0;
}

struct held {
	pid_t pid;
	int in, out; /* our ends */
	uint64_t addr;
};

static void held_start(struct held *held, char *program)
{
	char *argv[] = { program, "hold", NULL }, text[64] = "";
	int in[2], out[2];
	ssize_t got = 0, more;

	assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC), 0);
	held->pid = fork();
	if (!held->pid) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		execv(program, argv);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	held->in = in[1];
	held->out = out[0];
	while (!strchr(text, '\n') && (more = read(held->out, text + got, sizeof(text) - 1 - (size_t)got)) > 0)
		got += more;
	held->addr = strtoull(text, NULL, 16);
	assert_int_not_equal(held->addr, 0);
}

static void held_end(struct held *held)
{
	int status;

	close(held->in);
	assert_int_equal(waitpid(held->pid, &status, 0), held->pid);
	close(held->out);
}

static void copy_file(const char *from, const char *to)
{
	char command[512];

	snprintf(command, sizeof(command), "cp %s %s", from, to);
	assert_int_equal(system(command), 0);
}

/* The program is replaced by another file while it runs, its mappings are seen, it ends, and then its name is asked for. */
static void test_replaced_and_gone(void **state)
{
	struct names_live live = { NULL };
	char dir[] = "/tmp/heaptrace-names-XXXXXX", path[64], self[400] = "";
	struct frame frame = { .exact = true };
	struct held held;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/program", dir);
	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	copy_file(self, path);
	held_start(&held, path);
	unlink(path);
	copy_file("/bin/true", path);
	assert_int_equal(names_live_open(&live, held.pid), 0);
	held_end(&held);
	frame.addr = held.addr;
	assert_int_equal(names_live_row(&live, &frame, 1), 0);
	assert_begins(live.text, "names_outer 0 test_names.c:");
	assert_holds(live.text, path);
	names_live_close(&live);
	unlink(path);
	rmdir(dir);
}

/* A child has the code that its parent had, and keeps it when the parent is forgotten. */
static void test_fork(void **state)
{
	struct names_live live = { NULL };
	struct event event = { .kind = EVENT_MM_OPEN,
			       .pid = getpid(),
			       .tid = getpid(),
			       .mm = 2,
			       .open = { .how = OPEN_FORK, .parent_mm = 1 } };
	struct frame frame = { .addr = (uintptr_t)names_outer, .exact = true };

	(void)state;
	assert_int_equal(names_live_open(&live, getpid()), 0);
	assert_int_equal(model_feed(live.model, &event), 0);
	event = (struct event){ .kind = EVENT_MM_CLOSE, .pid = getpid(), .mm = 1 };
	assert_int_equal(model_feed(live.model, &event), 0);
	event = (struct event){ .kind = EVENT_CHANGE, .pid = getpid(), .mm = 2 };
	event.change = (struct event_change){
		.cause = CAUSE_FAULT, .name = "minor", .attributed = true, .stack = &frame, .stack_len = 1
	};
	assert_int_equal(model_feed(live.model, &event), 0);
	assert_begins(live.text, "names_outer 0 test_names.c:");
	names_live_close(&live);
}

/* Feeds an mmap of @prot at @start, of the file @path or of none, from its beginning. */
static void feed_mmap(struct names_live *live, void *start, size_t len, int prot, const char *path)
{
	struct event event = { .kind = EVENT_CHANGE, .pid = getpid(), .tid = getpid(), .mm = 1 };

	event.change = (struct event_change){ .cause = CAUSE_SYSCALL,
					      .name = "mmap",
					      .count = 1,
					      .has_ret = true,
					      .ret = (intptr_t)start,
					      .attributed = true,
					      .text = path };
	event.change.call = memcall_by_name("mmap");
	event.change.args[1] = len;
	event.change.args[2] = (uint64_t)prot;
	event.change.args[3] = path ? MAP_PRIVATE : MAP_PRIVATE | MAP_ANONYMOUS;
	event.change.delta.virt = (int64_t)len;
	assert_int_equal(model_feed(live->model, &event), 0);
}

/* Code that is mapped later, as by dlopen; names that were missing before are there then. */
static void test_mapped_later(void **state)
{
	struct names_live live = { NULL };
	size_t bytes = 16 << 20; /* more than any build of this program has of code */
	char path[512] = "";
	Dl_info info;
	void *start;
	int fd;
	struct frame frame = { .exact = true };

	(void)state;
	assert_int_equal(names_live_open(&live, getpid()), 0);
	assert_true(readlink("/proc/self/exe", path, sizeof(path) - 1) > 0);
	fd = open(path, O_RDONLY);
	start = mmap(NULL, bytes, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	close(fd);
	assert_ptr_not_equal(start, MAP_FAILED);
	assert_int_not_equal(dladdr((void *)names_outer, &info), 0);
	/* names_outer as far behind this mapping as it is behind the first one: text has no other place in the file. */
	frame.addr = (uintptr_t)start + ((uintptr_t)names_outer - (uintptr_t)info.dli_fbase);
	assert_int_equal(names_live_row(&live, &frame, 1), 0);
	assert_begins(live.text, "? 0 ?:0 ?");
	feed_mmap(&live, start, bytes, PROT_READ | PROT_EXEC, path);
	assert_int_equal(names_live_row(&live, &frame, 1), 0);
	assert_begins(live.text, "names_outer 0 test_names.c:");
	munmap(start, bytes);
	names_live_close(&live);
}

/* What could be in the place of a list of names: none is read, and nothing waits for it. $p is the path; a good list is beside it. */
static const char *const no_lists[] = {
	"ln -s $p.good $p",
	"ln $p.good $p",
	"mkfifo $p",
	"mkdir $p",
	"cp $p.good $p && chown 65534 $p",
	"mknod $p c 1 5",
	"truncate -s 1T $p",
	"yes | head -c 1000000 | tr -d '\\n' >$p",
};

static void test_no_lists(void **state)
{
	void *code = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct frame frame = { .addr = (uintptr_t)code + 0x20, .exact = true };
	char path[64], command[256];

	(void)state;
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)getpid());
	snprintf(command, sizeof(command), "echo %lx 100 good >%s.good", (unsigned long)code, path);
	assert_int_equal(system(command), 0);
	for (unsigned int i = 0; i < sizeof(no_lists) / sizeof(no_lists[0]); i++) {
		struct names_live live = { NULL };

		snprintf(command, sizeof(command), "p=%s && %s", path, no_lists[i]);
		if (!getuid() || !strstr(command, "65534"))
			(void)!system(command);
		assert_int_equal(names_live_open(&live, getpid()), 0);
		feed_mmap(&live, code, 4096, PROT_READ | PROT_EXEC, NULL);
		assert_int_equal(names_live_row(&live, &frame, 1), 0);
		assert_string_equal(live.text, "? 0 ?:0 [anon]\n");
		names_live_close(&live);
		(void)remove(path);
	}
	snprintf(command, sizeof(command), "rm %s.good", path);
	assert_int_equal(system(command), 0);
	munmap(code, 4096);
}

/* Of one that is too large what fits is read. */
static void test_huge_list(void **state)
{
	struct jitmap *jitmap = jitmap_new_empty();
	uint64_t offset = 0;
	char text[64];

	(void)state;
	for (unsigned int i = 0; i < JITMAP_FUNCTIONS_MAX + 10; i++) {
		int len = snprintf(text, sizeof(text), "%x0 10 f%u\n", i + 1, i);

		assert_int_equal(jitmap_parse(jitmap, text, (size_t)len), len);
	}
	assert_string_equal(jitmap_find(jitmap, JITMAP_FUNCTIONS_MAX * 16ull + 3, 0, &offset), "f999999");
	assert_int_equal(offset, 3);
	assert_null(jitmap_find(jitmap, JITMAP_FUNCTIONS_MAX * 16ull + 20, 0, &offset));
	jitmap_free(jitmap);
}

/* A compiler's own list of names, read as it grows; one that is a link, or has another name, is none. */
static void test_jit(void **state)
{
	struct names_live live = { NULL };
	void *code = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct frame frames[] = { { .addr = (uintptr_t)code + 0x20, .exact = true },
				  { .addr = (uintptr_t)code + 0x140 } };
	char path[64], text[256];
	FILE *map;

	(void)state;
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)getpid());
	unlink(path);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(names_live_open(&live, getpid()), 0);
	feed_mmap(&live, code, 8192, PROT_READ | PROT_EXEC, NULL);
	assert_int_equal(names_live_row(&live, frames, 1), 0);
	assert_string_equal(live.text, "? 0 ?:0 [anon]\n");
	unlink(path);
	map = fopen(path, "w");
	fprintf(map, "%lx 100 LazyCompile:~first file.js:1\nnonsense\n", (unsigned long)code);
	fprintf(map, "%lx 40 half of a line", (unsigned long)code + 0x100);
	fflush(map);
	frames[0].addr++;
	assert_int_equal(names_live_row(&live, frames, 2), 0);
	snprintf(text, sizeof(text), "LazyCompile:~first file.js:1 0x21 ?:0 [jit]\n? 0 ?:0 [anon]\n");
	assert_string_equal(live.text, text);
	fprintf(map, " is whole\n");
	fclose(map);
	frames[0].addr++;
	assert_int_equal(names_live_row(&live, frames, 2), 0);
	snprintf(text, sizeof(text),
		 "LazyCompile:~first file.js:1 0x22 ?:0 [jit]\nhalf of a line is whole 0x40 ?:0 [jit]\n");
	assert_string_equal(live.text, text);
	unlink(path);
	munmap(code, 8192);
	names_live_close(&live);
}

/* Without a reader there are objects still. */
static void test_no_reader(void **state)
{
	struct names_live live = { NULL };
	struct frame frame = { .addr = (uintptr_t)names_outer, .exact = true };

	(void)state;
	live.without = true;
	assert_int_equal(names_live_open(&live, getpid()), 0);
	assert_int_equal(names_live_row(&live, &frame, 1), 0);
	assert_begins(live.text, "? 0 ?:0 /");
	assert_holds(live.text, "/test_names\n");
	names_live_close(&live);
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "hold"))
		return hold();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_replaced_and_gone), cmocka_unit_test(test_fork),
		cmocka_unit_test(test_mapped_later),	  cmocka_unit_test(test_jit),
		cmocka_unit_test(test_no_lists),	  cmocka_unit_test(test_huge_list),
		cmocka_unit_test(test_no_reader),	  cmocka_unit_test(test_own),
		cmocka_unit_test(test_elsewhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
