/* SPDX-License-Identifier: GPL-2.0-only */
/* All strings printed here are names from static tables, without a character that JSON would escape. */
#include "print.h"

#include <inttypes.h>
#include <unistd.h>

static void print_value(struct out *out, const char *key, uint64_t bytes)
{
	if (bytes == READING_UNKNOWN)
		out_printf(out, ",\"%s\":null", key);
	else
		out_printf(out, ",\"%s\":%" PRIu64, key, bytes);
}

void print_json_reading(struct out *out, const struct reading *reading)
{
	print_value(out, "virt", reading->virt_bytes);
	print_value(out, "rss", reading->rss_bytes);
	print_value(out, "anon", reading->anon_bytes);
	print_value(out, "file", reading->file_bytes);
	print_value(out, "shmem", reading->shmem_bytes);
	print_value(out, "swap", reading->swap_bytes);
}

static void print_options(struct out *out, const struct options *options)
{
	out_printf(out, "{\"type\":\"target\",\"version\":1,\"pid\":%ld,\"page_size\":%ld,\n", (long)getpid(),
		   sysconf(_SC_PAGESIZE));
	out_printf(out, "\"alloc\":\"%s\",\"order\":\"%s\",\"seed\":%" PRIu64 ",\"rounds\":%u,\"keep\":%u,",
		   options->allocator->name, order_name(options->order), options->seed, options->rounds, options->keep);
	out_printf(out, "\"touch_ppm\":%" PRIu32 ",\"threads\":%u,\"trim\":%s,\n\"mallopt\":[", options->touch_ppm,
		   options->threads, options->trim ? "true" : "false");
	for (size_t i = 0; i < options->nr_tunes; i++)
		out_printf(out, "%s{\"name\":\"%s\",\"value\":%d,\"ret\":%d}", i ? "," : "", options->tunes[i].name,
			   options->tunes[i].value, options->tunes[i].result);
	out_printf(out, "],\n");
}

static void print_block(struct out *out, const struct block *block)
{
	out_printf(out, "{\"size\":%zu,\"round\":%u,\"thread\":%u,\"outcome\":\"%s\",\"errno\":%d", block->size,
		   block->round, block->thread, outcome_word(block->outcome), block->error);
	out_printf(out, ",\"addr\":%" PRIuPTR ",\"touched\":%zu", block->addr, block->touched_bytes);
	print_value(out, "available", block->available_bytes);
	out_printf(out, "}");
}

static void print_mark(struct out *out, const char *name, const struct reading *reading)
{
	out_printf(out, "{\"name\":\"%s\"", name);
	print_json_reading(out, reading);
}

/* The marks of one size, in the order in which they were left: all threads take a step before any takes the next. */
static void print_marks(struct out *out, const struct sequence *sequence, const struct block *blocks)
{
	for (unsigned int step = 0; step < BLOCK_MARKS; step++) {
		for (unsigned int i = 0; i < sequence->options->threads; i++) {
			const struct block *block = &blocks[i];
			struct mark mark = { .len = 0 };

			if (step >= block->nr_marks)
				continue;
			sequence_mark(sequence->options, block, step, &mark);
			print_mark(out, mark_name(&mark), &block->marks[step].reading);
			out_printf(out, ",\"tid\":%ld,\"step\":\"%s\",\"size\":%zu,\"round\":%u,\"thread\":%u},\n",
				   block->tid, step_word(block->marks[step].step), block->size, block->round,
				   block->thread);
		}
	}
}

static void print_outer_mark(struct out *out, const char *name, const struct reading *reading)
{
	print_mark(out, name, reading);
	out_printf(out, ",\"tid\":%ld,\"step\":\"%s\",\"size\":null,\"round\":null,\"thread\":1}", (long)getpid(),
		   name);
}

void print_json(struct out *out, const struct sequence *sequence)
{
	print_options(out, sequence->options);
	out_printf(out, "\"blocks\":[\n");
	for (size_t i = 0; i < sequence->nr_blocks; i++) {
		print_block(out, &sequence->blocks[i]);
		out_printf(out, i + 1 < sequence->nr_blocks ? ",\n" : "],\n");
	}
	out_printf(out, "\"marks\":[\n");
	print_outer_mark(out, "opening", &sequence->opening);
	out_printf(out, ",\n");
	for (size_t i = 0; i < sequence->nr_blocks; i += sequence->options->threads)
		print_marks(out, sequence, &sequence->blocks[i]);
	print_outer_mark(out, "closing", &sequence->closing);
	out_printf(out, "],\n");
	out_printf(out, "\"failed\":%zu,\"skipped\":%zu,\"untouched\":%zu,\"kept\":%zu}\n", sequence->nr_failed,
		   sequence->nr_skipped, sequence->nr_untouched, sequence->nr_kept);
}
