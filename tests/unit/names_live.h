/* SPDX-License-Identifier: GPL-2.0-only */
/* names_live: the names of this process's own addresses, through the model, for tests. */
#ifndef HEAPTRACE_TEST_NAMES_LIVE_H
#define HEAPTRACE_TEST_NAMES_LIVE_H

#include "base/procfs.h"
#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct names_live {
	struct model *model;
	char *text; /* the last call chain, one frame a line: SYMBOL OFFSET FILE:LINE OBJECT [inlined] */
	uint64_t stack_id;
	bool without; /* a reader of symbols */
	record_fn fn; /* NULL: names_live_record */
};

static inline int names_live_record(void *ctx, struct record *record)
{
	struct names_live *live = ctx;
	struct event named;
	size_t len = 0;
	FILE *out;
	int err;

	if (record->kind != RECORD_EVENT || record->event->kind != EVENT_CHANGE)
		return 0;
	err = model_name(live->model, record->event, &named);
	if (err)
		return err;
	free(live->text);
	live->text = NULL;
	out = open_memstream(&live->text, &len);
	for (unsigned int i = 0; i < named.change.stack_len; i++) {
		const struct frame *frame = &named.change.stack[i];
		const char *slash = frame->file ? strrchr(frame->file, '/') : NULL;

		fprintf(out, "%s %#llx %s:%u %s%s\n", frame->symbol ? frame->symbol : "?",
			(unsigned long long)frame->offset,
			slash	      ? slash + 1
			: frame->file ? frame->file
				      : "?",
			frame->line, frame->object ? frame->object : "?", frame->inlined ? " [inlined]" : "");
	}
	fclose(out);
	live->stack_id = named.change.stack_id;
	return 0;
}

struct names_live_vma {
	struct names_live *live;
	struct event event;
};

static inline int names_live_map(void *ctx, const struct procfs_map *map)
{
	struct names_live_vma *at = ctx;
	char path[4096] = "";

	memcpy(path, map->path, map->path_len < sizeof(path) - 1 ? map->path_len : sizeof(path) - 1);
	at->event.vma = (struct event_vma){ .start = map->start,
					    .end = map->end,
					    .offset = map->offset,
					    .prot = map->prot,
					    .dev = map->dev,
					    .inode = map->inode,
					    .flags = map->shared ? MAP_SHARED : MAP_PRIVATE,
					    .path = map->path_len ? path : NULL };
	return model_feed(at->live->model, &at->event);
}

/* Opens mm 1 for process @pid, with all that it has mapped now. */
static inline int names_live_open(struct names_live *live, pid_t pid)
{
	struct names_live_vma at = { .live = live,
				     .event = { .kind = EVENT_MM_OPEN, .pid = pid, .tid = pid, .mm = 1 } };
	struct sym_client *client = NULL;
	int err = live->without ? 0 : sym_client_open(&client);

	if (err)
		return err;
	live->model = model_new(live->fn ? live->fn : names_live_record, live);
	model_set_names(live->model, names_new(client));
	at.event.open.how = OPEN_ATTACH;
	err = model_feed(live->model, &at.event);
	at.event.kind = EVENT_VMA;
	return err ? err : procfs_maps(pid, names_live_map, &at);
}

/* Feeds one row with the call chain @frames; live->text is what it came to. */
static inline int names_live_row(struct names_live *live, const struct frame *frames, unsigned int count)
{
	struct event event = { .kind = EVENT_CHANGE, .pid = getpid(), .tid = getpid(), .mm = 1 };

	event.change = (struct event_change){ .cause = CAUSE_FAULT,
					      .name = "minor",
					      .count = 1,
					      .attributed = true,
					      .stack = frames,
					      .stack_len = count };
	return model_feed(live->model, &event);
}

static inline void names_live_close(struct names_live *live)
{
	model_free(live->model);
	free(live->text);
	*live = (struct names_live){ 0 };
}

#endif
