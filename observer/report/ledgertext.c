/* SPDX-License-Identifier: GPL-2.0-only */
#include "report/ledgertext.h"

#include "event/recording.h"
#include "report/rowtext.h"

#include <inttypes.h>
#include <string.h>

#define COLUMN_ERRORS	 8
#define COLUMN_LABEL_MIN 24
#define COLUMN_PID	 9
#define COLUMN_VERDICT	 14

/* The width of the label column: that of the widest label. */
static unsigned int label_width(const struct textstyle *style, const struct ledger_line *lines, unsigned int count,
				unsigned int least)
{
	struct buf label = { 0 };
	size_t widest = least;

	for (unsigned int i = 0; i < count; i++) {
		buf_reset(&label);
		rowtext_add_cause(&label, style, lines[i].cause, lines[i].name);
		if (text_width(&label, 0) > widest)
			widest = text_width(&label, 0);
	}
	buf_free(&label);
	return (unsigned int)widest;
}

static void add_head(struct buf *buf, const struct textstyle *style, const char *label, unsigned int width)
{
	static const char *const names[] = { "VIRT kB", "gained", "given back", "RSS kB", "gained", "given back" };

	text_color(buf, style, COLOR_BOLD);
	buf_add_str(buf, "  ");
	column_left(buf, label, width);
	column_right(buf, "count", COLUMN_COUNT);
	column_right(buf, "errors", COLUMN_ERRORS);
	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		column_right(buf, names[i], COLUMN_KB);
	text_color_end(buf, style, COLOR_BOLD);
	buf_add_char(buf, '\n');
}

static void add_line(struct buf *buf, const struct textstyle *style, const struct ledger_line *line, unsigned int width)
{
	size_t begin = buf->len, used;

	buf_add_str(buf, "  ");
	rowtext_add_cause(buf, style, line->cause, line->name);
	used = text_width(buf, begin);
	if (used < width + 2)
		buf_add_repeated(buf, " ", width + 2 - used);
	column_u64(buf, line->count, COLUMN_COUNT);
	column_u64(buf, line->errors, COLUMN_ERRORS);
	column_kb_change(buf, style, line->delta.virt, COLUMN_KB);
	column_kb_change(buf, style, line->gained.virt, COLUMN_KB);
	column_kb_change(buf, style, line->given.virt, COLUMN_KB);
	column_kb_change(buf, style, usage_rss(&line->delta), COLUMN_KB);
	column_kb_change(buf, style, usage_rss(&line->gained), COLUMN_KB);
	column_kb_change(buf, style, usage_rss(&line->given), COLUMN_KB);
	buf_add_char(buf, '\n');
}

/* A row of levels, which stand in the VIRT and RSS columns. */
static void add_level(struct buf *buf, const char *label, const struct usage *level, unsigned int width)
{
	buf_add_str(buf, "  ");
	column_left(buf, label, width + COLUMN_COUNT + COLUMN_ERRORS);
	column_kb(buf, level->virt, COLUMN_KB);
	column_kb(buf, usage_rss(level), 3 * COLUMN_KB);
	buf_add_char(buf, '\n');
}

static void add_change(struct buf *buf, const struct textstyle *style, const char *label, const struct usage *change,
		       unsigned int width)
{
	buf_add_str(buf, "  ");
	column_left(buf, label, width + COLUMN_COUNT + COLUMN_ERRORS);
	column_kb_change(buf, style, change->virt, COLUMN_KB);
	column_kb_change(buf, style, usage_rss(change), 3 * COLUMN_KB);
	buf_add_char(buf, '\n');
}

static void add_title(struct buf *buf, const struct textstyle *style, const struct ledger_view *ledger,
		      uint64_t start_ns)
{
	text_color(buf, style, COLOR_BOLD);
	buf_addf(buf, "Ledger of %d ", (int)ledger->pid);
	escape_text(buf, ledger->comm ? ledger->comm : "?", style->escape);
	if (ledger->image) {
		buf_add_str(buf, " (");
		escape_text(buf, ledger->image, style->escape);
		buf_add_char(buf, ')');
	}
	buf_addf(buf, ": %s at ", open_how_name(ledger->how));
	column_seconds(buf, (int64_t)(ledger->start_ns - start_ns), 0);
	buf_addf(buf, " s, %s at ", ledger->detached ? "detached" : "ended");
	column_seconds(buf, (int64_t)(ledger->end_ns - start_ns), 0);
	buf_add_str(buf, " s");
	text_color_end(buf, style, COLOR_BOLD);
	buf_add_char(buf, '\n');
}

