/* SPDX-License-Identifier: GPL-2.0-only */
/* jsonl: one JSON object a line, for programs. Sizes in bytes, times in ns, null where something is not known. */
#include "base/errname.h"
#include "base/pen.h"
#include "event/memcalls.h"
#include "event/recording.h"
#include "report/calltext.h"
#include "report/caps.h"
#include "report/emit.h"
#include "report/json.h"
#include "report/report.h"
#include "report/who.h"

#include <errno.h>
#include <stdlib.h>

/* An argument's key as it stands in the line, with what comes before it. */
struct arg_key {
	char text[23];
	unsigned char len; /* 0: not made yet */
};

struct jsonl {
	FILE *out;
	struct buf line;
	struct who who;
	struct arg_key keys[CALL_COUNT][6];
};

static void *jsonl_open(const struct report_options *options)
{
	struct jsonl *jsonl = calloc(1, sizeof(*jsonl));

	if (jsonl)
		jsonl->out = options->out;
	return jsonl;
}

static void jsonl_close(void *report)
{
	struct jsonl *jsonl = report;

	if (!jsonl)
		return;
	buf_free(&jsonl->line);
	who_free(&jsonl->who);
	free(jsonl);
}

static void add_usage_members(struct buf *line, const struct usage *usage)
{
	json_i64(line, "virt", usage->virt);
	json_next_i64(line, "rss", usage_rss(usage));
	json_next_i64(line, "anon", usage->anon);
	json_next_i64(line, "file", usage->file);
	json_next_i64(line, "shmem", usage->shmem);
	json_next_i64(line, "swap", usage->swap);
}

static void add_usage(struct buf *line, const char *key, const struct usage *usage)
{
	json_open_object(line, key);
	add_usage_members(line, usage);
	json_close_object(line);
}

static void write_header(struct buf *line, const struct record_header *header)
{
	json_str(line, "type", "header");
	json_u64(line, "version", 1);
	json_str(line, "source", header->source);
	json_open_array(line, "caps");
	for (unsigned int i = 0; i < CAP_TEXTS; i++) {
		if (header->caps & cap_texts[i].cap)
			json_str(line, NULL, cap_texts[i].name);
	}
	json_close_array(line);
	json_u64(line, "page_size", header->page_size);
	if (header->cmd) {
		json_open_array(line, "cmd");
		for (char *const *arg = header->cmd; *arg; arg++)
			json_str(line, NULL, *arg);
		json_close_array(line);
	} else {
		json_null(line, "cmd");
	}
	json_u64(line, "start_ns", header->start_ns);
	json_open_array(line, "not_seen");
	for (unsigned int i = 0; i < CAP_TEXTS; i++) {
		if (!(header->caps & cap_texts[i].cap))
			json_str(line, NULL, cap_texts[i].name);
	}
	json_close_array(line);
	json_str(line, "why", header->why);
	json_u64(line, "start_realtime_ns", header->start_realtime_ns);
	json_str(line, "heaptrace", header->version);
}

/* What the bounded parts of a row may take, each number with its key. */
#define PART_BYTES 256

static const struct arg_key *keys_of(struct jsonl *jsonl, const struct memcall *call)
{
	struct arg_key *keys = jsonl->keys[call->id];

	if (keys[0].len)
		return keys;
	for (unsigned int i = 0; i < 6 && call->args[i].role != ARG_NONE; i++)
		keys[i].len = (unsigned char)snprintf(keys[i].text, sizeof(keys[i].text), "%c\"%s\":", i ? ',' : '{',
						      call->args[i].name);
	return keys;
}

static bool is_signed(enum arg_role role)
{
	return role == ARG_FD || role == ARG_INT || role == ARG_ADVICE;
}

