/* SPDX-License-Identifier: GPL-2.0-only */
/* recording: every event as it came, for `heaptrace report` and its like. The format is event/recording.h's. */
#include "event/recording.h"

#include "base/escape.h"
#include "event/memcalls.h"
#include "report/emit.h"
#include "report/recordstacks.h"
#include "report/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ARGS 6

/* What frames may take of a line, so that the rest fits it. */
#define FRAMES_BYTES_MAX (RECORDING_LINE_MAX - (64u << 10))

struct recording {
	FILE *out;
	struct recordstacks *stacks;
	struct buf line;
};

static void *recording_open(const struct report_options *options)
{
	struct recording *recording = calloc(1, sizeof(*recording));

	if (!recording)
		return NULL;
	recording->out = options->out;
	recording->stacks = recordstacks_new();
	if (!recording->stacks) {
		free(recording);
		return NULL;
	}
	return recording;
}

static void recording_close(void *report)
{
	struct recording *recording = report;

	if (!recording)
		return;
	recordstacks_free(recording->stacks);
	buf_free(&recording->line);
	free(recording);
}

static void add_key(struct buf *line, const char *name)
{
	buf_add_between(line, ' ', name, strlen(name), '=');
}

static void add_string(struct buf *line, const char *name, const char *value)
{
	if (!value)
		return;
	add_key(line, name);
	escape_word(line, value);
}

static void add_number(struct buf *line, const char *name, uint64_t value)
{
	add_key(line, name);
	buf_add_u64(line, value);
}

static void add_usage(struct buf *line, const struct usage *usage)
{
	const int64_t parts[] = { usage->virt, usage->anon, usage->file, usage->shmem, usage->swap };

	for (unsigned int i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (i)
			buf_add_char(line, ',');
		buf_add_i64(line, parts[i]);
	}
}

static unsigned int args_used(const uint64_t *args)
{
	unsigned int used = ARGS;

	while (used && !args[used - 1])
		used--;
	return used;
}

static void add_args(struct buf *line, const uint64_t *args)
{
	unsigned int used = args_used(args);

	for (unsigned int i = 0; i < used; i++) {
		if (i)
			buf_add_char(line, ',');
		buf_add_hex(line, args[i]);
	}
}

/* One frame as a key. Whether the line had room for it. */
static bool add_frame(struct buf *line, const struct frame *frame)
{
	const char *const strings[] = { frame->symbol, frame->object, frame->file };
	size_t begin = line->len;

	add_key(line, "frame");
	buf_add_hex(line, frame->addr);
	buf_add_char(line, ',');
	buf_add_hex(line, frame->offset);
	for (unsigned int i = 0; i < 3; i++) {
		buf_add_char(line, ',');
		if (strings[i])
			escape_word(line, strings[i]);
	}
	buf_add_char(line, ',');
	buf_add_u64(line, frame->line);
	buf_add_char(line, ',');
	buf_add_u64(line, (frame->inlined ? RECORDING_INLINED : 0) | (frame->exact ? RECORDING_EXACT : 0));
	if (line->len <= FRAMES_BYTES_MAX)
		return true;
	line->len = begin;
	return false;
}

/* As many frames as a line may hold. Whether they were all. */
static bool add_frames(struct buf *line, const struct event_change *change)
{
	unsigned int i = 0;

	while (i < change->stack_len && i < RECORDING_FRAMES_MAX && add_frame(line, &change->stack[i]))
		i++;
	return i == change->stack_len;
}

/* Whether a key that is written only where there is something to write has something. */
static bool is_zero(const struct recording_key *key, const struct event *event)
{
	const void *field = (const char *)event + key->offset;

	switch (key->type) {
	case RECORDING_U64:
	case RECORDING_HEX:
	case RECORDING_I64:
		return !*(const uint64_t *)field;
	case RECORDING_I32:
	case RECORDING_U32:
		return !*(const uint32_t *)field;
	case RECORDING_BOOL:
		return !*(const bool *)field;
	case RECORDING_NOT:
		return *(const bool *)field;
	case RECORDING_STRING:
		return !*(const char *const *)field;
	case RECORDING_CALL:
		return !*(const struct memcall *const *)field;
	case RECORDING_COMM:
		return !*(const char *)field;
	case RECORDING_USAGE:
		return usage_is_zero(field);
	case RECORDING_ARGS:
		return !args_used(field);
	case RECORDING_FRAMES:
		return !event->change.stack_len || event->change.stack_id;
	case RECORDING_CHAIN:
		return !event->change.stack_len || !event->change.stack_id;
	case RECORDING_CAUSE:
	case RECORDING_HOW:
		break;
	}
	return false;
}

