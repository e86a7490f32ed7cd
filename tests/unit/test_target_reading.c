/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "target/reading.h"
#include "target/room.h"

static const char status[] =
	"Name:\tVmSize: 7 kB\nUmask:\t0022\nVmPeak:\t    9999 kB\nVmSize:\t    2504 kB\nVmHWM:\t    2500 kB\n"
	"VmRSS:\t    2416 kB\nRssAnon:\t     400 kB\nRssFile:\t    2000 kB\nRssShmem:\t      16 kB\n"
	"VmSwap:\t       3 kB\nThreads:\t1\n";

static void all_fields(void **state)
{
	struct reading reading;

	(void)state;
	assert_int_equal(reading_parse(status, strlen(status), &reading), 0);
	assert_int_equal(reading.virt_bytes, 2504 * 1024);
	assert_int_equal(reading.rss_bytes, 2416 * 1024);
	assert_int_equal(reading.anon_bytes, 400 * 1024);
	assert_int_equal(reading.file_bytes, 2000 * 1024);
	assert_int_equal(reading.shmem_bytes, 16 * 1024);
	assert_int_equal(reading.swap_bytes, 3 * 1024);
}

static void missing_fields(void **state)
{
	static const char old[] = "VmSize:\t10 kB\nVmRSS:\t4 kB\n";
	static const char kernel_thread[] = "Name:\tkthreadd\nThreads:\t1\n";
	struct reading reading = { .virt_bytes = 4711 };

	(void)state;
	assert_int_equal(reading_parse(kernel_thread, strlen(kernel_thread), &reading), -EBADMSG);
	assert_int_equal(reading_parse("", 0, &reading), -EBADMSG);
	assert_int_equal(reading.virt_bytes, 4711);
	assert_int_equal(reading_parse(old, strlen(old), &reading), 0);
	assert_int_equal(reading.virt_bytes, 10 * 1024);
	assert_int_equal(reading.anon_bytes, READING_UNKNOWN);
	assert_int_equal(reading.swap_bytes, READING_UNKNOWN);
}

/* Where status lags behind, RSS is of smaps_rollup, which has files and shared memory in one. */
static void rollup(void **state)
{
	static const char text[] =
		"7ffe-7fff ---p 00000000 00:00 0 [rollup]\nRss:\t 40 kB\nPss:\t 9 kB\nAnonymous:\t 12 kB\n"
		"Swap:\t 8 kB\n";
	struct reading reading = { .virt_bytes = 7, .rss_bytes = 1, .file_bytes = 2, .shmem_bytes = 3 }, untouched;

	(void)state;
	assert_int_equal(reading_parse_rollup(text, strlen(text), &reading), 0);
	assert_int_equal(reading.virt_bytes, 7);
	assert_int_equal(reading.rss_bytes, 40 * 1024);
	assert_int_equal(reading.anon_bytes, 12 * 1024);
	assert_int_equal(reading.swap_bytes, 8 * 1024);
	assert_int_equal(reading.file_bytes, READING_UNKNOWN);
	assert_int_equal(reading.shmem_bytes, READING_UNKNOWN);
	untouched = reading;
	assert_int_equal(reading_parse_rollup("Pss: 9 kB\n", 10, &reading), -EBADMSG);
	assert_int_equal(reading_parse_rollup("Rss: 9 MB\n", 10, &reading), -EBADMSG);
	assert_memory_equal(&reading, &untouched, sizeof(reading));
}

static void malformed_values(void **state)
{
	static const char *const bad[] = {
		"VmSize:\t kB\nVmRSS:\t4 kB\n",
		"VmSize:\t10\nVmRSS:\t4 kB\n",
		"VmSize:\t10 MB\nVmRSS:\t4 kB\n",
		"VmSize:\t-10 kB\nVmRSS:\t4 kB\n",
		"VmSize:\t12345678901234567 kB\nVmRSS:\t4 kB\n",
		"VmSize:\t10 kB\nVmRSS:\t4 k", /* cut off */
	};
	struct reading reading;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(reading_parse(bad[i], strlen(bad[i]), &reading), -EBADMSG);
}

