/* SPDX-License-Identifier: GPL-2.0-only */
/* What the slab allocator does with pointers that are no blocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "target/slab.h"
#include "target/slab_region.h"

#define PAGE SLAB_PAGE_BYTES

static char *volatile victim;

static void free_twice(void)
{
	victim = slab_alloc(64, 0);
	slab_free(victim);
	slab_free(victim);
}

static void free_twice_beside_living(void)
{
	victim = slab_alloc(64, 0);
	(void)slab_alloc(64, 0);
	slab_free(victim);
	slab_free(victim);
}

static void free_inside(void)
{
	victim = slab_alloc(64, 0);
	slab_free(victim + 16);
}

static void free_inside_run(void)
{
	victim = slab_alloc(3 * PAGE, 0);
	slab_free(victim + PAGE);
}

static void free_header(void)
{
	victim = slab_alloc(64, 0);
	slab_free((void *)((uintptr_t)victim & -REGION_BYTES));
}

static void free_run_twice(void)
{
	victim = slab_alloc(3 * PAGE, 0);
	(void)slab_alloc(64, 0);
	slab_free(victim);
	slab_free(victim);
}

static void free_large_twice(void)
{
	victim = slab_alloc(1 << 20, 0);
	slab_free(victim);
	slab_free(victim);
}

static void free_stack(void)
{
	char here[64];

	victim = here;
	slab_free(victim);
}

static void realloc_unknown(void)
{
	victim = (char *)(uintptr_t)0x1000;
	(void)slab_realloc(victim, 10);
}

/* @act in a child: it ends by abort, after one line. */
static void assert_aborts(void (*act)(void))
{
	char line[256];
	size_t len = 0;
	int ends[2], status;
	pid_t child;

	assert_int_equal(pipe(ends), 0);
	child = fork();
	if (child == 0) {
		struct rlimit no_core = { 0, 0 };

		setrlimit(RLIMIT_CORE, &no_core);
		signal(SIGABRT, SIG_DFL);
		dup2(ends[1], STDERR_FILENO);
		act();
		_exit(0);
	}
	close(ends[1]);
	for (ssize_t got; len < sizeof(line) - 1 && (got = read(ends[0], line + len, sizeof(line) - 1 - len)) > 0;)
		len += (size_t)got;
	close(ends[0]);
	line[len] = '\0';
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	assert_memory_equal(line, "slab: 0x", 8);
	assert_string_equal(strstr(line, " is no"), " is no living block\n");
}

static void errors_of_the_caller(void **state)
{
	(void)state;
	assert_int_equal(slab_init(), 0);
	assert_aborts(free_twice);
	assert_aborts(free_twice_beside_living);
	assert_aborts(free_inside);
	assert_aborts(free_inside_run);
	assert_aborts(free_header);
	assert_aborts(free_run_twice);
	assert_aborts(free_large_twice);
	assert_aborts(free_stack);
	assert_aborts(realloc_unknown);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors_of_the_caller),
	};

	return cmocka_run_group_tests_name("target_slab_errors", tests, NULL, NULL);
}
