/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const char status_text[] = "Name:\tState:\\tX\n"
				  "Umask:\t0022\n"
				  "State:\tS (sleeping)\n"
				  "Tgid:\t4321\n"
				  "Ngid:\t0\n"
				  "Pid:\t4322\n"
				  "PPid:\t1\n"
				  "TracerPid:\t77\n"
				  "Uid:\t1000\t1001\t1002\t1003\n"
				  "VmPeak:\t    3000 kB\n"
				  "VmSize:\t    2520 kB\n"
				  "VmHWM:\t    1500 kB\n"
				  "VmRSS:\t    1204 kB\n"
				  "RssAnon:\t     120 kB\n"
				  "RssFile:\t    1080 kB\n"
				  "RssShmem:\t       4 kB\n"
				  "VmSwap:\t      16 kB\n"
				  "Threads:\t3\n";

static void test_status(void **state)
{
	struct procfs_status status;

	(void)state;
	assert_int_equal(procfs_parse_status(status_text, strlen(status_text), &status), 0);
	assert_int_equal(status.tgid, 4321);
	assert_int_equal(status.ppid, 1);
	assert_int_equal(status.tracer, 77);
	assert_int_equal(status.uid, 1000);
	assert_int_equal(status.threads, 3);
	assert_int_equal(status.state, 'S');
	assert_true(status.has_mm);
	assert_int_equal(status.peak, 3000 * 1024);
	assert_int_equal(status.hwm, 1500 * 1024);
	assert_int_equal(status.mem.virt, 2520 * 1024);
	assert_int_equal(status.mem.rss, 1204 * 1024);
	assert_int_equal(status.mem.anon, 120 * 1024);
	assert_int_equal(status.mem.file, 1080 * 1024);
	assert_int_equal(status.mem.shmem, 4 * 1024);
	assert_int_equal(status.mem.swap, 16 * 1024);
}

static void test_status_without_mm(void **state)
{
	static const char zombie[] =
		"Name:\tsh\nState:\tZ (zombie)\nTgid:\t5\nPPid:\t4\nUid:\t0\t0\t0\t0\nThreads:\t1\n";
	struct procfs_status status;

	(void)state;
	assert_int_equal(procfs_parse_status(zombie, strlen(zombie), &status), 0);
	assert_false(status.has_mm);
	assert_int_equal(status.state, 'Z');
	assert_int_equal(status.mem.virt, 0);
}

static void test_status_refuses(void **state)
{
	static const char *const bad[] = {
		"",
		"no status",
		"Tgid:\tx\nPPid:\t1\n",
		"Tgid:\t1\n",
		"Tgid:\t1\nPPid:\t1\nVmSize:\t99999999999999999999 kB\n",
		"Tgid:\t1\nPPid:\t1\nVmSize:\t kB\n",
	};
	struct procfs_status status;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(procfs_parse_status(bad[i], strlen(bad[i]), &status), -EBADMSG);
}

/* A parser reads no byte behind its text: each prefix lies at the end of its own allocation, for the sanitizer to see. */
static void each_prefix(const char *text, size_t len, void (*parse)(const char *text, size_t len))
{
	for (size_t cut = 0; cut <= len; cut++) {
		char *copy = malloc(cut ? cut : 1);

		assert_non_null(copy);
		memcpy(copy, text, cut);
		parse(copy, cut);
		free(copy);
	}
}

static void parse_as_status(const char *text, size_t len)
{
	struct procfs_status status;

	(void)procfs_parse_status(text, len, &status);
}

static void parse_as_stat(const char *text, size_t len)
{
	struct procfs_stat stat;

	(void)procfs_parse_stat(text, len, &stat);
}

static void parse_as_maps(const char *text, size_t len)
{
	struct procfs_map map;
	size_t pos = 0;

	while (procfs_parse_map(text, len, &pos, &map) > 0)
		assert_true(pos <= len);
}

static const char stat_text[] =
	"4321 (a) R (b c) S 17 4321 4321 0 -1 4194560 100 0 0 0 1 2 0 0 20 0 1 0 987654 2580480 301 "
	"18446744073709551615 1 1 0 0\n";

