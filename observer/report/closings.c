/* SPDX-License-Identifier: GPL-2.0-only */
#include "report/closings.h"

#include "report/emit.h"
#include "report/ledgertext.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* How many full tables of each kind are kept, how many lines, and how much text in all. */
#define FIRST_MAX	16
#define UNBALANCED_MAX	16
#define LARGEST_MAX	4
#define LINES_MAX	1000
#define TABLE_BYTES_MAX (32u << 20)

enum keep { KEEP_TABLE, KEEP_LARGEST, KEEP_LINE };

struct closing {
	uint64_t mm;
	int64_t peak_rss;
	enum keep keep;
	char *table; /* NULL for KEEP_LINE */
	char *line;
};

/* Those of which not even a line is kept. */
struct rest {
	uint64_t count, balanced;
	int64_t peak_virt, peak_rss; /* the largest of one mm */
};

struct closings {
	struct textstyle style;
	bool phases;
	struct closing *entries;
	size_t count, cap;
	unsigned int tables_first, tables_unbalanced, tables_largest, lines;
	size_t table_bytes;
	struct rest rest;
};

struct closings *closings_new(const struct textstyle *style, bool phases)
{
	struct closings *closings = calloc(1, sizeof(*closings));

	if (closings) {
		closings->style = *style;
		closings->phases = phases;
	}
	return closings;
}

void closings_free(struct closings *closings)
{
	if (!closings)
		return;
	for (size_t i = 0; i < closings->count; i++) {
		free(closings->entries[i].table);
		free(closings->entries[i].line);
	}
	free(closings->entries);
	free(closings);
}

static struct closing *smallest_largest(struct closings *closings)
{
	struct closing *smallest = NULL;

	for (size_t i = 0; i < closings->count; i++) {
		struct closing *entry = &closings->entries[i];

		if (entry->keep == KEEP_LARGEST && (!smallest || entry->peak_rss < smallest->peak_rss))
			smallest = entry;
	}
	return smallest;
}

/* Makes a table into a line; the lines may come to be LARGEST_MAX more than their limit by that. */
static void demote(struct closings *closings, struct closing *entry)
{
	closings->table_bytes -= strlen(entry->table);
	free(entry->table);
	entry->table = NULL;
	entry->keep = KEEP_LINE;
	closings->tables_largest--;
	closings->lines++;
}

/* What is to be kept of @ledger, whose place is accounted for on return. */
static enum keep choose(struct closings *closings, const struct ledger_view *ledger)
{
	struct closing *smallest;

	if (closings->table_bytes > TABLE_BYTES_MAX)
		return KEEP_LINE;
	if (closings->tables_first < FIRST_MAX) {
		closings->tables_first++;
		return KEEP_TABLE;
	}
	if (!ledger->balanced && closings->tables_unbalanced < UNBALANCED_MAX) {
		closings->tables_unbalanced++;
		return KEEP_TABLE;
	}
	if (closings->tables_largest == LARGEST_MAX) {
		smallest = smallest_largest(closings);
		if (smallest->peak_rss >= usage_rss(&ledger->peak))
			return KEEP_LINE;
		demote(closings, smallest);
	}
	closings->tables_largest++;
	return KEEP_LARGEST;
}

static void count_in_rest(struct rest *rest, const struct ledger_view *ledger)
{
	rest->count++;
	rest->balanced += ledger->balanced;
	if (ledger->peak.virt > rest->peak_virt)
		rest->peak_virt = ledger->peak.virt;
	if (usage_rss(&ledger->peak) > rest->peak_rss)
		rest->peak_rss = usage_rss(&ledger->peak);
}

static int reserve_entry(struct closings *closings)
{
	size_t cap = closings->cap ? closings->cap * 2 : FIRST_MAX;
	struct closing *more;

	if (closings->count < closings->cap)
		return 0;
	more = reallocarray(closings->entries, cap, sizeof(*more));
	if (!more)
		return -ENOMEM;
	closings->entries = more;
	closings->cap = cap;
	return 0;
}

int closings_add(struct closings *closings, const struct ledger_view *ledger, uint64_t start_ns, const struct buf *more)
{
	struct closing entry = { .mm = ledger->mm, .peak_rss = usage_rss(&ledger->peak) };
	struct buf table = { 0 }, line = { 0 };

	if (reserve_entry(closings))
		return -ENOMEM;
	entry.keep = choose(closings, ledger);
	if (entry.keep == KEEP_LINE && closings->lines >= LINES_MAX) {
		count_in_rest(&closings->rest, ledger);
		return 0;
	}
	ledgertext_add_line(&line, &closings->style, ledger);
	if (entry.keep == KEEP_LINE) {
		closings->lines++;
	} else {
		ledgertext_add(&table, &closings->style, ledger, start_ns);
		if (closings->phases)
			ledgertext_add_phases(&table, &closings->style, ledger, start_ns);
		if (more && more->len)
			buf_add(&table, more->data, more->len);
		closings->table_bytes += table.len;
	}
	if (buf_error(&line) || buf_error(&table)) {
		buf_free(&line);
		buf_free(&table);
		return -ENOMEM;
	}
	entry.line = line.data;
	entry.table = table.data;
	closings->entries[closings->count++] = entry;
	return 0;
}

/* By mm: in the order in which the books were opened. */
static int compare_closings(const void *a, const void *b)
{
	const struct closing *x = a, *y = b;

	return (x->mm > y->mm) - (x->mm < y->mm);
}

static void add_rest(struct buf *text, const struct rest *rest)
{
	buf_addf(text, "and %" PRIu64 " more, %" PRIu64 " of them balanced; the largest peak is VIRT ", rest->count,
		 rest->balanced);
	text_size(text, (uint64_t)rest->peak_virt);
	buf_add_str(text, ", RSS ");
	text_size(text, (uint64_t)rest->peak_rss);
	buf_add_char(text, '\n');
}

int closings_write(struct closings *closings, FILE *out)
{
	struct buf text = { 0 };
	int err = 0;

	if (closings->count)
		qsort(closings->entries, closings->count, sizeof(*closings->entries), compare_closings);
	for (size_t i = 0; i < closings->count && !err; i++) {
		if (closings->entries[i].keep == KEEP_LINE)
			continue;
		buf_add_char(&text, '\n');
		buf_add_str(&text, closings->entries[i].table);
		err = emit_text(out, &text);
	}
	if (closings->lines) {
		buf_add_char(&text, '\n');
		ledgertext_add_line_head(&text, &closings->style);
	}
	for (size_t i = 0; i < closings->count; i++) {
		if (closings->entries[i].keep == KEEP_LINE)
			buf_add_str(&text, closings->entries[i].line);
	}
	if (closings->rest.count)
		add_rest(&text, &closings->rest);
	if (!err)
		err = emit_text(out, &text);
	buf_free(&text);
	return err;
}
