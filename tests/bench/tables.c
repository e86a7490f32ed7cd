/* SPDX-License-Identifier: GPL-2.0-only */
/* How long the tables of objects take that stacks are walked by in the kernel: reading, and compiling to rules. CPU time, the
 * best of five.
 *
 * usage: tables FILE... */
#include "source/table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TIMES 5

static double now_ms(void)
{
	struct timespec time;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return (double)time.tv_sec * 1e3 + (double)time.tv_nsec * 1e-6;
}

/* Reads and compiles the file at @fd once. 0 or -errno. */
static int compile(int fd, struct table **ret_table)
{
	struct unwind_object object;
	struct object_bytes bytes = { .fd = fd };
	struct stat status;
	int err = fstat(fd, &status) ? -errno : 0;

	bytes.size = (uint64_t)status.st_size;
	if (!err)
		err = object_read(&bytes, &object);
	if (err)
		return err;
	err = table_compile(&object, ret_table);
	object_clear(&object);
	return err;
}

/* Prints a line for @path and adds its time to @total_ms. 0 or -errno. */
static int measure(const char *path, double *total_ms)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), err = fd < 0 ? -errno : 0;
	double best = 1e9;

	for (int i = 0; i < TIMES && !err; i++) {
		struct table *table = NULL;
		double begin = now_ms(), took;

		err = compile(fd, &table);
		took = now_ms() - begin;
		best = took < best ? took : best;
		if (!err && i + 1 == TIMES)
			printf("%8.2f ms  %7u rows  %4u rules  %6.0f KiB  %s\n", best, table->count, table->rule_count,
			       (double)table_pages(table) * sizeof(struct wire_page) / 1024, path);
		table_free(table);
	}
	if (fd >= 0)
		close(fd);
	*total_ms += err ? 0 : best;
	return err;
}

int main(int argc, char **argv)
{
	double total_ms = 0;
	int status = 0;

	for (int i = 1; i < argc; i++) {
		int err = measure(argv[i], &total_ms);

		if (err) {
			fprintf(stderr, "tables: %s: %s\n", argv[i], strerror(-err));
			status = 1;
		}
	}
	printf("%8.2f ms  in all\n", total_ms);
	return status;
}