static void test_stat(void **state)
{
	struct procfs_stat stat;

	(void)state;
	assert_int_equal(procfs_parse_stat(stat_text, strlen(stat_text), &stat), 0);
	assert_string_equal(stat.comm, "a) R (b c");
	assert_int_equal(stat.state, 'S');
	assert_int_equal(stat.ppid, 17);
	assert_int_equal(stat.start_ticks, 987654);
}

static void test_stat_refuses(void **state)
{
	static const char *const bad[] = {
		"", "1 (a", "1 a) S 2", ") (", "1 (a) S", "1 (a) S x", "1 (a) S 1 2 3 4 5 6"
	};
	struct procfs_stat stat;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(procfs_parse_stat(bad[i], strlen(bad[i]), &stat), -EBADMSG);
}

static const char rollup_text[] = "55d0c0000000-7ffd00000000 ---p 00000000 00:00 0                          [rollup]\n"
				  "Rss:                1204 kB\n"
				  "Pss:                 300 kB\n"
				  "Pss_Anon:            120 kB\n"
				  "Anonymous:           120 kB\n"
				  "LazyFree:              8 kB\n"
				  "AnonHugePages:      2048 kB\n"
				  "Swap:                 16 kB\n"
				  "SwapPss:               1 kB\n"
				  "Locked:                4 kB\n";

static void test_rollup(void **state)
{
	struct procfs_rollup rollup;

	(void)state;
	assert_int_equal(procfs_parse_rollup(rollup_text, strlen(rollup_text), &rollup), 0);
	assert_int_equal(rollup.rss, 1204 * 1024);
	assert_int_equal(rollup.pss, 300 * 1024);
	assert_int_equal(rollup.anon, 120 * 1024);
	assert_int_equal(rollup.lazy_free, 8 * 1024);
	assert_int_equal(rollup.anon_huge, 2048 * 1024);
	assert_int_equal(rollup.swap, 16 * 1024);
	assert_int_equal(rollup.locked, 4 * 1024);
	assert_int_equal(procfs_parse_rollup("Pss: 1 kB\n", 10, &rollup), -EBADMSG);
}

static const char maps_text[] =
	"55d0c0000000-55d0c0001000 r-xp 00002000 fe:01 123456                     /usr/bin/a b\\012c (deleted)\n"
	"7f0000000000-7f0000200000 rw-p 00000000 00:00 0 \n"
	"7f0000200000-7f0000201000 rw-s 00000000 00:05 77\n"
	"7ffd00000000-7ffd00021000 ---p 00000000 00:00 0                          [stack]\n"
	"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]";

static void assert_path(const struct procfs_map *map, const char *path)
{
	assert_int_equal(map->path_len, strlen(path));
	assert_memory_equal(map->path, path, map->path_len);
}

static void test_maps(void **state)
{
	const size_t len = strlen(maps_text);
	struct procfs_map map;
	size_t pos = 0;

	(void)state;
	assert_int_equal(procfs_parse_map(maps_text, len, &pos, &map), 1);
	assert_int_equal(map.start, 0x55d0c0000000);
	assert_int_equal(map.end, 0x55d0c0001000);
	assert_int_equal(map.prot, PROT_READ | PROT_EXEC);
	assert_false(map.shared);
	assert_int_equal(map.offset, 0x2000);
	assert_int_equal(map.dev, makedev(0xfe, 1));
	assert_int_equal(map.inode, 123456);
	assert_path(&map, "/usr/bin/a b\\012c (deleted)");
	assert_int_equal(procfs_parse_map(maps_text, len, &pos, &map), 1);
	assert_int_equal(map.prot, PROT_READ | PROT_WRITE);
	assert_path(&map, "");
	assert_int_equal(procfs_parse_map(maps_text, len, &pos, &map), 1);
	assert_true(map.shared);
	assert_int_equal(map.inode, 77);
	assert_int_equal(procfs_parse_map(maps_text, len, &pos, &map), 1);
	assert_int_equal(map.prot, PROT_NONE);
	assert_path(&map, "[stack]");
	assert_int_equal(procfs_parse_map(maps_text, len, &pos, &map), 1);
	assert_int_equal(map.end, 0xffffffffff601000);
	assert_path(&map, "[vsyscall]");
	assert_int_equal(procfs_parse_map(maps_text, len, &pos, &map), 0);
}

