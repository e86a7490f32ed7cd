/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/bpf_paths.h"

#include <errno.h>
#include <string.h>

const char *bpf_path_join(const char *text, size_t len, char *out)
{
	size_t end = len, used = 0;

	if (!len || text[len - 1])
		return NULL;
	while (end) {
		size_t start = end - 1;

		while (start && text[start - 1])
			start--;
		out[used++] = '/';
		memcpy(out + used, text + start, end - 1 - start);
		used += end - 1 - start;
		end = start;
	}
	out[used] = '\0';
	return out;
}

const char *bpf_paths_take(struct bpf_paths *paths, uint32_t tid)
{
	if (!paths->count || !tid)
		return NULL;
	for (unsigned int i = 1; i <= BPF_PATHS_PENDING; i++) {
		unsigned int at = (paths->next + BPF_PATHS_PENDING - i) % BPF_PATHS_PENDING;

		if (paths->tids[at] == tid) {
			paths->tids[at] = 0;
			paths->count--;
			return paths->texts[at];
		}
	}
	return NULL;
}

int bpf_paths_keep(struct bpf_paths *paths, const struct wire_path *path, size_t size)
{
	unsigned int at = paths->next;
	char *text = paths->texts[at];

	if (path->text_len > size - offsetof(struct wire_path, text))
		return -EBADMSG;
	if (path->reversed) {
		if (!bpf_path_join(path->text, path->text_len, text))
			return 0;
	} else {
		memcpy(text, path->text, path->text_len);
		text[path->text_len] = '\0';
	}
	bpf_paths_take(paths, path->head.tid);
	if (!paths->tids[at] && path->head.tid)
		paths->count++;
	paths->tids[at] = path->head.tid;
	paths->next = (at + 1) % BPF_PATHS_PENDING;
	return 0;
}
