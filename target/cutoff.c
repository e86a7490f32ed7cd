/* SPDX-License-Identifier: GPL-2.0-only */
#include "cutoff.h"

#include "mark.h"
#include "quiet.h"
#include "room.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* The answer of a probe, in memory shared with it. */
struct answer {
	int err; /* 0 or -errno */
	struct cutoff_probe probe;
};

/* The start of the heap: field 47 of /proc/self/stat, the second field of which is a name that may hold spaces. */
static uintptr_t start_brk(void)
{
	char text[1024];
	int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	const char *at;

	if (fd >= 0)
		close(fd);
	if (len < 0)
		return 0;
	text[len] = '\0';
	at = strrchr(text, ')');
	for (int field = 2; at && field < 47; field++)
		at = strchr(at + 1, ' ');
	return at ? (uintptr_t)strtoull(at + 1, NULL, 10) : 0;
}

static bool is_in_heap(const void *ptr)
{
	uintptr_t start = start_brk();

	return start && (uintptr_t)ptr >= start && (uintptr_t)ptr < (uintptr_t)sbrk(0);
}

static void *alloc_touched(const struct allocator *allocator, size_t size)
{
	void *ptr = allocator->alloc(size);

	if (ptr) {
		memset(ptr, 0x5a, size);
		__asm__ volatile("" : : "r"(ptr) : "memory");
	}
	return ptr;
}

/* Takes a reading, and leaves the mark that says where it was taken. 0 or -errno. */
static int observe(int fd, const char *word, size_t size, struct reading *out)
{
	static char buffer[READING_BUFFER_BYTES];
	struct mark mark = { .len = 0 };
	int err;

	mark_make(&mark, word, size, 0, 0);
	err = reading_take(fd, buffer, out);
	mark_send(&mark);
	return err;
}

/* The experiment, in the child. */
static int run_probe(const struct allocator *allocator, size_t large_bytes, struct cutoff_probe *out)
{
	struct reading large;
	int fd = reading_open();
	void *ptr;
	int err;

	if (fd < 0)
		return fd;
	quiet_objects();
	quiet_stack();
	if (large_bytes) {
		ptr = alloc_touched(allocator, large_bytes);
		if (!ptr)
			return -errno;
		allocator->free(ptr, large_bytes);
		err = observe(fd, "large", large_bytes, &large);
		if (err < 0)
			return err;
	}
	err = observe(fd, "before", out->size, &out->before);
	if (err < 0)
		return err;
	ptr = alloc_touched(allocator, out->size);
	if (!ptr)
		return -errno;
	err = observe(fd, "touch", out->size, &out->during);
	if (err < 0)
		return err;
	out->in_heap = is_in_heap(ptr);
	allocator->free(ptr, out->size);
	return observe(fd, "free", out->size, &out->after);
}

/* Waits for the probe. 0, or -errno after one line on stderr. */
static int wait_probe(pid_t child, const struct answer *answer)
{
	int status;

	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (WIFSIGNALED(status)) {
		out_complain("cutoff: the probe of %zu bytes was ended by signal %d (%s)", answer->probe.size,
			     WTERMSIG(status), strsignal(WTERMSIG(status)));
		return -ECHILD;
	}
	if (answer->err < 0)
		out_complain("cutoff: the probe of %zu bytes: %s", answer->probe.size, strerror(-answer->err));
	return answer->err;
}

static int probe(const struct options *options, size_t large_bytes, size_t size, struct answer *answer)
{
	pid_t child;

	memset(answer, 0, sizeof(*answer));
	answer->err = -ECHILD; /* unless the child says otherwise */
	answer->probe.size = size;
	child = fork();
	if (child < 0) {
		int err = -errno;

		out_complain("cutoff: fork: %s", strerror(errno));
		return err;
	}
	if (child == 0) {
		answer->err = run_probe(options->allocator, large_bytes, &answer->probe);
		_exit(0);
	}
	return wait_probe(child, answer);
}

size_t cutoff_returned_bytes(const struct cutoff_probe *probe)
{
	uint64_t during = probe->during.rss_bytes, after = probe->after.rss_bytes;

	return during > after ? (size_t)(during - after) : 0;
}

/* Probes @size and keeps the outcome on the side of the search that it belongs to. 1: memory came back; 0; -errno. */
static int probe_size(const struct options *options, size_t size, struct answer *answer, struct cutoff *out)
{
	int err = probe(options, out->large_bytes, size, answer);

	if (err < 0)
		return err;
	if (cutoff_returned_bytes(&answer->probe) == 0) {
		out->kept = answer->probe;
		return 0;
	}
	out->given = answer->probe;
	out->size = size;
	return 1;
}

/* Doubles the size up to the first that gives memory back, or to the largest. 0 or -errno. */
static int search_up(const struct options *options, struct answer *answer, struct cutoff *out)
{
	for (size_t size = 1;; size = size > out->max_bytes / 2 ? out->max_bytes : size * 2) {
		int ret = probe_size(options, size, answer, out);

		if (ret != 0 || size == out->max_bytes)
			return ret < 0 ? ret : 0;
	}
}

static int search(const struct options *options, struct answer *answer, struct cutoff *out)
{
	int err = search_up(options, answer, out);

	/* kept.size is kept, size gives back: halve the distance until they are neighbours. */
	while (err >= 0 && out->size > out->kept.size + 1)
		err = probe_size(options, out->kept.size + (out->size - out->kept.size) / 2, answer, out);
	return err < 0 ? err : 0;
}

int cutoff_find(const struct options *options, size_t large_bytes, struct cutoff *out)
{
	struct cutoff cutoff = { .large_bytes = large_bytes, .max_bytes = options->max_bytes };
	uint64_t half = room_available_bytes() / 2;
	struct answer *answer;
	int err;

	if (cutoff.max_bytes > half)
		cutoff.max_bytes = (size_t)half;
	if (large_bytes > half || cutoff.max_bytes == 0) {
		out_complain("cutoff: not enough memory to touch a block of %zu bytes", large_bytes);
		return -ENOMEM;
	}
	answer = mmap(NULL, sizeof(*answer), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (answer == MAP_FAILED) {
		err = -errno;
		out_complain("cutoff: mmap: %s", strerror(errno));
		return err;
	}
	err = search(options, answer, &cutoff);
	munmap(answer, sizeof(*answer));
	if (err == 0)
		*out = cutoff;
	return err;
}