static void test_maps_refuse(void **state)
{
	static const char *const bad[] = {
		"\n",
		"1000-1000 r--p 0 0:0 0\n",
		"2000-1000 r--p 0 0:0 0\n",
		"1000-2000 rw+p 0 0:0 0\n",
		"1000-2000 r--q 0 0:0 0\n",
		"1000-2000 r--p 0 00 0\n",
		"1000-2000 r--p 0 0:0 x\n",
		"1000-2000 r--p 0 0:0 0x\n",
		"10000000000000000-20000000000000000 r--p 0 0:0 0\n",
	};
	struct procfs_map map;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		size_t pos = 0;

		assert_int_equal(procfs_parse_map(bad[i], strlen(bad[i]), &pos, &map), -EBADMSG);
		assert_int_equal(pos, 0);
	}
}

static void test_prefixes(void **state)
{
	(void)state;
	each_prefix(status_text, strlen(status_text), parse_as_status);
	each_prefix(stat_text, strlen(stat_text), parse_as_stat);
	each_prefix(maps_text, strlen(maps_text), parse_as_maps);
}

/* One page more that is touched is one page more in status. */
static void test_own_memory(void **state)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), len = 1024 * page;
	struct procfs_mem before, mapped, touched;
	char *memory;

	(void)state;
	assert_int_equal(procfs_mem(getpid(), &before), 0);
	memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(memory, MAP_FAILED);
	madvise(memory, len, MADV_NOHUGEPAGE);
	assert_int_equal(procfs_mem(getpid(), &mapped), 0);
	assert_true(mapped.virt - before.virt >= (int64_t)len);
	memset(memory, 1, len);
	assert_int_equal(procfs_mem(getpid(), &touched), 0);
	assert_true(touched.anon - mapped.anon >= (int64_t)len);
	assert_int_equal(touched.rss, touched.anon + touched.file + touched.shmem);
	munmap(memory, len);
}

/* A child that has touched @pages pages and is stopped: nothing changes its memory any more. */
static pid_t stopped_child(size_t pages)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (!child) {
		char *memory = mmap(NULL, pages * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (memory == MAP_FAILED)
			_exit(1);
		madvise(memory, pages * page, MADV_NOHUGEPAGE);
		memset(memory, 1, pages * page);
		raise(SIGSTOP);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, WUNTRACED), child);
	assert_true(WIFSTOPPED(status));
	return child;
}

/* The judge is exact on every kernel: the numbers of smaps_rollup, which walks the pages. */
static void test_memory_is_exact(void **state)
{
	struct procfs_rollup rollup;
	struct procfs_mem mem;
	int dir = procfs_open(getpid());

	(void)state;
	assert_true(dir >= 0);
	assert_int_equal(procfs_may_watch(dir), 0);
	close(dir);
	assert_string_equal(procfs_judge(), procfs_status_is_exact() ? "status" : "smaps_rollup");
	for (size_t pages = 1; pages < 8; pages++) {
		pid_t child = stopped_child(pages);

		assert_int_equal(procfs_mem(child, &mem), 0);
		assert_int_equal(procfs_rollup(child, &rollup), 0);
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		assert_int_equal(mem.rss, rollup.rss);
		assert_int_equal(mem.anon, rollup.anon);
		assert_int_equal(mem.swap, rollup.swap);
	}
}

static int find_own_stack(void *ctx, const struct procfs_map *map)
{
	uint64_t addr = (uint64_t)(uintptr_t)ctx;

	return map->start <= addr && addr < map->end;
}

static void test_own_maps(void **state)
{
	int local = 0;

	(void)state;
	assert_int_equal(procfs_maps(getpid(), find_own_stack, &local), 1);
	assert_int_equal(procfs_maps(getpid(), find_own_stack, NULL), 0);
}

static void test_map_start(void **state)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *at = mmap(NULL, 5 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	uint64_t start = 7;
	int err;

	(void)state;
	assert_true(at != MAP_FAILED && fd >= 0);
	assert_int_equal(munmap(at, page), 0);
	assert_int_equal(munmap(at + 4 * page, page), 0);
	err = procfs_map_start(fd, (uintptr_t)at + 2 * page, &start);
	if (err != -ENOTTY) { /* Linux 6.11 or newer */
		assert_int_equal(err, 0);
		assert_int_equal(start, (uintptr_t)at + page);
		assert_int_equal(procfs_map_start(fd, (uintptr_t)at, &start), -ENOENT);
	}
	assert_int_equal(start, err ? 7 : (uintptr_t)at + page);
	close(fd);
	munmap(at + page, 3 * page);
}

