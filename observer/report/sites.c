/* SPDX-License-Identifier: GPL-2.0-only */
#include "report/sites.h"

#include "report/rowtext.h"
#include "report/tally.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Call sites that are told apart, and that are shown. */
#define SITES_MAX 100000u
#define SHOWN_MAX 40

#define NO_CHAIN "(no call chain)"
#define NO_PEAK	 (-1)

struct sites {
	struct textstyle style;
	struct tally *tally;
	struct tally_entry *none; /* of rows without a call chain; NULL: there was none yet */
	bool any;		  /* a row with a call chain */
	struct buf text;
};

struct sites *sites_new(const struct textstyle *style)
{
	struct sites *sites = calloc(1, sizeof(*sites));

	if (!sites)
		return NULL;
	sites->style = *style;
	sites->tally = tally_new(SITES_MAX, "(further call sites)");
	if (!sites->tally) {
		free(sites);
		return NULL;
	}
	return sites;
}

void sites_free(struct sites *sites)
{
	if (!sites)
		return;
	tally_free(sites->tally);
	buf_free(&sites->text);
	free(sites);
}

static struct tally_entry *find(struct sites *sites, const struct event_change *change)
{
	uint64_t key = tally_key(change->stack_id, change->cause == CAUSE_SYSCALL ? change->name : "");
	struct tally_entry *entry = tally_recall(sites->tally, key);
	struct event_change whole;
	size_t arrow;

	if (!entry && !change->stack_len)
		entry = sites->none;
	if (entry)
		return entry;
	whole = *change;
	whole.stack_complete = true; /* a call site is known or not: where its chain ends says nothing */
	buf_reset(&sites->text);
	rowtext_add_caller(&sites->text, &sites->style, &whole);
	/* "← main (main.c:3)": of a row, but not of a table that is about nothing else. */
	arrow = strlen(sites->style.arrow) + 1;
	if (sites->text.len > arrow && !strncmp(sites->text.data, sites->style.arrow, arrow - 1)) {
		sites->text.len -= arrow;
		memmove(sites->text.data, sites->text.data + arrow, sites->text.len + 1);
	}
	if (!sites->text.len)
		buf_add_str(&sites->text, NO_CHAIN);
	entry = tally_get(sites->tally, &sites->text, key);
	if (!change->stack_len)
		sites->none = entry;
	return entry;
}

int sites_add(struct sites *sites, const struct event_change *change)
{
	struct tally_entry *entry;

	if (change->cause == CAUSE_EXIT || change->cause == CAUSE_FORK || change->cause == CAUSE_EXEC)
		return 0;
	entry = find(sites, change);
	if (!entry)
		return -ENOMEM;
	sites->any |= change->stack_len != 0;
	tally_add(entry, change);
	return 0;
}

/* How much an entry has moved, in both directions. */
static uint64_t moved(const struct tally_entry *entry)
{
	return (uint64_t)entry->gained.virt - (uint64_t)entry->given.virt + (uint64_t)entry->gained.anon -
	       (uint64_t)entry->given.anon;
}

static int compare(const void *a, const void *b)
{
	const struct tally_entry *x = *(struct tally_entry *const *)a, *y = *(struct tally_entry *const *)b;

	if (moved(x) != moved(y))
		return moved(x) > moved(y) ? -1 : 1;
	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	return strcmp(x->text, y->text);
}

static void add_head(const struct sites *sites, struct buf *text)
{
	static const char *const names[] = { "VIRT kB", "gained", "given back", "peak",
					     "RSS kB",	"gained", "given back", "peak" };

	text_color(text, &sites->style, COLOR_BOLD);
	buf_add_char(text, '\n');
	column_right(text, "count", COLUMN_COUNT);
	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		column_right(text, names[i], COLUMN_KB);
	buf_add_str(text, "  call site");
	text_color_end(text, &sites->style, COLOR_BOLD);
	buf_add_char(text, '\n');
}

static void add_peak(struct buf *text, int64_t peak)
{
	if (peak == NO_PEAK)
		column_right(text, "-", COLUMN_KB);
	else
		column_kb(text, peak, COLUMN_KB);
}

static void add_line(const struct sites *sites, struct buf *text, const struct tally_entry *entry, const char *name)
{
	const struct textstyle *style = &sites->style;

	column_u64(text, entry->count, COLUMN_COUNT);
	column_kb_change(text, style, entry->gained.virt + entry->given.virt, COLUMN_KB);
	column_kb_change(text, style, entry->gained.virt, COLUMN_KB);
	column_kb_change(text, style, entry->given.virt, COLUMN_KB);
	add_peak(text, entry->peak.virt);
	column_kb_change(text, style, entry->gained.anon + entry->given.anon, COLUMN_KB);
	column_kb_change(text, style, entry->gained.anon, COLUMN_KB);
	column_kb_change(text, style, entry->given.anon, COLUMN_KB);
	add_peak(text, entry->peak.anon);
	buf_add_str(text, "  ");
	buf_add_str(text, name);
	buf_add_char(text, '\n');
}

/* The sums of those that are not shown. Peaks of several sites were not at one time, so there is none. */
static void add_rest(const struct sites *sites, struct buf *text, struct tally_entry *const *list, size_t count)
{
	struct tally_entry rest = { .peak = { .virt = NO_PEAK, .anon = NO_PEAK } };
	struct buf name = { 0 };

	for (size_t i = 0; i < count; i++) {
		rest.count += list[i]->count;
		usage_add(&rest.gained, &list[i]->gained);
		usage_add(&rest.given, &list[i]->given);
	}
	buf_addf(&name, "(%zu more)", count);
	add_line(sites, text, &rest, name.data ? name.data : "");
	buf_free(&name);
}

int sites_write(const struct sites *sites, struct buf *text)
{
	size_t count = 0, shown;
	struct tally_entry **list;

	if (!sites->any)
		return 0;
	list = tally_list(sites->tally, &count);
	if (!list)
		return -ENOMEM;
	qsort(list, count, sizeof(struct tally_entry *), compare);
	shown = count <= SHOWN_MAX + 1 ? count : SHOWN_MAX;
	add_head(sites, text);
	for (size_t i = 0; i < shown; i++)
		add_line(sites, text, list[i], list[i]->text);
	if (shown < count)
		add_rest(sites, text, list + shown, count - shown);
	free(list);
	return buf_error(text);
}
