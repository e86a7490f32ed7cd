/* SPDX-License-Identifier: GPL-2.0-only */
#include "report/headtext.h"

#include "base/errname.h"
#include "report/caps.h"

#include <inttypes.h>
#include <string.h>

/* Adds an argument in the way of a shell: in single quotes where it is no plain word. */
static void add_argument(struct buf *buf, const struct textstyle *style, const char *arg)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./,:@%^";

	if (*arg && strspn(arg, plain) == strlen(arg)) {
		buf_add_str(buf, arg);
		return;
	}
	buf_add_char(buf, '\'');
	escape_text(buf, arg, style->escape);
	buf_add_char(buf, '\'');
}

/* Adds the texts of those caps whose bits are in @caps as a line after @before; "nothing" where there is none. */
static void add_caps(struct buf *buf, const char *before, unsigned int caps, bool seen)
{
	bool any = false;

	buf_add_str(buf, before);
	for (unsigned int i = 0; i < CAP_TEXTS; i++) {
		if (!(caps & cap_texts[i].cap))
			continue;
		buf_add_str(buf, any ? "; " : "");
		buf_add_str(buf, seen ? cap_texts[i].seen : cap_texts[i].unseen);
		any = true;
	}
	buf_add_str(buf, any ? "\n" : "nothing\n");
}

void headtext_add(struct buf *buf, const struct textstyle *style, const struct record_header *header)
{
	buf_addf(buf, "heaptrace %s", header->version);
	for (char *const *arg = header->cmd; arg && *arg; arg++) {
		buf_add_str(buf, arg == header->cmd ? ": " : " ");
		add_argument(buf, style, *arg);
	}
	if (!header->cmd)
		buf_add_str(buf, ": attached");
	buf_add_str(buf, "\nsource ");
	escape_text(buf, header->source, style->escape);
	if (header->why) {
		buf_add_str(buf, " (");
		escape_text(buf, header->why, style->escape);
		buf_add_char(buf, ')');
	}
	buf_add_char(buf, '\n');
	add_caps(buf, "it sees: ", header->caps, true);
	add_caps(buf, "it does not see: ", ~header->caps, false);
	buf_add_str(buf, "VIRT and RSS are VmSize and VmRSS of /proc/PID/status; 1 kB = 1024 bytes\n");
}

void headtext_add_fate(struct buf *buf, int code, int signal)
{
	if (!signal)
		buf_addf(buf, "exit status %d", code);
	else if (signame(signal))
		buf_addf(buf, "killed by %s", signame(signal));
	else
		buf_addf(buf, "killed by signal %d", signal);
}

static void add_counted(struct buf *buf, uint64_t count, const char *one, const char *many)
{
	buf_addf(buf, "%" PRIu64 " %s", count, count == 1 ? one : many);
}

void headtext_add_end(struct buf *buf, const struct textstyle *style, const struct record_end *end)
{
	bool good = end->balanced_mms == end->mms && !end->lost_events;

	text_color(buf, style, good ? COLOR_BOLD : COLOR_ERROR);
	buf_add_str(buf, "heaptrace: ");
	if (end->exit_known) {
		headtext_add_fate(buf, end->code, end->signal);
		buf_add_str(buf, "; ");
	}
	add_counted(buf, end->processes, "process", "processes");
	buf_add_str(buf, ", ");
	add_counted(buf, end->events, "row", "rows");
	buf_add_str(buf, "; ");
	if (end->balanced_mms == end->mms)
		add_counted(buf, end->mms, "ledger, balanced", "ledgers, all balanced");
	else
		buf_addf(buf, "%" PRIu64 " of %" PRIu64 " ledgers NOT BALANCED", end->mms - end->balanced_mms,
			 end->mms);
	if (end->lost_events) {
		buf_add_str(buf, "; ");
		add_counted(buf, end->lost_events, "record lost", "records lost");
	}
	if (end->lost_details) {
		buf_add_str(buf, "; ");
		add_counted(buf, end->lost_details, "detail lost", "details lost");
	}
	if (end->lost_stacks) {
		buf_add_str(buf, "; ");
		add_counted(buf, end->lost_stacks, "call chain lost", "call chains lost");
	}
	if (end->lost_details || end->lost_stacks)
		buf_add_str(buf, " (a larger --ring may keep them)");
	if (end->unnamed) {
		buf_add_str(buf, "; ");
		add_counted(buf, end->unnamed, "address without a name: its file is broken or takes too long",
			    "addresses without names: their files are broken or take too long");
	}
	text_color_end(buf, style, good ? COLOR_BOLD : COLOR_ERROR);
	buf_add_char(buf, '\n');
}
