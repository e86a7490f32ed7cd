/* SPDX-License-Identifier: GPL-2.0-only */
/* summary: the ledger of each mm, and for each the causes phase by phase, without the timeline. */
#include "report/closings.h"
#include "report/emit.h"
#include "report/headtext.h"
#include "report/report.h"

#include <errno.h>
#include <stdlib.h>

struct summary {
	FILE *out;
	struct textstyle style;
	struct closings *closings;
	uint64_t start_ns;
	struct buf text;
};

static void summary_close(void *report)
{
	struct summary *summary = report;

	if (!summary)
		return;
	closings_free(summary->closings);
	buf_free(&summary->text);
	free(summary);
}

static void *summary_open(const struct report_options *options)
{
	struct summary *summary = calloc(1, sizeof(*summary));

	if (!summary)
		return NULL;
	summary->out = options->out;
	textstyle_init(&summary->style, options->color);
	summary->closings = closings_new(&summary->style, true);
	if (!summary->closings) {
		summary_close(summary);
		errno = ENOMEM;
		return NULL;
	}
	return summary;
}

static int write_end(struct summary *summary, const struct record_end *end)
{
	int err = closings_write(summary->closings, summary->out);

	if (err)
		return err;
	buf_add_char(&summary->text, '\n');
	headtext_add_end(&summary->text, &summary->style, end);
	err = emit_text(summary->out, &summary->text);
	return err ? err : emit_finish(summary->out);
}

static int summary_write(void *report, const struct record *record)
{
	struct summary *summary = report;

	switch (record->kind) {
	case RECORD_HEADER:
		summary->start_ns = record->header->start_ns;
		headtext_add(&summary->text, &summary->style, record->header);
		return emit_text(summary->out, &summary->text);
	case RECORD_EVENT:
		return 0;
	case RECORD_LEDGER:
		return closings_add(summary->closings, record->ledger, summary->start_ns);
	case RECORD_END:
		return write_end(summary, record->end);
	}
	return 0;
}

const struct report_ops report_summary = {
	.name = "summary",
	.help = "the closing tables, with one per phase",
	.open = summary_open,
	.write = summary_write,
	.close = summary_close,
};
