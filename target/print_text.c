/* SPDX-License-Identifier: GPL-2.0-only */
#include "print.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void print_size(size_t size, char *text)
{
	static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB" };
	size_t unit = 0;

	while (size && size % 1024 == 0 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		size /= 1024;
		unit++;
	}
	snprintf(text, PRINT_SIZE_BYTES, "%zu %s", size, units[unit]);
}

void print_text_tunes(struct out *out, const struct options *options)
{
	for (size_t i = 0; i < options->nr_tunes; i++) {
		const struct tune *tune = &options->tunes[i];

		out_printf(out, "mallopt(%s, %d) = %d%s\n", tune->name, tune->value, tune->result,
			   tune->result ? "" : " (refused)");
	}
}

void print_text_head(struct out *out, const struct options *options)
{
	out_printf(out, "allocator %s, %zu size%s", options->allocator->name, options->nr_sizes,
		   options->nr_sizes == 1 ? "" : "s");
	if (options->order == ORDER_SHUFFLED)
		out_printf(out, ", shuffled (seed %" PRIu64 ")", options->seed);
	else
		out_printf(out, ", order %s", order_name(options->order));
	if (options->rounds > 1)
		out_printf(out, ", %u rounds", options->rounds);
	if (options->threads > 1)
		out_printf(out, ", %u threads", options->threads);
	if (options->keep)
		out_printf(out, ", 1 block in %u kept", options->keep);
	if (options->touch_ppm != OPTIONS_PPM)
		out_printf(out, ", %" PRIu32 ".%04" PRIu32 " %% touched", options->touch_ppm / 10000,
			   options->touch_ppm % 10000);
	out_printf(out, "\n");
	print_text_tunes(out, options);
}

static void print_columns(struct out *out)
{
	out_printf(out, "%-14s %17s %17s\n", "", "virtual", "physical");
}

static void print_level(struct out *out, const char *what, const struct reading *reading)
{
	out_printf(out, "%-14s %14" PRIu64 " kB %14" PRIu64 " kB\n", what, reading->virt_bytes / 1024,
		   reading->rss_bytes / 1024);
}

/* A signed number of kB; 0 without a sign. */
static void print_delta_kb(struct out *out, uint64_t from, uint64_t to)
{
	int64_t kb = ((int64_t)to - (int64_t)from) / 1024;

	out_printf(out, kb ? " %+14" PRId64 " kB" : " %14" PRId64 " kB", kb);
}

static void print_change(struct out *out, const char *what, const struct reading *from, const struct reading *to)
{
	out_printf(out, "%-14s", what);
	print_delta_kb(out, from->virt_bytes, to->virt_bytes);
	print_delta_kb(out, from->rss_bytes, to->rss_bytes);
	out_printf(out, "\n");
}

static const struct reading *find_reading(const struct block *block, enum step step)
{
	for (unsigned int i = 0; i < block->nr_marks; i++)
		if (block->marks[i].step == step)
			return &block->marks[i].reading;
	return NULL;
}

static void print_heading(struct out *out, const struct options *options, const struct block *block)
{
	char size[PRINT_SIZE_BYTES];

	print_size(block->size, size);
	out_printf(out, "\n%s", size);
	if (block->size && block->size % 2 == 0)
		out_printf(out, " = %zu elements of 2 bytes", block->size / 2);
	if (options->rounds > 1)
		out_printf(out, ", round %u", block->round);
	if (options->threads > 1)
		out_printf(out, ", in each of %u threads", options->threads);
	out_printf(out, "\n");
}

/* Whatever did not go as the table suggests. */
static void print_remarks(struct out *out, const struct options *options, const struct block *block)
{
	if (options->threads > 1 && (block->error || block->available_bytes != UINT64_MAX))
		out_printf(out, "thread %u: ", block->thread);
	if (block->outcome == OUTCOME_FAILED)
		out_printf(out, "cannot be had: %s\n", strerror(block->error));
	if (block->outcome == OUTCOME_SKIPPED)
		out_printf(out, "skipped: cannot be had on this machine, whose memory is smaller\n");
	if (block->available_bytes != UINT64_MAX)
		out_printf(out, "not touched: only %" PRIu64 " kB of memory are available\n",
			   block->available_bytes / 1024);
}

void print_text_blocks(struct out *out, const struct sequence *sequence, const struct block *blocks)
{
	const struct options *options = sequence->options;
	const struct block *shown = blocks; /* a thread that has a block, where there is one: all read the same */
	const struct reading *before, *during, *after, *trimmed;
	bool kept;

	print_heading(out, options, blocks);
	for (unsigned int i = 0; i < options->threads; i++) {
		print_remarks(out, options, &blocks[i]);
		if (!shown->addr)
			shown = &blocks[i];
	}
	before = find_reading(shown, STEP_BEFORE);
	during = find_reading(shown, STEP_TOUCH);
	if (!during)
		return;
	kept = shown->outcome == OUTCOME_KEPT;
	after = find_reading(shown, kept ? STEP_KEEP : STEP_FREE);
	trimmed = find_reading(shown, STEP_TRIM);
	print_columns(out);
	print_level(out, "before", before);
	print_level(out, "during", during);
	print_level(out, kept ? "after (kept)" : "after", after);
	if (trimmed)
		print_level(out, "trimmed", trimmed);
	print_change(out, "allocation", before, during);
	print_change(out, "deallocation", during, after);
	if (trimmed)
		print_change(out, "trim", after, trimmed);
}

void print_text_foot(struct out *out, const struct sequence *sequence)
{
	out_printf(out, "\nthe whole: %zu block%s", sequence->nr_blocks, sequence->nr_blocks == 1 ? "" : "s");
	if (sequence->nr_kept)
		out_printf(out, ", %zu kept alive", sequence->nr_kept);
	if (sequence->nr_untouched)
		out_printf(out, ", %zu not touched", sequence->nr_untouched);
	if (sequence->nr_skipped)
		out_printf(out, ", %zu skipped", sequence->nr_skipped);
	if (sequence->nr_failed)
		out_printf(out, ", %zu failed", sequence->nr_failed);
	out_printf(out, "\n");
	print_columns(out);
	print_level(out, "opening", &sequence->opening);
	print_level(out, "closing", &sequence->closing);
	print_change(out, "difference", &sequence->opening, &sequence->closing);
}