/* Adds each part in which @difference is not 0, as "VIRT +4 kB, anon -8 kB" after @before; nothing where all are 0. */
static void add_parts(struct buf *buf, const char *before, const struct usage *difference)
{
	const struct {
		const char *name;
		int64_t bytes;
	} parts[] = {
		{ "VIRT ", difference->virt },	 { "anon ", difference->anon }, { "file ", difference->file },
		{ "shmem ", difference->shmem }, { "swap ", difference->swap },
	};

	for (unsigned int i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (!parts[i].bytes)
			continue;
		buf_add_str(buf, before);
		buf_add_str(buf, parts[i].name);
		text_size_change(buf, parts[i].bytes);
		before = ", ";
	}
}

/* What lies between opening and closing and is on no line. */
static struct usage missing_of(const struct ledger_view *ledger)
{
	struct usage missing = ledger->closing;

	usage_sub(&missing, &ledger->opening);
	for (unsigned int i = 0; i < ledger->line_count; i++)
		usage_sub(&missing, &ledger->lines[i].delta);
	return missing;
}

/* Which file of /proc the books are held against, where that is not the usual one. */
static const char *judge_of(const struct ledger_view *ledger)
{
	return ledger->judge && !strcmp(ledger->judge, "smaps_rollup") ? " (by smaps_rollup: file and shmem in one)"
								       : "";
}

static void add_verdict(struct buf *buf, const struct textstyle *style, const struct ledger_view *ledger)
{
	struct usage missing = missing_of(ledger), proc = ledger->proc, left = ledger->exit;

	buf_add_str(buf, "  ");
	text_color(buf, style, ledger->balanced ? COLOR_GIVEN : COLOR_ERROR);
	if (ledger->balanced) {
		buf_addf(buf, "balanced: opening + causes = closing%s%s, in VIRT, anon, file, shmem and swap",
			 ledger->proc_known ? " = /proc" : "", ledger->proc_known ? judge_of(ledger) : "");
	} else {
		buf_add_str(buf, "NOT BALANCED");
		add_parts(buf, "; cause not known: ",
			  usage_is_zero(&ledger->unattributed) ? &missing : &ledger->unattributed);
		usage_sub(&proc, &ledger->closing);
		if (ledger->proc_known)
			add_parts(buf, "; /proc less closing: ", &proc);
		usage_add(&left, &ledger->closing);
		if (!usage_is_zero(&ledger->exit))
			add_parts(buf, "; left over by the exit: ", &left);
	}
	text_color_end(buf, style, ledger->balanced ? COLOR_GIVEN : COLOR_ERROR);
	buf_add_char(buf, '\n');
}

static void add_notes(struct buf *buf, const struct ledger_view *ledger)
{
	buf_add_str(buf, "  closing RSS is anon ");
	text_size(buf, (uint64_t)ledger->closing.anon);
	buf_add_str(buf, " + file ");
	text_size(buf, (uint64_t)ledger->closing.file);
	buf_add_str(buf, " + shmem ");
	text_size(buf, (uint64_t)ledger->closing.shmem);
	buf_add_str(buf, "; swap ");
	text_size(buf, (uint64_t)ledger->closing.swap);
	buf_add_str(buf, "; peak VIRT ");
	text_size(buf, (uint64_t)ledger->peak.virt);
	buf_add_str(buf, ", RSS ");
	text_size(buf, (uint64_t)usage_rss(&ledger->peak));
	buf_addf(buf,
		 "\n  lost records %" PRIu64 ", folded rows %" PRIu64 ", unattributed rows %" PRIu64
		 ", pages swapped between threads %" PRIu64 "\n",
		 ledger->lost_events, ledger->coalesced_events, ledger->unattributed_rows, ledger->swapped_pages);
}

void ledgertext_add(struct buf *buf, const struct textstyle *style, const struct ledger_view *ledger, uint64_t start_ns)
{
	unsigned int width = label_width(style, ledger->lines, ledger->line_count, COLUMN_LABEL_MIN);
	struct usage missing = missing_of(ledger);

	add_title(buf, style, ledger, start_ns);
	add_head(buf, style, "cause", width);
	add_level(buf, "opening", &ledger->opening, width);
	for (unsigned int i = 0; i < ledger->line_count; i++)
		add_line(buf, style, &ledger->lines[i], width);
	if (!usage_is_zero(&missing))
		add_change(buf, style, "on no row", &missing, width);
	add_level(buf, "closing", &ledger->closing, width);
	if (ledger->proc_known)
		add_level(buf, "/proc at the closing", &ledger->proc, width);
	if (!usage_is_zero(&ledger->exit))
		add_change(buf, style, "exit", &ledger->exit, width);
	add_verdict(buf, style, ledger);
	add_notes(buf, ledger);
}

