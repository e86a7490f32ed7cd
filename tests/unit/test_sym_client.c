/* SPDX-License-Identifier: GPL-2.0-only */
/* The process that reads symbols: what it may do, and that nobody who asks notices its end. */
#include "base/procfs.h"
#include "model/sym_client.h"
#include "model/sym_demangle.h"
#include "tests/unit/sym_objects.h"

#include <dirent.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

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

/* Questions that the reader dies of are counted, and an object that it died of often is not asked for again. */
static void test_unanswered(void **state)
{
	struct sym_item item = { .offset = address_of("names", "hidden") };
	struct sym_client *client = NULL;
	uint64_t before = 0;
	pid_t supervisor, killer;

	(void)state;
	assert_int_equal(sym_client_open(&client), 0);
	supervisor = child_of(getpid());
	killer = fork();
	if (!killer) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;) {
			pid_t reader = child_of(supervisor);

			if (reader)
				kill(reader, SIGKILL);
		}
	}
	item.object = add_file(client, "full.so");
	for (unsigned int strikes = 0; strikes < 4;) {
		char symbol[SYM_NAME_SIZE] = "none";

		assert_int_equal(sym_client_find(client, &item, 1, keep_symbol, symbol), 0);
		if (sym_client_unanswered(client) == before) {
			/* It was faster. */
			assert_string_equal(symbol, "hidden");
			continue;
		}
		assert_string_equal(symbol, "");
		assert_int_equal(sym_client_unanswered(client), ++before);
		strikes++;
	}
	kill(killer, SIGKILL);
	assert_int_equal(waitpid(killer, NULL, 0), killer);
	assert_int_equal(sym_client_find(client, &item, 1, keep_symbol, (char[SYM_NAME_SIZE]){ "" }), 0);
	assert_int_equal(sym_client_unanswered(client), ++before);
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
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_reader_dies),
		cmocka_unit_test(test_unanswered),
		cmocka_unit_test(test_reader_rights),
	};

	return cmocka_run_group_tests(tests, make_all, remove_all);
}
