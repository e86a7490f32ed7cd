/* SPDX-License-Identifier: GPL-2.0-only */
/* folded: call chains for flame graphs, one a line: "program;outermost;...;innermost VALUE". The value is what its rows have
 * gained, in bytes of VIRT or RSS, or how many calls and faults there were; chains that gained nothing are left out. */
#include "report/callsite.h"
#include "report/emit.h"
#include "report/report.h"
#include "report/rowtext.h"
#include "report/tally.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Chains that are told apart. */
#define CHAINS_MAX 500000u

struct folded {
	FILE *out;
	enum report_weight weight;
	struct textstyle style;
	struct tally *tally;
	struct buf text;
};

static void folded_close(void *report)
{
	struct folded *folded = report;

	if (!folded)
		return;
	tally_free(folded->tally);
	buf_free(&folded->text);
	free(folded);
}

static void *folded_open(const struct report_options *options)
{
	struct folded *folded = calloc(1, sizeof(*folded));

	if (!folded)
		return NULL;
	folded->out = options->out;
	folded->weight = options->weight;
	textstyle_init(&folded->style, false);
	folded->tally = tally_new(CHAINS_MAX, "[further call chains]");
	if (!folded->tally) {
		folded_close(folded);
		errno = ENOMEM;
		return NULL;
	}
	return folded;
}

/* A name in which nothing parts frames. */
static void add_name(struct buf *text, const struct textstyle *style, const char *name)
{
	size_t begin = text->len;

	escape_text(text, name, style->escape);
	for (size_t i = begin; i < text->len; i++) {
		if (text->data[i] == ';')
			text->data[i] = ':';
	}
}

static void add_frame(struct buf *text, const struct textstyle *style, const struct frame *frame)
{
	const char *slash = frame->object ? strrchr(frame->object, '/') : NULL;

	buf_add_char(text, ';');
	if (frame->symbol) {
		add_name(text, style, frame->symbol);
		return;
	}
	/* All that is known of it; single addresses would only make many narrow towers. */
	if (slash || !frame->object || frame->object[0] != '[')
		buf_add_char(text, '[');
	add_name(text, style, slash ? slash + 1 : frame->object ? frame->object : "unknown");
	if (text->len && text->data[text->len - 1] != ']')
		buf_add_char(text, ']');
}

static void add_chain(struct folded *folded, const struct event *event)
{
	const struct event_change *change = &event->change;
	struct buf *text = &folded->text;

	buf_reset(text);
	add_name(text, &folded->style, event->comm[0] ? event->comm : "?");
	if (change->stack_len && !change->stack_complete)
		buf_add_str(text, ";[truncated]");
	for (unsigned int i = change->stack_len; i--;)
		add_frame(text, &folded->style, &change->stack[i]);
	if (change->stack_len)
		return;
	buf_add_str(text, ";[no call chain];");
	rowtext_add_cause(text, &folded->style, change->cause, change->name);
}

static int add_row(struct folded *folded, const struct event *event)
{
	uint64_t id = event->change.stack_id ? event->change.stack_id * 2 + event->change.stack_complete : 0;
	uint64_t key = tally_key(id, event->comm);
	struct tally_entry *entry = tally_recall(folded->tally, key);

	if (!entry) {
		add_chain(folded, event);
		entry = tally_get(folded->tally, &folded->text, key);
		buf_reset(&folded->text);
	}
	if (!entry)
		return -ENOMEM;
	tally_add(entry, &event->change);
	return 0;
}

static uint64_t value_of(const struct folded *folded, const struct tally_entry *entry)
{
	switch (folded->weight) {
	case WEIGHT_VIRT:
		return (uint64_t)entry->gained.virt;
	case WEIGHT_RSS:
		return (uint64_t)entry->gained.anon;
	case WEIGHT_COUNT:
		return entry->count;
	}
	return 0;
}

static int compare(const void *a, const void *b)
{
	return strcmp((*(struct tally_entry *const *)a)->text, (*(struct tally_entry *const *)b)->text);
}

static int write_all(struct folded *folded)
{
	size_t count = 0;
	struct tally_entry **list = tally_list(folded->tally, &count);
	int err = list ? 0 : -ENOMEM;

	if (list)
		qsort(list, count, sizeof(struct tally_entry *), compare);
	for (size_t i = 0; i < count && !err; i++) {
		uint64_t value = value_of(folded, list[i]);

		if (!value)
			continue;
		buf_add_str(&folded->text, list[i]->text);
		buf_add_char(&folded->text, ' ');
		buf_add_u64(&folded->text, value);
		buf_add_char(&folded->text, '\n');
		err = emit_text(folded->out, &folded->text);
	}
	free(list);
	return err ? err : emit_finish(folded->out);
}

static int folded_write(void *report, const struct record *record)
{
	struct folded *folded = report;

	switch (record->kind) {
	case RECORD_EVENT:
		if (record->event->kind == EVENT_CHANGE && !record->hidden)
			return add_row(folded, record->event);
		return 0;
	case RECORD_END:
		return write_all(folded);
	case RECORD_HEADER:
	case RECORD_LEDGER:
		break;
	}
	return 0;
}

const struct report_ops report_folded = {
	.name = "folded",
	.help = "call chains and what they gained (--weight), for flame graphs",
	.open = folded_open,
	.write = folded_write,
	.close = folded_close,
};