static void add_call_args(struct jsonl *jsonl, const struct event_change *change)
{
	const struct memcall_arg *args = change->call->args;
	const struct arg_key *keys = keys_of(jsonl, change->call);
	struct buf *line = &jsonl->line;

	if (args[0].role == ARG_NONE)
		buf_add_char(line, '{');
	for (unsigned int i = 0; i < 6 && args[i].role != ARG_NONE; i++) {
		char *at = buf_reserve(line, PART_BYTES);

		if (!at)
			return;
		memcpy(at, keys[i].text, sizeof(keys[i].text));
		at += keys[i].len;
		if (args[i].role == ARG_PATH) {
			buf_end(line, at);
			escape_json(line, change->text);
		} else if (is_signed(args[i].role)) {
			buf_end(line, pen_i64(at, (int32_t)change->args[i]));
		} else {
			buf_end(line, pen_u64(at, change->args[i]));
		}
	}
	buf_add_char(line, '}');
}

/* The arguments of one syscall, or the range of faults; those of a row that stands for many calls have no meaning. */
static void add_args(struct jsonl *jsonl, const struct event_change *change)
{
	struct buf *line = &jsonl->line;
	char *at = buf_reserve(line, PART_BYTES);

	if (!at)
		return;
	at = pen_str(at, ",\"args\":");
	if (change->cause == CAUSE_SYSCALL && change->call && change->count == 1 && !change->folded) {
		buf_end(line, at);
		add_call_args(jsonl, change);
	} else if (change->cause == CAUSE_SYSCALL || !change->len) {
		buf_end(line, pen_str(at, "null"));
	} else {
		at = pen_u64(pen_str(at, "{\"addr\":"), change->addr);
		at = pen_u64(pen_str(at, ",\"len\":"), change->len);
		buf_end(line, pen_str(at, "}"));
	}
}

static void add_result(struct buf *line, const struct event_change *change)
{
	char *at = buf_reserve(line, PART_BYTES);

	if (!at)
		return;
	if (!change->has_ret) {
		buf_end(line, pen_str(at, ",\"ret\":null,\"error\":null"));
	} else if (calltext_failed(change)) {
		buf_end(line, pen_str(at, ",\"ret\":-1,\"error\":"));
		escape_json(line, errname((int)-change->ret));
	} else {
		at = pen_i64(pen_str(at, ",\"ret\":"), change->ret);
		buf_end(line, pen_str(at, ",\"error\":null"));
	}
}

/* What it changed, and the levels after it. */
static void add_effect(struct buf *line, const struct usage *delta, const struct usage *after)
{
	char *at = buf_reserve(line, PART_BYTES);

	if (!at)
		return;
	at = pen_i64(pen_str(at, ",\"virt\":"), delta->virt);
	at = pen_i64(pen_str(at, ",\"rss\":"), usage_rss(delta));
	if (delta->anon | delta->file | delta->shmem | delta->swap) {
		at = pen_i64(pen_str(at, ",\"anon\":"), delta->anon);
		at = pen_i64(pen_str(at, ",\"file\":"), delta->file);
		at = pen_i64(pen_str(at, ",\"shmem\":"), delta->shmem);
		at = pen_i64(pen_str(at, ",\"swap\":"), delta->swap);
	} else {
		at = pen_str(at, ",\"anon\":0,\"file\":0,\"shmem\":0,\"swap\":0");
	}
	at = pen_i64(pen_str(at, ",\"virt_after\":"), after->virt);
	buf_end(line, pen_i64(pen_str(at, ",\"rss_after\":"), usage_rss(after)));
}

static void add_region(struct buf *line, const struct region *region)
{
	char *at = buf_reserve(line, PART_BYTES);

	if (!at)
		return;
	if (region->kind == REGION_NONE) {
		buf_end(line, pen_str(at, ",\"region\":null"));
		return;
	}
	at = pen_str(pen_str(at, ",\"region\":{\"kind\":\""), region_kind_name(region->kind));
	at = pen_u64(pen_str(at, "\",\"start\":"), region->start);
	at = pen_u64(pen_str(at, ",\"end\":"), region->end);
	buf_end(line, pen_str(at, ",\"path\":"));
	escape_json(line, region->path);
	buf_add_char(line, '}');
}

static void add_frame(struct buf *line, const struct frame *frame)
{
	json_open_object(line, NULL);
	json_u64(line, "addr", frame->addr);
	json_str(line, "sym", frame->symbol);
	if (frame->symbol || frame->offset)
		json_u64(line, "off", frame->offset);
	else
		json_null(line, "off");
	json_str(line, "obj", frame->object);
	json_str(line, "file", frame->file);
	if (frame->line)
		json_u64(line, "line", frame->line);
	else
		json_null(line, "line");
	if (frame->inlined)
		json_bool(line, "inlined", true);
	json_close_object(line);
}

