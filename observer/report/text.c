/* SPDX-License-Identifier: GPL-2.0-only */
/* text: the timeline, one row an event, and the closing tables. What happened stands last in a row, so that nothing has
 * to be cut and the numbers stay in their columns. */
#include "base/map.h"
#include "report/closings.h"
#include "report/emit.h"
#include "report/headtext.h"
#include "report/report.h"
#include "report/rowtext.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define COLUMN_SECONDS 12
#define COLUMN_PID     9
#define COLUMN_REGION  8 /* two blanks before it */
#define COLUMN_CALLER  140
#define CALLER_GAP     3
#define STACK_INDENT   24
#define MARK_RULE      4
/* Threads whose names are remembered; past it all are forgotten, and a name may be shown once more than need be. */
#define THREADS_MAX    65536

/* What rows of an mm may refer to. */
struct mm_note {
	int32_t pid;
	int32_t parent_pid; /* 0 = unknown, or no fork */
	char *image;	    /* NULL = unknown */
};

struct thread_note {
	char comm[EVENT_COMM_LEN];
};

struct text {
	struct report_options options;
	struct textstyle style;
	uint64_t start_ns, page_size;
	struct closings *closings;
	struct map mms;			/* mm -> struct mm_note */
	struct map threads;		/* tid -> struct thread_note */
	struct thread_note last_thread; /* of the last row */
	int32_t last_tid;		/* 0: none */
	struct buf line;
	struct buf caller; /* of one row, while it is drawn */
};

static void free_values(struct map *map, void (*release)(void *value))
{
	size_t pos = 0;
	void *value;

	while ((value = map_next(map, &pos, NULL)))
		release(value);
	map_free(map);
}

static void mm_note_free(void *value)
{
	struct mm_note *note = value;

	if (!note)
		return;
	free(note->image);
	free(note);
}

static void text_close(void *report)
{
	struct text *text = report;

	if (!text)
		return;
	free_values(&text->mms, mm_note_free);
	free_values(&text->threads, free);
	closings_free(text->closings);
	buf_free(&text->line);
	buf_free(&text->caller);
	free(text);
}

static void *text_open(const struct report_options *options)
{
	struct text *text = calloc(1, sizeof(*text));

	if (!text)
		return NULL;
	text->options = *options;
	textstyle_init(&text->style, options->color);
	text->closings = closings_new(&text->style, false);
	if (!text->closings) {
		text_close(text);
		errno = ENOMEM;
		return NULL;
	}
	return text;
}

static int note_mm(struct text *text, const struct event *event)
{
	const struct mm_note *parent = map_get(&text->mms, event->open.parent_mm);
	struct mm_note *note = calloc(1, sizeof(*note));

	if (!note)
		return -ENOMEM;
	note->pid = event->pid;
	if (event->open.how == OPEN_FORK && parent)
		note->parent_pid = parent->pid;
	if (event->open.image) {
		note->image = strdup(event->open.image);
		if (!note->image)
			goto fail;
	}
	mm_note_free(map_del(&text->mms, event->mm));
	if (!map_put(&text->mms, event->mm, note))
		return 0;
fail:
	mm_note_free(note);
	return -ENOMEM;
}

/* Without memory it is news. */
static bool comm_is_new(struct text *text, const struct event *event)
{
	struct thread_note *note = map_get(&text->threads, (uint64_t)event->tid);

	if (note && !strncmp(note->comm, event->comm, sizeof(note->comm)))
		return false;
	if (!note) {
		if (text->threads.count >= THREADS_MAX)
			free_values(&text->threads, free);
		note = calloc(1, sizeof(*note));
		if (!note)
			return true;
		if (map_put(&text->threads, (uint64_t)event->tid, note)) {
			free(note);
			return true;
		}
	}
	memcpy(note->comm, event->comm, sizeof(note->comm));
	return true;
}

/* Whether the name of the event's thread is another than at its last row; remembers it. As a rule that was the last of all. */
static bool comm_is_news(struct text *text, const struct event *event)
{
	struct thread_note *last = &text->last_thread;

	if (event->tid && event->tid == text->last_tid && !memcmp(last->comm, event->comm, sizeof(last->comm)))
		return false;
	text->last_tid = event->tid;
	memcpy(last->comm, event->comm, sizeof(last->comm));
	return comm_is_new(text, event);
}

static void add_when_and_who(struct text *text, const struct event *event)
{
	column_seconds(&text->line, (int64_t)(event->ts_ns - text->start_ns), COLUMN_SECONDS);
	if (event->pid)
		column_u64(&text->line, (uint64_t)event->pid, COLUMN_PID);
	else
		column_right(&text->line, "-", COLUMN_PID);
}

static void add_levels(struct text *text, const struct usage *level, bool known)
{
	if (known) {
		column_kb(&text->line, level->virt, COLUMN_KB);
		column_kb(&text->line, usage_rss(level), COLUMN_KB);
	} else {
		column_right(&text->line, "-", COLUMN_KB);
		column_right(&text->line, "-", COLUMN_KB);
	}
}