static void test_own_stat_and_links(void **state)
{
	struct buf exe = { 0 };
	struct procfs_stat stat;
	struct procfs_rollup rollup;
	char expected[4096];
	ssize_t len;

	(void)state;
	assert_int_equal(procfs_stat(getpid(), &stat), 0);
	assert_int_equal(stat.ppid, getppid());
	assert_int_equal(stat.state, 'R');
	assert_int_equal(procfs_rollup(getpid(), &rollup), 0);
	assert_true(rollup.rss > 0);
	assert_int_equal(procfs_link(getpid(), "exe", &exe), 0);
	len = readlink("/proc/self/exe", expected, sizeof(expected) - 1);
	assert_true(len > 0);
	expected[len] = '\0';
	assert_string_equal(exe.data, expected);
	buf_free(&exe);
}

struct thread_check {
	int ready[2], done[2];
};

static void *wait_for_done(void *arg)
{
	struct thread_check *check = arg;
	pid_t tid = gettid();
	char byte;

	if (write(check->ready[1], &tid, sizeof(tid)) != sizeof(tid) || read(check->done[0], &byte, 1) != 0)
		return check;
	return NULL;
}

static void test_tasks(void **state)
{
	struct thread_check check;
	pid_t tid, *tids = NULL;
	pthread_t thread;
	size_t count = 0;
	void *failed = NULL;

	(void)state;
	assert_int_equal(pipe(check.ready), 0);
	assert_int_equal(pipe(check.done), 0);
	assert_int_equal(pthread_create(&thread, NULL, wait_for_done, &check), 0);
	assert_int_equal(read(check.ready[0], &tid, sizeof(tid)), sizeof(tid));
	assert_int_equal(procfs_tasks(getpid(), &tids, &count), 0);
	assert_int_equal(count, 2);
	assert_int_equal(tids[0] < tid ? tids[1] : tids[0], tid);
	assert_int_equal(procfs_tgid(tid), getpid());
	close(check.done[1]);
	pthread_join(thread, &failed);
	assert_null(failed);
	free(tids);
	close(check.done[0]);
	close(check.ready[0]);
	close(check.ready[1]);
}

/* A zombie has no memory; once it is reaped, it is gone. */
static void test_vanished(void **state)
{
	struct procfs_mem mem;
	struct buf text = { 0 };
	pid_t *tids = NULL, pid = fork();
	siginfo_t info;
	size_t count;
	int dir;

	(void)state;
	if (!pid)
		_exit(0);
	assert_true(pid > 0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	assert_int_equal(procfs_mem(pid, &mem), -ENODATA);
	dir = procfs_open(pid);
	assert_true(dir >= 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(procfs_mem(pid, &mem), -ESRCH);
	assert_int_equal(procfs_may_watch(dir), -ESRCH);
	close(dir);
	assert_int_equal(procfs_open(pid), -ESRCH);
	assert_int_equal(procfs_tgid(pid), -ESRCH);
	assert_int_equal(procfs_tasks(pid, &tids, &count), -ESRCH);
	assert_int_equal(procfs_maps(pid, find_own_stack, NULL), -ESRCH);
	assert_int_equal(procfs_link(pid, "exe", &text), -ESRCH);
	assert_null(tids);
	buf_free(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status),	       cmocka_unit_test(test_status_without_mm),
		cmocka_unit_test(test_status_refuses), cmocka_unit_test(test_stat),
		cmocka_unit_test(test_stat_refuses),   cmocka_unit_test(test_rollup),
		cmocka_unit_test(test_maps),	       cmocka_unit_test(test_maps_refuse),
		cmocka_unit_test(test_map_start),      cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_own_memory),     cmocka_unit_test(test_memory_is_exact),
		cmocka_unit_test(test_own_maps),       cmocka_unit_test(test_own_stat_and_links),
		cmocka_unit_test(test_tasks),	       cmocka_unit_test(test_vanished),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