static void add_value(struct buf *line, const struct recording_key *key, const struct event *event)
{
	const void *field = (const char *)event + key->offset;

	switch (key->type) {
	case RECORDING_U64:
		buf_add_u64(line, *(const uint64_t *)field);
		break;
	case RECORDING_HEX:
		buf_add_hex(line, *(const uint64_t *)field);
		break;
	case RECORDING_I64:
		buf_add_i64(line, *(const int64_t *)field);
		break;
	case RECORDING_I32:
		buf_add_i64(line, *(const int32_t *)field);
		break;
	case RECORDING_U32:
		buf_add_hex(line, *(const uint32_t *)field);
		break;
	case RECORDING_BOOL:
	case RECORDING_NOT:
		buf_add_char(line, '1');
		break;
	case RECORDING_STRING:
		escape_word(line, *(const char *const *)field);
		break;
	case RECORDING_COMM:
		escape_word(line, field);
		break;
	case RECORDING_USAGE:
		add_usage(line, field);
		break;
	case RECORDING_ARGS:
		add_args(line, field);
		break;
	case RECORDING_CAUSE:
		buf_add_str(line, cause_name(*(const enum cause *)field));
		break;
	case RECORDING_HOW:
		buf_add_str(line, open_how_name(*(const enum open_how *)field));
		break;
	case RECORDING_CALL:
		buf_add_str(line, (*(const struct memcall *const *)field)->name);
		break;
	case RECORDING_CHAIN: /* by now it is the number of a line */
		buf_add_u64(line, *(const uint64_t *)field);
		break;
	case RECORDING_FRAMES: /* one key a frame: add_frames() */
		break;
	}
}

static bool is_present(const struct recording_key *key, const struct event *event)
{
	switch (key->presence) {
	case RECORDING_OPTIONAL:
		return !is_zero(key, event);
	case RECORDING_REQUIRED:
		return true;
	case RECORDING_KNOWN:
		return *(const bool *)((const char *)event + key->known_offset);
	}
	return true;
}

static void add_keys(struct buf *line, const struct recording_key *keys, const struct event *event)
{
	for (const struct recording_key *key = keys; key->name; key++) {
		if (!is_present(key, event))
			continue;
		if (key->type == RECORDING_FRAMES) {
			(void)add_frames(line, &event->change);
			continue;
		}
		buf_add_between(line, ' ', key->name, key->name_len, '=');
		add_value(line, key, event);
	}
}

/* Writes the call chain of @event on a line of its own, if it has none yet, and puts that line's number in its place. */
static int write_stack(struct recording *recording, struct event *event)
{
	struct buf *line = &recording->line;
	struct recordstack *stack = NULL;
	int fresh;

	if (event->kind != EVENT_CHANGE || !event->change.stack_len || !event->change.stack_id)
		return 0;
	fresh = recordstacks_get(recording->stacks, &event->change, &stack);
	if (fresh < 0)
		return fresh;
	if (fresh) {
		buf_add_str(line, RECORDING_STACK);
		add_number(line, "id", stack->number);
		stack->cut = !add_frames(line, &event->change);
		buf_add_char(line, '\n');
	}
	event->change.stack_id = stack->number;
	event->change.stack_complete &= !stack->cut;
	return 0;
}

static void write_event(struct buf *line, const struct event *event)
{
	buf_add_str(line, recording_kind_name(event->kind));
	add_keys(line, recording_common_keys(), event);
	add_keys(line, recording_keys(event->kind), event);
}

static void write_header(struct buf *line, const struct record_header *header)
{
	buf_addf(line, "%s %d", RECORDING_MAGIC, RECORDING_VERSION);
	add_string(line, "heaptrace", header->version);
	add_string(line, "source", header->source);
	add_string(line, "why", header->why);
	add_number(line, "caps", header->caps);
	add_number(line, "page_size", header->page_size);
	add_number(line, "start_ns", header->start_ns);
	add_number(line, "start_realtime_ns", header->start_realtime_ns);
	for (char *const *arg = header->cmd; arg && *arg; arg++)
		add_string(line, "cmd", *arg);
}

static void write_end(struct buf *line, const struct record_end *end)
{
	buf_add_str(line, RECORDING_END);
	add_number(line, "ts", end->ts_ns);
	if (end->exit_known) {
		add_key(line, "code");
		buf_add_i64(line, end->code);
		add_key(line, "signal");
		buf_add_i64(line, end->signal);
	}
}

static int recording_write(void *report, const struct record *record)
{
	struct recording *recording = report;
	struct buf *line = &recording->line;
	struct event event;
	int err;

	switch (record->kind) {
	case RECORD_HEADER:
		write_header(line, record->header);
		break;
	case RECORD_EVENT:
		event = *record->event;
		err = write_stack(recording, &event);
		if (err)
			return err;
		write_event(line, &event);
		break;
	case RECORD_LEDGER:
		return 0; /* whoever reads the events keeps the same books */
	case RECORD_END:
		write_end(line, record->end);
		break;
	}
	buf_add_char(line, '\n');
	err = emit_text(recording->out, line);
	if (!err && record->kind == RECORD_END)
		err = emit_finish(recording->out);
	return err;
}

const struct report_ops report_recording = {
	.name = "recording",
	.help = "every event as it came, to be read by heaptrace again",
	.all_rows = true,
	.row_times = true,
	.open = recording_open,
	.write = recording_write,
	.close = recording_close,
};