static void add_region(struct text *text, enum region_kind kind)
{
	buf_add_str(&text->line, "  ");
	column_left(&text->line, rowtext_region(kind), COLUMN_REGION - 2);
	buf_add_char(&text->line, ' ');
}

/* "(tid 1240 worker) ", "(tid 1240) ", "(sh) ", or nothing: the thread where it is not the main one, its name if new. */
static void add_thread(struct text *text, const struct event *event)
{
	bool news = comm_is_news(text, event), other = event->tid != event->pid;
	struct buf *line = &text->line;

	if (!news && !other)
		return;
	buf_add_char(line, '(');
	if (other)
		buf_addf(line, "tid %d%s", (int)event->tid, news ? " " : "");
	if (news)
		escape_text(line, event->comm, text->style.escape);
	buf_add_str(line, ") ");
}

/* " (anon +4 kB, file -4 kB)": which parts of RSS a change is made of. */
static void add_parts(struct text *text, const struct usage *delta)
{
	const struct {
		const char *name;
		int64_t bytes;
	} parts[] = { { "anon ", delta->anon }, { "file ", delta->file }, { "shmem ", delta->shmem } };
	const char *before = " (";

	for (unsigned int i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (!parts[i].bytes)
			continue;
		buf_add_str(&text->line, before);
		buf_add_str(&text->line, parts[i].name);
		text_size_change(&text->line, parts[i].bytes);
		before = ", ";
	}
	if (before[0] == ',')
		buf_add_char(&text->line, ')');
}

/* The caller behind what happened, in a column of its own where that is short; on a line of its own where a terminal would
 * break the row. */
static void add_caller(struct text *text, const struct event_change *change)
{
	unsigned int columns = text->options.columns;
	size_t width, used, gap;

	if (!change->stack_len)
		return;
	buf_reset(&text->caller);
	rowtext_add_caller(&text->caller, &text->style, change);
	if (!text->caller.len)
		return;
	used = text_width(&text->line, 0);
	width = text_width(&text->caller, 0);
	gap = used + CALLER_GAP < COLUMN_CALLER ? COLUMN_CALLER - used : CALLER_GAP;
	if (columns && used + gap + width > columns)
		gap = CALLER_GAP;
	if (columns && used + gap + width > columns) {
		buf_add_char(&text->line, '\n');
		gap = STACK_INDENT;
	}
	buf_add_repeated(&text->line, " ", gap);
	text_color(&text->line, &text->style, COLOR_DIM);
	buf_add(&text->line, text->caller.data, text->caller.len);
	text_color_end(&text->line, &text->style, COLOR_DIM);
}

static void add_stack(struct text *text, const struct event_change *change)
{
	for (unsigned int i = 0; i < change->stack_len; i++) {
		buf_add_repeated(&text->line, " ", STACK_INDENT);
		rowtext_add_frame(&text->line, &text->style, &change->stack[i]);
		buf_add_char(&text->line, '\n');
	}
	if (change->stack_len && !change->stack_complete) {
		buf_add_repeated(&text->line, " ", STACK_INDENT);
		buf_add_str(&text->line, "[truncated]\n");
	}
}

static int write_change(struct text *text, const struct record *record)
{
	const struct event *event = record->event;
	const struct event_change *change = &event->change;
	const struct mm_note *note = map_get(&text->mms, event->mm);
	struct rowtext_context context = { .page_size = text->page_size };
	struct buf *line = &text->line;

	if (note) {
		context.parent_pid = note->parent_pid;
		context.image = note->image;
	}
	add_when_and_who(text, event);
	column_kb_change(line, &text->style, change->delta.virt, COLUMN_KB);
	column_kb_change(line, &text->style, usage_rss(&change->delta), COLUMN_KB);
	add_levels(text, &record->after, note != NULL);
	add_region(text, record->region.kind);
	add_thread(text, event);
	rowtext_add(line, &text->style, record, &context);
	if (text->options.verbose)
		add_parts(text, &change->delta);
	add_caller(text, change);
	buf_add_char(line, '\n');
	if (text->options.verbose)
		add_stack(text, change);
	return emit_text(text->options.out, line);
}

/* The row of something that changes nothing, up to its words; @level NULL = no level to show. */
static void begin_note(struct text *text, const struct event *event, const struct usage *level, const char *filler)
{
	add_when_and_who(text, event);
	buf_add_char(&text->line, ' ');
	buf_add_repeated(&text->line, filler, (size_t)2 * COLUMN_KB - 1);
	if (level)
		add_levels(text, level, true);
	else
		buf_add_repeated(&text->line, " ", (size_t)2 * COLUMN_KB);
	add_region(text, REGION_NONE);
}

static int write_note(struct text *text)
{
	buf_add_char(&text->line, '\n');
	return emit_text(text->options.out, &text->line);
}

