/* SPDX-License-Identifier: GPL-2.0-only */
/* summary: the ledger of each mm, and for each the causes phase by phase and the call sites, without the timeline. */
#include "base/map.h"
#include "report/closings.h"
#include "report/emit.h"
#include "report/headtext.h"
#include "report/report.h"
#include "report/sites.h"

#include <errno.h>
#include <stdlib.h>

struct summary {
	FILE *out;
	struct textstyle style;
	struct closings *closings;
	uint64_t start_ns;
	struct map sites; /* of open mms: struct sites */
	struct buf text;
};

static void summary_close(void *report)
{
	struct summary *summary = report;
	struct sites *sites;
	size_t pos = 0;

	if (!summary)
		return;
	while ((sites = map_next(&summary->sites, &pos, NULL)))
		sites_free(sites);
	map_free(&summary->sites);
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

static int open_sites(struct summary *summary, uint64_t mm)
{
	struct sites *sites = map_get(&summary->sites, mm) ? NULL : sites_new(&summary->style);

	if (map_get(&summary->sites, mm))
		return 0;
	if (sites && !map_put(&summary->sites, mm, sites))
		return 0;
	sites_free(sites);
	return -ENOMEM;
}

static int write_event(struct summary *summary, const struct event *event)
{
	struct sites *sites;

	if (event->kind == EVENT_MM_OPEN && event->mm)
		return open_sites(summary, event->mm);
	sites = event->kind == EVENT_CHANGE ? map_get(&summary->sites, event->mm) : NULL;
	return sites ? sites_add(sites, &event->change) : 0;
}

static int write_ledger(struct summary *summary, const struct ledger_view *ledger)
{
	struct sites *sites = map_del(&summary->sites, ledger->mm);
	struct buf table = { 0 };
	int err = sites ? sites_write(sites, &table) : 0;

	if (!err)
		err = closings_add(summary->closings, ledger, summary->start_ns, &table);
	sites_free(sites);
	buf_free(&table);
	return err;
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
		return write_event(summary, record->event);
	case RECORD_LEDGER:
		return write_ledger(summary, record->ledger);
	case RECORD_END:
		return write_end(summary, record->end);
	}
	return 0;
}

const struct report_ops report_summary = {
	.name = "summary",
	.help = "the closing tables, with one per phase and one by call site",
	.all_rows = true,
	.open = summary_open,
	.write = summary_write,
	.close = summary_close,
};
