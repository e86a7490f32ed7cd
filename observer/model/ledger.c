/* SPDX-License-Identifier: GPL-2.0-only */
#include "model/ledger.h"

#include "model/ledger_lines.h"
#include "model/phases.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct ledger {
	uint64_t mm, start_ns;
	int32_t pid;
	char comm[EVENT_COMM_LEN];
	char *image;
	enum open_how how;
	struct usage opening, level, peak;
	struct usage exit;
	bool exited;
	struct ledger_lines lines;
	struct phases phases;
	struct usage unattributed;
	bool unattributed_effect; /* of some row, even if they cancel each other out */
	uint64_t unattributed_rows, coalesced_events;
};

static void note_peak(struct ledger *ledger)
{
	struct usage *peak = &ledger->peak;
	const struct usage *level = &ledger->level;
	int64_t virt = peak->virt > level->virt ? peak->virt : level->virt;

	if (books_rss(level) > books_rss(peak))
		*peak = *level;
	peak->virt = virt;
}

struct ledger *ledger_new(const struct event *open, const char *image)
{
	struct ledger *ledger = calloc(1, sizeof(*ledger));

	if (!ledger)
		return NULL;
	ledger->mm = open->mm;
	ledger->pid = open->pid;
	ledger->start_ns = open->ts_ns;
	ledger->how = open->open.how;
	ledger->opening = open->open.opening;
	ledger->level = open->open.opening;
	ledger->peak = open->open.opening;
	memcpy(ledger->comm, open->comm, sizeof(ledger->comm));
	ledger->comm[sizeof(ledger->comm) - 1] = '\0';
	if (open->open.image)
		image = open->open.image;
	if (image)
		ledger->image = strdup(image);
	if ((image && !ledger->image) || phases_begin(&ledger->phases, open->ts_ns)) {
		ledger_free(ledger);
		return NULL;
	}
	return ledger;
}

void ledger_free(struct ledger *ledger)
{
	if (!ledger)
		return;
	phases_free(&ledger->phases);
	ledger_lines_free(&ledger->lines);
	free(ledger->image);
	free(ledger);
}

const struct usage *ledger_level(const struct ledger *ledger)
{
	return &ledger->level;
}

const char *ledger_image(const struct ledger *ledger)
{
	return ledger->image;
}

int ledger_add(struct ledger *ledger, const struct event *event)
{
	const struct event_change *change = &event->change;
	int at;

	books_add(&ledger->level, &change->delta);
	ledger->coalesced_events += change->folded;
	if (change->cause == CAUSE_EXIT) {
		books_add(&ledger->exit, &change->delta);
		ledger->exited = true;
		return 0;
	}
	note_peak(ledger);
	if (!change->attributed) {
		ledger->unattributed_rows++;
		ledger->unattributed_effect |= !usage_is_zero(&change->delta);
		books_add(&ledger->unattributed, &change->delta);
	}
	at = ledger_lines_find(&ledger->lines, change);
	if (at < 0)
		return at;
	return phases_add(&ledger->phases, (unsigned int)at, ledger->lines.lines[at].name, change);
}

int ledger_mark(struct ledger *ledger, const struct event *event)
{
	return phases_cut(&ledger->phases, event->ts_ns, event->mark.name, &ledger->level);
}

static bool same_usage(const struct usage *a, const struct usage *b)
{
	return a->virt == b->virt && a->anon == b->anon && a->file == b->file && a->shmem == b->shmem &&
	       a->swap == b->swap;
}

/* Whether everything agrees: the rows, the exit row if there is one, the kernel's own reading, /proc. */
static bool balances(const struct ledger *ledger, const struct ledger_view *view)
{
	struct usage after_exit = view->closing;

	books_add(&after_exit, &ledger->exit);
	if (ledger->exited && !usage_is_zero(&after_exit))
		return false;
	if (view->proc_known && !same_usage(&view->proc, &view->closing))
		return false;
	/* Rows of unknown cause that cancel each other out, or a gap, are none the less unknown. */
	return usage_is_zero(&view->unattributed) && !ledger->unattributed_effect;
}

/* What is in the lines is in those of the phases already. */
static void lines_fill(struct ledger *ledger)
{
	phases_merge(&ledger->phases, ledger->lines.lines);
	for (unsigned int i = 0; i < ledger->lines.count; i++)
		ledger_line_sum(&ledger->lines.lines[i]);
}

void ledger_close(struct ledger *ledger, const struct event *close, uint64_t lost_events, struct ledger_view *ret_view)
{
	const struct event_close *at_close = &close->close;
	struct usage sum = ledger->level, gap;

	books_sub(&sum, &ledger->exit);
	gap = at_close->closing_known ? at_close->closing : sum;
	*ret_view = (struct ledger_view){
		.mm = ledger->mm,
		.pid = ledger->pid,
		.comm = ledger->comm,
		.image = ledger->image,
		.how = ledger->how,
		.detached = at_close->detached,
		.start_ns = ledger->start_ns,
		.end_ns = close->ts_ns,
		.opening = ledger->opening,
		.closing = gap,
		.peak = ledger->peak,
		.exit = ledger->exit,
		.proc = at_close->proc,
		.proc_known = at_close->proc_known,
		.judge = at_close->judge,
		.lines = ledger->lines.lines,
		.line_count = ledger->lines.count,
		.phases = phases_view(&ledger->phases, close->ts_ns, &sum),
		.phase_count = ledger->phases.count,
		.unattributed = ledger->unattributed,
		.unattributed_rows = ledger->unattributed_rows,
		.lost_events = lost_events,
		.coalesced_events = ledger->coalesced_events,
		.swapped_pages = at_close->swapped_pages,
	};
	lines_fill(ledger);
	books_sub(&gap, &sum);
	books_add(&ret_view->unattributed, &gap);
	ret_view->balanced = balances(ledger, ret_view);
}