/* The phase's own row, in which its name comes last: a mark may have any length. */
static void add_phase(struct buf *buf, const struct textstyle *style, const struct ledger_phase *phase,
		      uint64_t start_ns, unsigned int width)
{
	struct buf label = { 0 };

	buf_add_str(&label, "from ");
	column_seconds(&label, (int64_t)(phase->start_ns - start_ns), 0);
	buf_add_str(&label, " s");
	text_color(buf, style, COLOR_BOLD);
	buf_add_str(buf, "\n  ");
	column_left(buf, label.data ? label.data : "", width + COLUMN_COUNT + COLUMN_ERRORS);
	text_color_end(buf, style, COLOR_BOLD);
	column_kb_change(buf, style, phase->delta.virt, COLUMN_KB);
	column_kb_change(buf, style, usage_rss(&phase->delta), 3 * COLUMN_KB);
	column_left(buf, "", 2 * COLUMN_KB + 2);
	text_color(buf, style, COLOR_BOLD);
	escape_text(buf, phase->name ? phase->name : "(before the first mark)", style->escape);
	text_color_end(buf, style, COLOR_BOLD);
	buf_add_str(buf, ", at its end VIRT ");
	text_size(buf, (uint64_t)phase->closing.virt);
	buf_add_str(buf, ", RSS ");
	text_size(buf, (uint64_t)usage_rss(&phase->closing));
	buf_add_char(buf, '\n');
	buf_free(&label);
}

void ledgertext_add_phases(struct buf *buf, const struct textstyle *style, const struct ledger_view *ledger,
			   uint64_t start_ns)
{
	unsigned int width = COLUMN_LABEL_MIN;

	if (ledger->phase_count < 2)
		return;
	for (unsigned int i = 0; i < ledger->phase_count; i++)
		width = label_width(style, ledger->phases[i].lines, ledger->phases[i].line_count, width);
	buf_add_char(buf, '\n');
	add_head(buf, style, "phase by phase", width);
	for (unsigned int i = 0; i < ledger->phase_count; i++) {
		const struct ledger_phase *phase = &ledger->phases[i];

		add_phase(buf, style, phase, start_ns, width);
		for (unsigned int j = 0; j < phase->line_count; j++)
			add_line(buf, style, &phase->lines[j], width);
	}
}

void ledgertext_add_line_head(struct buf *buf, const struct textstyle *style)
{
	static const char *const names[] = { "open VIRT kB", "open RSS kB", "peak VIRT kB",
					     "peak RSS kB",  "end VIRT kB", "end RSS kB" };

	text_color(buf, style, COLOR_BOLD);
	column_right(buf, "pid", COLUMN_PID);
	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		column_right(buf, names[i], COLUMN_KB + 1);
	buf_add_str(buf, "  ");
	column_left(buf, "verdict", COLUMN_VERDICT);
	buf_add_str(buf, "process");
	text_color_end(buf, style, COLOR_BOLD);
	buf_add_char(buf, '\n');
}

void ledgertext_add_line(struct buf *buf, const struct textstyle *style, const struct ledger_view *ledger)
{
	const struct usage *const levels[] = { &ledger->opening, &ledger->peak, &ledger->closing };

	column_u64(buf, (uint64_t)ledger->pid, COLUMN_PID);
	for (unsigned int i = 0; i < 3; i++) {
		column_kb(buf, levels[i]->virt, COLUMN_KB + 1);
		column_kb(buf, usage_rss(levels[i]), COLUMN_KB + 1);
	}
	buf_add_str(buf, "  ");
	text_color(buf, style, ledger->balanced ? COLOR_NONE : COLOR_ERROR);
	column_left(buf, ledger->balanced ? "balanced" : "NOT BALANCED", COLUMN_VERDICT);
	text_color_end(buf, style, ledger->balanced ? COLOR_NONE : COLOR_ERROR);
	escape_text(buf, ledger->comm ? ledger->comm : "?", style->escape);
	if (ledger->image) {
		buf_add_str(buf, " (");
		escape_text(buf, ledger->image, style->escape);
		buf_add_char(buf, ')');
	}
	buf_add_char(buf, '\n');
}