/* Against the kernel: 64 pages more are exactly 64 pages more. */
static void of_this_process(void **state)
{
	static char buffer[READING_BUFFER_BYTES];
	size_t len = (size_t)sysconf(_SC_PAGESIZE) * 64;
	struct reading before, mapped, touched;
	int fd = reading_open();
	char *pages;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(reading_take(fd, buffer, &before), 0); /* warms up */
	assert_int_equal(reading_take(fd, buffer, &before), 0);
	pages = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(pages, MAP_FAILED);
	assert_int_equal(reading_take(fd, buffer, &mapped), 0);
	assert_int_equal(mapped.virt_bytes - before.virt_bytes, len);
	memset(pages, 1, len);
	assert_int_equal(reading_take(fd, buffer, &touched), 0);
	assert_int_equal(touched.virt_bytes, mapped.virt_bytes);
	assert_true(touched.rss_bytes - mapped.rss_bytes >= len);
	assert_int_equal(touched.rss_bytes, touched.anon_bytes + touched.file_bytes + touched.shmem_bytes);
	munmap(pages, len);
	close(fd);
	assert_int_equal(reading_take(-1, buffer, &touched), -EBADF);
}

static void room_numbers(void **state)
{
	static const char meminfo[] = "MemTotal:       24684084 kB\nMemFree:  1 kB\nMemAvailable:   23000000 kB\n";
	uint64_t value = 4711;

	(void)state;
	assert_int_equal(room_find(meminfo, "MemAvailable:", &value), 0);
	assert_int_equal(value, 23000000);
	assert_int_equal(room_find(meminfo, "Available:", &value), -ENOENT); /* not in mid-line */
	assert_int_equal(room_find("", "MemTotal:", &value), -ENOENT);
	assert_int_equal(room_find("max\n", "", &value), -EINVAL); /* a limit that is none */
	assert_int_equal(room_find("MemTotal: kB\n", "MemTotal:", &value), -EINVAL);
	assert_int_equal(value, 23000000);
	assert_int_equal(room_find("1048576\n", "", &value), 0);
	assert_int_equal(value, 1048576);
}

static void room_groups(void **state)
{
	static const char hybrid[] =
		"12:cpu,cpuacct:/a\n5:memoryless:/b\n4:hugetlb,memory:/user.slice/x\n0::/init.scope\n";
	char path[32] = "unchanged";

	(void)state;
	assert_int_equal(room_cgroup_path(hybrid, true, path, sizeof(path)), 0);
	assert_string_equal(path, "/user.slice/x");
	assert_int_equal(room_cgroup_path(hybrid, false, path, sizeof(path)), 0);
	assert_string_equal(path, "/init.scope");
	assert_int_equal(room_cgroup_path("0::/", true, path, sizeof(path)), -ENOENT);
	assert_int_equal(room_cgroup_path("5:memory:/only/v1\n", false, path, sizeof(path)), -ENOENT);
	assert_int_equal(room_cgroup_path("", false, path, sizeof(path)), -ENOENT);
	assert_int_equal(room_cgroup_path("no colons\n0:\n", true, path, sizeof(path)), -ENOENT);
	assert_int_equal(room_cgroup_path("0::/0123456789/0123456789/0123456789\n", false, path, sizeof(path)),
			 -ENAMETOOLONG);
	assert_string_equal(path, "/init.scope");
}

static void room_of_this_machine(void **state)
{
	uint64_t available = room_available_bytes();

	(void)state;
	assert_true(available > 0);
	assert_true(available <= room_machine_bytes());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_fields),		cmocka_unit_test(missing_fields),
		cmocka_unit_test(malformed_values),	cmocka_unit_test(of_this_process),
		cmocka_unit_test(room_numbers),		cmocka_unit_test(room_groups),
		cmocka_unit_test(room_of_this_machine), cmocka_unit_test(rollup),
	};

	return cmocka_run_group_tests_name("target_reading", tests, NULL, NULL);
}
