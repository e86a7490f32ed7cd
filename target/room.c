/* SPDX-License-Identifier: GPL-2.0-only */
#include "room.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_BYTES 2048

/* Where a memory control group says what, in the two versions of the interface. */
static const struct cgroup_files {
	const char *root;
	const char *limit;
	const char *use;
	const char *cache; /* label in memory.stat */
} cgroup_files[2] = {
	{ "/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file " },
	{ "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file " },
};

int room_find(const char *text, const char *label, uint64_t *out)
{
	size_t len = strlen(label);

	while (text) {
		if (strncmp(text, label, len) == 0) {
			char *end;
			unsigned long long value = strtoull(text + len, &end, 10);

			if (end == text + len)
				return -EINVAL;
			*out = value;
			return 0;
		}
		text = strchr(text, '\n');
		text += text != NULL;
	}
	return -ENOENT;
}

/* Whether the controllers of a line, "memory" or "cpu,memory,io" up to @end, have the memory controller. */
static bool has_memory(const char *list, const char *end)
{
	static const char name[] = "memory";

	while (list < end) {
		size_t len = strcspn(list, ",:");

		if (len == sizeof(name) - 1 && memcmp(list, name, len) == 0)
			return true;
		list += len + 1;
	}
	return false;
}

int room_cgroup_path(const char *text, bool v1, char *out, size_t out_bytes)
{
	/* Each line is ID:CONTROLLERS:PATH. */
	while (text && *text) {
		const char *eol = strchrnul(text, '\n');
		const char *controllers = memchr(text, ':', (size_t)(eol - text));
		const char *path = controllers ? memchr(controllers + 1, ':', (size_t)(eol - controllers - 1)) : NULL;

		if (path && (v1 ? has_memory(controllers + 1, path) : strncmp(text, "0::", 3) == 0)) {
			size_t len = (size_t)(eol - path - 1);

			if (len >= out_bytes)
				return -ENAMETOOLONG;
			memcpy(out, path + 1, len);
			out[len] = '\0';
			return 0;
		}
		text = *eol ? eol + 1 : NULL;
	}
	return -ENOENT;
}

/* The start of a small file, or NULL. In a static buffer, as one on the stack would grow the stack in mid-experiment;
 * meminfo and memory.stat have what is looked for in their first 8 KiB. */
static const char *file_read(const char *path)
{
	static char text[8192];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len;

	if (fd < 0)
		return NULL;
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (len < 0)
		return NULL;
	text[len] = '\0';
	return text;
}

static int file_number(const char *dir, const char *file, const char *label, uint64_t *out)
{
	static char path[PATH_BYTES];
	const char *text;

	if (snprintf(path, sizeof(path), "%s/%s", dir, file) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	text = file_read(path);
	return text ? room_find(text, label, out) : -ENOENT;
}

/* What one group leaves. A limit of "max" is no number and so no limit. */
static uint64_t group_available(const char *dir, const struct cgroup_files *files)
{
	uint64_t limit, use, cache = 0;

	if (file_number(dir, files->limit, "", &limit) < 0 || file_number(dir, files->use, "", &use) < 0)
		return UINT64_MAX;
	if (file_number(dir, "memory.stat", files->cache, &cache) < 0 || cache > use)
		cache = 0;
	use -= cache;
	return limit > use ? limit - use : 0;
}

/* The least that the process's group and those above it leave. */
static uint64_t cgroup_available(bool v1)
{
	static char dir[PATH_BYTES];
	const struct cgroup_files *files = &cgroup_files[v1];
	size_t root = strlen(files->root);
	const char *text = file_read("/proc/self/cgroup");
	uint64_t least = UINT64_MAX;
	char *slash;

	memcpy(dir, files->root, root);
	if (!text || room_cgroup_path(text, v1, dir + root, sizeof(dir) - root) < 0)
		return UINT64_MAX;
	do {
		uint64_t available = group_available(dir, files);

		if (available < least)
			least = available;
		slash = strrchr(dir + root, '/');
		if (slash)
			*slash = '\0';
	} while (slash);
	return least;
}

static uint64_t meminfo_bytes(const char *label)
{
	uint64_t kb;

	if (file_number("/proc", "meminfo", label, &kb) < 0 || kb > UINT64_MAX / 1024)
		return UINT64_MAX;
	return kb * 1024;
}

uint64_t room_available_bytes(void)
{
	uint64_t least = meminfo_bytes("MemAvailable:");

	for (int v1 = 0; v1 < 2; v1++) {
		uint64_t available = cgroup_available(v1);

		if (available < least)
			least = available;
	}
	return least;
}

uint64_t room_machine_bytes(void)
{
	uint64_t memory = meminfo_bytes("MemTotal:");
	uint64_t swap = meminfo_bytes("SwapTotal:");

	if (memory == UINT64_MAX)
		return UINT64_MAX;
	return swap == UINT64_MAX ? memory : memory + swap;
}
