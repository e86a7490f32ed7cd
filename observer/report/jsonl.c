/* SPDX-License-Identifier: GPL-2.0-only */
/* jsonl: one JSON object a line, for programs. Sizes in bytes, times in ns, null where something is not known. */
#include "base/errname.h"
#include "event/memcalls.h"
#include "event/recording.h"
#include "report/calltext.h"
#include "report/caps.h"
#include "report/emit.h"
#include "report/json.h"
#include "report/report.h"

#include <errno.h>
#include <stdlib.h>

struct jsonl {
	FILE *out;
	struct buf line;
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

static void add_arg(struct buf *line, const struct memcall_arg *arg, uint64_t value, const char *text)
{
	switch (arg->role) {
	case ARG_NONE:
		break;
	case ARG_FD:
	case ARG_INT:
	case ARG_ADVICE:
		json_i64(line, arg->name, (int32_t)value);
		break;
	case ARG_PATH:
		json_str(line, arg->name, text);
		break;
	case ARG_ADDR:
	case ARG_LEN:
	case ARG_PROT:
	case ARG_MAPFLAGS:
	case ARG_REMAPFLAGS:
	case ARG_MLOCKFLAGS:
	case ARG_MLOCKALL:
	case ARG_SHMFLAGS:
	case ARG_CLONEFLAGS:
	case ARG_OFFSET:
	case ARG_HEX:
	case ARG_PTR:
		json_u64(line, arg->name, value);
		break;
	}
}

/* The arguments of one syscall, or the range of faults; those of a row that stands for many calls have no meaning. */
static void add_args(struct buf *line, const struct event_change *change)
{
	bool is_call = change->cause == CAUSE_SYSCALL && change->call && change->count == 1 && !change->folded;

	if (!is_call && (change->cause == CAUSE_SYSCALL || !change->len)) {
		json_null(line, "args");
		return;
	}
	json_open_object(line, "args");
	if (is_call) {
		for (unsigned int i = 0; i < 6 && change->call->args[i].role != ARG_NONE; i++)
			add_arg(line, &change->call->args[i], change->args[i], change->text);
	} else {
		json_u64(line, "addr", change->addr);
		json_next_u64(line, "len", change->len);
	}
	json_close_object(line);
}

static void add_result(struct buf *line, const struct event_change *change)
{
	if (!change->has_ret) {
		json_null(line, "ret");
		json_null(line, "error");
	} else if (calltext_failed(change)) {
		json_next_i64(line, "ret", -1);
		json_str(line, "error", errname((int)-change->ret));
	} else {
		json_next_i64(line, "ret", change->ret);
		json_null(line, "error");
	}
}

static void add_region(struct buf *line, const struct region *region)
{
	if (region->kind == REGION_NONE) {
		json_null(line, "region");
		return;
	}
	json_open_object(line, "region");
	json_str(line, "kind", region_kind_name(region->kind));
	json_next_u64(line, "start", region->start);
	json_next_u64(line, "end", region->end);
	json_str(line, "path", region->path);
	json_close_object(line);
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

static void write_change(struct buf *line, const struct record *record)
{
	const struct event *event = record->event;
	const struct event_change *change = &event->change;

	add_who(line, "event", event);
	json_next_i64(line, "tid", event->tid);
	json_str(line, "comm", event->comm);
	json_next_u64(line, "mm", event->mm);
	json_str(line, "cause", cause_name(change->cause));
	json_str(line, "name", change->name);
	add_args(line, change);
	add_result(line, change);
	add_usage_members(line, &change->delta);
	json_next_i64(line, "virt_after", record->after.virt);
	json_next_i64(line, "rss_after", usage_rss(&record->after));
	add_region(line, &record->region);
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
static bool write_event(struct buf *line, const struct record *record)
{
	const struct event *event = record->event;

	switch (event->kind) {
	case EVENT_CHANGE:
		if (record->hidden)
			return false;
		write_change(line, record);
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
		any = write_event(line, record);
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