static void add_who(struct buf *line, const char *type, const struct event *event)
{
	json_str(line, "type", type);
	json_next_u64(line, "ts_ns", event->ts_ns);
	json_next_i64(line, "pid", event->pid);
}

static void who_add(struct buf *text, const struct event *event)
{
	json_next_i64(text, "pid", event->pid);
	json_next_i64(text, "tid", event->tid);
	json_str(text, "comm", event->comm);
	json_next_u64(text, "mm", event->mm);
}

/* When, who, and what it is called. */
static void add_head(struct jsonl *jsonl, const struct event *event)
{
	struct who *who = &jsonl->who;
	struct buf *line = &jsonl->line;
	char *at = buf_reserve(line, PART_BYTES);

	if (!at)
		return;
	buf_end(line, pen_u64(pen_str(at, "\"type\":\"event\",\"ts_ns\":"), event->ts_ns));
	if (!who_known(who, event))
		who_add(&who->text, event);
	buf_add(line, who->text.data, who->text.len);
	at = buf_reserve(line, PART_BYTES);
	if (!at)
		return;
	at = pen_str(pen_str(at, ",\"cause\":\""), cause_name(event->change.cause));
	buf_end(line, pen_str(at, "\",\"name\":"));
	escape_json(line, event->change.name);
}

/* Whether nothing of what comes last in a row says more than usual. */
static bool is_plain(const struct event_change *change)
{
	return change->count == 1 && !change->stack_len && !change->stack_lost && !change->folded &&
	       change->attributed && !change->text;
}

static void write_change(struct jsonl *jsonl, const struct record *record)
{
	const struct event_change *change = &record->event->change;
	struct buf *line = &jsonl->line;

	add_head(jsonl, record->event);
	add_args(jsonl, change);
	add_result(line, change);
	add_effect(line, &change->delta, &record->after);
	add_region(line, &record->region);
	if (is_plain(change)) {
		buf_add_str(line, ",\"count\":1,\"stack\":[],\"stack_complete\":false,\"folded\":0,\"attributed\":true,"
				  "\"text\":null");
		return;
	}
	json_next_u64(line, "count", change->count);
	json_open_array(line, "stack");
	for (unsigned int i = 0; i < change->stack_len; i++)
		add_frame(line, &change->stack[i]);
	json_close_array(line);
	json_bool(line, "stack_complete", change->stack_len && change->stack_complete);
	if (change->stack_lost)
		json_bool(line, "stack_lost", true);
	json_next_u64(line, "folded", change->folded);
	json_bool(line, "attributed", change->attributed);
	json_str(line, "text", change->text);
}

/* Whether @record made a line: the opening and the mappings of an mm are no rows, and its closing is the ledger's. */
static bool write_event(struct jsonl *jsonl, const struct record *record)
{
	const struct event *event = record->event;
	struct buf *line = &jsonl->line;

	switch (event->kind) {
	case EVENT_CHANGE:
		if (record->hidden)
			return false;
		write_change(jsonl, record);
		return true;
	case EVENT_MARK:
		add_who(line, "mark", event);
		json_i64(line, "tid", event->tid);
		json_str(line, "name", event->mark.name);
		json_u64(line, "mm", event->mm);
		add_usage_members(line, &record->after);
		return true;
	case EVENT_SAMPLE:
		add_who(line, "sample", event);
		add_usage_members(line, &event->sample.usage);
		json_u64(line, "mm", event->mm);
		return true;
	case EVENT_LOST:
		add_who(line, "lost", event);
		json_u64(line, "records", event->lost.records);
		json_str(line, "what", event->lost.what);
		json_bool(line, "detail", event->lost.detail);
		json_bool(line, "books", event->lost.books);
		return true;
	case EVENT_MM_OPEN:
	case EVENT_MM_CLOSE:
	case EVENT_VMA:
	case EVENT_PROC_EXIT:
		break;
	}
	return false;
}

