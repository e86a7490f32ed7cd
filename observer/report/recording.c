/* SPDX-License-Identifier: GPL-2.0-only */
/* recording: every event as it came, for `heaptrace report` and its like. The format is event/recording.h's. */
#include "event/recording.h"

#include "base/escape.h"
#include "base/pen.h"
#include "event/memcalls.h"
#include "report/emit.h"
#include "report/recordstacks.h"
#include "report/report.h"
#include "report/who.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ARGS 6

/* What frames may take of a line, so that the rest fits it. */
#define FRAMES_BYTES_MAX (RECORDING_LINE_MAX - (64u << 10))

/* What the keys of a line may take that have no string of the target. */
#define NUMBERS_BYTES 4096

struct recording {
	FILE *out;
	struct recordstacks *stacks;
	struct buf line;
	struct who who;
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
	who_free(&recording->who);
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

static char *put_usage(char *at, const struct usage *usage)
{
	const int64_t rest[] = { usage->anon, usage->file, usage->shmem, usage->swap };

	at = pen_i64(at, usage->virt);
	for (unsigned int i = 0; i < sizeof(rest) / sizeof(rest[0]); i++) {
		*at++ = ',';
		at = pen_i64(at, rest[i]);
	}
	return at;
}

static unsigned int args_used(const uint64_t *args)
{
	unsigned int used = ARGS;

	while (used && !args[used - 1])
		used--;
	return used;
}

static char *put_args(char *at, const uint64_t *args)
{
	unsigned int used = args_used(args);

	for (unsigned int i = 0; i < used; i++) {
		if (i)
			*at++ = ',';
		at = pen_hex(at, args[i]);
	}
	return at;
}

static char *put_key(char *at, const struct recording_key *key)
{
	memcpy(at, key->text, sizeof(key->text));
	return at + key->text_len;
}

static char *put_number(char *at, const struct recording_key *key, uint64_t value, bool always)
{
	return value || always ? pen_u64(put_key(at, key), value) : at;
}

static char *put_signed(char *at, const struct recording_key *key, int64_t value, bool always)
{
	return value || always ? pen_i64(put_key(at, key), value) : at;
}

static char *put_hex(char *at, const struct recording_key *key, uint64_t value, bool always)
{
	return value || always ? pen_hex(put_key(at, key), value) : at;
}

static char *put_word(char *at, const struct recording_key *key, const char *word)
{
	return pen_str(put_key(at, key), word);
}

/* Puts a key whose value is none of the target's strings at @at; one that says nothing is left out unless it is to be there
 * @always. Returns where it ends. */
static char *put_value(char *at, const struct recording_key *key, const struct event *event, bool always)
{
	const void *field = (const char *)event + key->offset;

	switch (key->type) {
	case RECORDING_U64:
		return put_number(at, key, *(const uint64_t *)field, always);
	case RECORDING_HEX:
		return put_hex(at, key, *(const uint64_t *)field, always);
	case RECORDING_I64:
		return put_signed(at, key, *(const int64_t *)field, always);
	case RECORDING_I32:
		return put_signed(at, key, *(const int32_t *)field, always);
	case RECORDING_U32:
		return put_hex(at, key, *(const uint32_t *)field, always);
	case RECORDING_BOOL:
		return *(const bool *)field ? put_word(at, key, "1") : at;
	case RECORDING_NOT:
		return *(const bool *)field ? at : put_word(at, key, "1");
	case RECORDING_USAGE:
		return always || !usage_is_zero(field) ? put_usage(put_key(at, key), field) : at;
	case RECORDING_ARGS:
		return args_used(field) ? put_args(put_key(at, key), field) : at;
	case RECORDING_CAUSE:
		return put_word(at, key, cause_name(*(const enum cause *)field));
	case RECORDING_HOW:
		return put_word(at, key, open_how_name(*(const enum open_how *)field));
	case RECORDING_CALL:
		return event->change.call ? put_word(at, key, event->change.call->name) : at;
	case RECORDING_CHAIN: /* by now it is the number of a line */
		return event->change.stack_len ? put_number(at, key, *(const uint64_t *)field, false) : at;
	case RECORDING_STRING:
	case RECORDING_COMM:
	case RECORDING_FRAMES: /* add_text() */
		break;
	}
	return at;
}

/* Whether @key has what put_value() does not write. */
static bool is_text(const struct recording_key *key)
{
	return key->type == RECORDING_STRING || key->type == RECORDING_COMM || key->type == RECORDING_FRAMES;
}

/* Adds a key with a string of the target's, or the frames, one key each. */
static void add_text(struct buf *line, const struct recording_key *key, const struct event *event)
{
	const void *field = (const char *)event + key->offset;
	const char *text = key->type == RECORDING_STRING ? *(const char *const *)field : field;

	if (key->type == RECORDING_FRAMES) {
		if (!event->change.stack_id)
			(void)add_frames(line, &event->change);
	} else if (text && (*text || key->type == RECORDING_STRING)) {
		buf_add(line, key->text, key->text_len);
		escape_word(line, text);
	}
}

static void add_keys(struct buf *line, const struct recording_key *keys, const struct event *event)
{
	char *at = buf_reserve(line, NUMBERS_BYTES);

	for (const struct recording_key *key = keys; at && key->name; key++) {
		if (key->presence == RECORDING_KNOWN && !*(const bool *)((const char *)event + key->known_offset))
			continue;
		if (is_text(key)) {
			buf_end(line, at);
			add_text(line, key, event);
			at = buf_reserve(line, NUMBERS_BYTES);
		} else {
			at = put_value(at, key, event, key->presence != RECORDING_OPTIONAL);
		}
	}
	if (at)
		buf_end(line, at);
}

static bool has_chain(const struct event *event)
{
	return event->kind == EVENT_CHANGE && event->change.stack_len && event->change.stack_id;
}

/* Writes the call chain of @event on a line of its own, if it has none yet, and puts that line's number in its place. */
static int write_stack(struct recording *recording, struct event *event)
{
	struct buf *line = &recording->line;
	struct recordstack *stack = NULL;
	int fresh = recordstacks_get(recording->stacks, &event->change, &stack);

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

/* The keys of every event but the first, its time, as they are the same for each row of a thread. */
static void who_add(struct buf *text, const struct event *event)
{
	add_keys(text, recording_common_keys() + 1, event);
}

static void write_event(struct recording *recording, const struct event *event)
{
	struct who *who = &recording->who;
	struct buf *line = &recording->line;
	char *at;

	if (!who_known(who, event))
		who_add(&who->text, event);
	buf_add_str(line, recording_kind_name(event->kind));
	at = buf_reserve(line, NUMBERS_BYTES);
	if (at)
		buf_end(line, put_number(at, recording_common_keys(), event->ts_ns, true));
	buf_add(line, who->text.data, who->text.len);
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
		if (!has_chain(record->event)) {
			write_event(recording, record->event);
			break;
		}
		event = *record->event;
		err = write_stack(recording, &event);
		if (err)
			return err;
		write_event(recording, &event);
		break;
	case RECORD_LEDGER:
		return 0; /* whoever reads the events keeps the same books */
	case RECORD_END:
		write_end(line, record->end);
		break;
	}
	buf_add_char(line, '\n');
	err = buf_error(&recording->who.text);
	if (!err)
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
