/* SPDX-License-Identifier: GPL-2.0-only */
/* A step's text holds no character that JSON would escape: play_parse lets none through. */
#include "print.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

static void print_mark(struct out *out, const char *name, long tid, const struct reading *reading)
{
	out_printf(out, "{\"name\":\"%s\",\"tid\":%ld", name, tid);
	print_json_reading(out, reading);
}

static void print_json_play(struct out *out, const struct allocator *allocator, const struct play *play)
{
	out_printf(out, "{\"type\":\"play\",\"version\":1,\"pid\":%ld,\"alloc\":\"%s\",\"marks\":[\n", (long)getpid(),
		   allocator->name);
	print_mark(out, "opening", getpid(), &play->opening);
	out_printf(out, "}");
	for (unsigned int i = 0; i < play->nr_steps; i++) {
		const struct play_step *step = &play->steps[i];

		out_printf(out, ",\n");
		print_mark(out, step->text, step->tid, &step->reading);
		out_printf(out, ",\"errno\":%d}", -step->err);
	}
	out_printf(out, "],\n\"failed\":%u}\n", play_failed(play));
}

static void print_row(struct out *out, const char *what, const struct reading *from, const struct reading *to)
{
	int64_t virt = ((int64_t)to->virt_bytes - (int64_t)from->virt_bytes) / 1024;
	int64_t rss = ((int64_t)to->rss_bytes - (int64_t)from->rss_bytes) / 1024;

	out_printf(out, "%-28s %11" PRIu64 " kB %11" PRIu64 " kB", what, to->virt_bytes / 1024, to->rss_bytes / 1024);
	out_printf(out, virt ? " %+11" PRId64 " kB" : " %11" PRId64 " kB", virt);
	out_printf(out, rss ? " %+11" PRId64 " kB\n" : " %11" PRId64 " kB\n", rss);
}

void print_play(struct out *out, const struct options *options, const struct play *play)
{
	const struct reading *last = &play->opening;

	if (options->json) {
		print_json_play(out, options->allocator, play);
		return;
	}
	out_printf(out, "allocator %s\n", options->allocator->name);
	print_text_tunes(out, options);
	out_printf(out, "%-28s %14s %14s %14s %14s\n", "after", "virtual", "physical", "change", "change");
	print_row(out, "opening", last, last);
	for (unsigned int i = 0; i < play->nr_steps; i++) {
		const struct play_step *step = &play->steps[i];

		print_row(out, step->text, last, &step->reading);
		if (step->err)
			out_printf(out, "  failed: %s\n", strerror(-step->err));
		last = &step->reading;
	}
}