static int write_mark(struct text *text, const struct record *record)
{
	const char *rule = text->style.rule;
	const struct event *event = record->event;
	bool known = map_get(&text->mms, event->mm) != NULL;

	text_color(&text->line, &text->style, COLOR_BOLD);
	begin_note(text, event, known ? &record->after : NULL, rule);
	buf_add_repeated(&text->line, rule, MARK_RULE);
	buf_add_char(&text->line, ' ');
	escape_text(&text->line, event->mark.name, text->style.escape);
	buf_add_char(&text->line, ' ');
	buf_add_repeated(&text->line, rule, MARK_RULE);
	text_color_end(&text->line, &text->style, COLOR_BOLD);
	return write_note(text);
}

static int write_open(struct text *text, const struct event *event)
{
	int err = note_mm(text, event);

	if (err || event->open.how != OPEN_ATTACH || text->options.quiet)
		return err;
	begin_note(text, event, &event->open.opening, " ");
	add_thread(text, event);
	buf_add_str(&text->line, "attached");
	if (event->open.image) {
		buf_add_str(&text->line, " to ");
		escape_text(&text->line, event->open.image, text->style.escape);
	}
	return write_note(text);
}

static int write_close(struct text *text, const struct event *event)
{
	mm_note_free(map_del(&text->mms, event->mm));
	if (!event->close.detached || text->options.quiet)
		return 0;
	begin_note(text, event, event->close.closing_known ? &event->close.closing : NULL, " ");
	buf_add_str(&text->line, "detached: it runs on");
	return write_note(text);
}

static int write_proc_exit(struct text *text, const struct event *event)
{
	if (text->options.quiet)
		return 0;
	begin_note(text, event, NULL, " ");
	buf_add_str(&text->line, "ended: ");
	headtext_add_fate(&text->line, event->proc_exit.code, event->proc_exit.signal);
	return write_note(text);
}

static int write_lost(struct text *text, const struct event *event)
{
	begin_note(text, event, NULL, " ");
	text_color(&text->line, &text->style, COLOR_ERROR);
	buf_addf(&text->line, "LOST %llu record%s (", (unsigned long long)event->lost.records,
		 event->lost.records == 1 ? "" : "s");
	escape_text(&text->line, event->lost.what, text->style.escape);
	buf_add_str(&text->line, event->lost.books ? ")" : "); the totals stay exact");
	text_color_end(&text->line, &text->style, COLOR_ERROR);
	return write_note(text);
}

static int write_event(struct text *text, const struct record *record)
{
	const struct event *event = record->event;

	switch (event->kind) {
	case EVENT_CHANGE:
		return record->hidden || text->options.quiet ? 0 : write_change(text, record);
	case EVENT_MM_OPEN:
		return write_open(text, event);
	case EVENT_MM_CLOSE:
		return write_close(text, event);
	case EVENT_VMA:
		return 0;
	case EVENT_MARK:
		return text->options.quiet ? 0 : write_mark(text, record);
	case EVENT_SAMPLE:
		if (text->options.quiet)
			return 0;
		begin_note(text, event, &event->sample.usage, " ");
		buf_add_str(&text->line, "sample: what /proc says");
		return write_note(text);
	case EVENT_PROC_EXIT:
		return write_proc_exit(text, event);
	case EVENT_LOST:
		return text->options.quiet ? 0 : write_lost(text, event);
	}
	return 0;
}

static int write_header(struct text *text, const struct record_header *header)
{
	struct buf *line = &text->line;

	text->start_ns = header->start_ns;
	text->page_size = header->page_size;
	headtext_add(line, &text->style, header);
	if (!text->options.quiet) {
		buf_add_char(line, '\n');
		text_color(line, &text->style, COLOR_BOLD);
		column_right(line, "seconds", COLUMN_SECONDS);
		column_right(line, "pid", COLUMN_PID);
		column_right(line, "+/-VIRT kB", COLUMN_KB);
		column_right(line, "+/-RSS kB", COLUMN_KB);
		column_right(line, "VIRT kB", COLUMN_KB);
		column_right(line, "RSS kB", COLUMN_KB);
		buf_add_str(line, "  region what happened");
		text_color_end(line, &text->style, COLOR_BOLD);
		buf_add_char(line, '\n');
	}
	return emit_text(text->options.out, line);
}

static int write_end(struct text *text, const struct record_end *end)
{
	int err = closings_write(text->closings, text->options.out);

	if (err)
		return err;
	buf_add_char(&text->line, '\n');
	headtext_add_end(&text->line, &text->style, end);
	err = emit_text(text->options.out, &text->line);
	return err ? err : emit_finish(text->options.out);
}

static int text_write(void *report, const struct record *record)
{
	struct text *text = report;

	switch (record->kind) {
	case RECORD_HEADER:
		return write_header(text, record->header);
	case RECORD_EVENT:
		return write_event(text, record);
	case RECORD_LEDGER:
		return closings_add(text->closings, record->ledger, text->start_ns, NULL);
	case RECORD_END:
		return write_end(text, record->end);
	}
	return 0;
}

const struct report_ops report_text = {
	.name = "text",
	.help = "the timeline and the closing tables, for people (default)",
	.quiet_hides_rows = true,
	.row_times = true,
	.open = text_open,
	.write = text_write,
	.close = text_close,
};