static void add_ledger_line(struct buf *line, const struct ledger_line *entry)
{
	json_open_object(line, NULL);
	json_str(line, "cause", cause_name(entry->cause));
	json_str(line, "name", entry->name);
	json_u64(line, "count", entry->count);
	add_usage_members(line, &entry->delta);
	json_u64(line, "errors", entry->errors);
	add_usage(line, "gained", &entry->gained);
	add_usage(line, "given_back", &entry->given);
	json_close_object(line);
}

static void write_ledger(struct buf *line, const struct ledger_view *ledger)
{
	json_str(line, "type", "ledger");
	json_i64(line, "pid", ledger->pid);
	json_u64(line, "mm", ledger->mm);
	json_str(line, "image", ledger->image);
	add_usage(line, "opening", &ledger->opening);
	add_usage(line, "closing", &ledger->closing);
	if (ledger->proc_known)
		add_usage(line, "proc", &ledger->proc);
	else
		json_null(line, "proc");
	json_str(line, "judge", ledger->proc_known ? ledger->judge : NULL);
	json_open_array(line, "by_cause");
	for (unsigned int i = 0; i < ledger->line_count; i++)
		add_ledger_line(line, &ledger->lines[i]);
	json_close_array(line);
	add_usage(line, "unattributed", &ledger->unattributed);
	json_u64(line, "lost_events", ledger->lost_events);
	json_u64(line, "coalesced_events", ledger->coalesced_events);
	json_bool(line, "balanced", ledger->balanced);
	json_str(line, "comm", ledger->comm);
	json_str(line, "how", open_how_name(ledger->how));
	json_bool(line, "detached", ledger->detached);
	json_u64(line, "start_ns", ledger->start_ns);
	json_u64(line, "end_ns", ledger->end_ns);
	add_usage(line, "peak", &ledger->peak);
	add_usage(line, "exit", &ledger->exit);
	json_u64(line, "unattributed_rows", ledger->unattributed_rows);
	json_u64(line, "swapped_pages", ledger->swapped_pages);
}

static void write_end(struct buf *line, const struct record_end *end)
{
	json_str(line, "type", "end");
	json_u64(line, "ts_ns", end->ts_ns);
	if (end->exit_known) {
		json_open_object(line, "exit");
		if (end->signal) {
			json_null(line, "code");
			json_i64(line, "signal", end->signal);
		} else {
			json_i64(line, "code", end->code);
			json_null(line, "signal");
		}
		json_close_object(line);
	} else {
		json_null(line, "exit");
	}
	json_u64(line, "processes", end->processes);
	json_u64(line, "events", end->events);
	json_u64(line, "mms", end->mms);
	json_u64(line, "balanced_mms", end->balanced_mms);
	json_u64(line, "lost_events", end->lost_events);
	json_u64(line, "lost_details", end->lost_details);
	json_u64(line, "lost_stacks", end->lost_stacks);
	json_u64(line, "unnamed", end->unnamed);
}

static int jsonl_write(void *report, const struct record *record)
{
	struct jsonl *jsonl = report;
	struct buf *line = &jsonl->line;
	bool any = true;
	int err;

	buf_reset(line);
	json_open_object(line, NULL);
	switch (record->kind) {
	case RECORD_HEADER:
		write_header(line, record->header);
		break;
	case RECORD_EVENT:
		any = write_event(jsonl, record);
		break;
	case RECORD_LEDGER:
		write_ledger(line, record->ledger);
		break;
	case RECORD_END:
		write_end(line, record->end);
		break;
	}
	if (!any)
		return buf_error(line);
	json_close_object(line);
	buf_add_char(line, '\n');
	err = buf_error(&jsonl->who.text);
	if (!err)
		err = emit_text(jsonl->out, line);
	if (!err && record->kind == RECORD_END)
		err = emit_finish(jsonl->out);
	return err;
}

const struct report_ops report_jsonl = {
	.name = "jsonl",
	.help = "one JSON object a line, for programs",
	.row_times = true,
	.open = jsonl_open,
	.write = jsonl_write,
	.close = jsonl_close,
};
