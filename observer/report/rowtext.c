/* SPDX-License-Identifier: GPL-2.0-only */
#include "report/rowtext.h"

#include "report/callsite.h"
#include "report/calltext.h"

#include <stdlib.h>
#include <string.h>

static void add_range(struct buf *buf, uint64_t addr, uint64_t len)
{
	buf_add_hex(buf, addr);
	buf_add_char(buf, '-');
	buf_add_hex(buf, addr + len);
}

static void add_path(struct buf *buf, const struct textstyle *style, const char *before, const char *path)
{
	buf_add_str(buf, before);
	if (path)
		escape_text(buf, path, style->escape);
	else
		buf_add_char(buf, '?');
}

/* "touched 2048 kB of 0x...-0x..., 512 faults"; not all of the range where it is only known to hold the pages. */
static void add_touched(struct buf *buf, const struct event_change *change, bool all)
{
	buf_add_str(buf, "touched ");
	if (change->len && all) {
		text_size(buf, change->len);
		buf_add_str(buf, " of ");
		add_range(buf, change->addr, change->len);
	} else if (change->len) {
		buf_add_str(buf, "memory within ");
		add_range(buf, change->addr, change->len);
	} else {
		buf_add_str(buf, "memory");
	}
	buf_addf(buf, ", %llu fault%s", (unsigned long long)change->count, change->count == 1 ? "" : "s");
}

static void add_fault(struct buf *buf, const struct textstyle *style, const struct event_change *change)
{
	if (!strcmp(change->name, "stack")) {
		buf_add_str(buf, "stack grew");
		if (change->delta.virt > 0) {
			buf_add_str(buf, " by ");
			text_size(buf, (uint64_t)change->delta.virt);
		}
		buf_add_str(buf, ", ");
		add_touched(buf, change, true);
		return;
	}
	add_touched(buf, change, true);
	if (strcmp(change->name, "minor") != 0)
		add_path(buf, style, ", ", change->name);
}

/* Kernel work by its name: "signal" and "exit" look like syscalls and are none. */
static bool is_call_name(const char *name)
{
	return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(name) && strcmp(name, "signal") != 0 &&
	       strcmp(name, "exit") != 0;
}

/* A syscall may touch pages here and there: the range holds them all, and is full only if the numbers say so. */
static void add_kernel_fault(struct buf *buf, const struct textstyle *style, const struct event_change *change,
			     uint64_t page_size)
{
	bool all = change->len == change->count * page_size || (int64_t)change->len == usage_rss(&change->delta);

	escape_text(buf, change->name, style->escape);
	buf_add_str(buf, is_call_name(change->name) ? "() " : ": ");
	add_touched(buf, change, all);
}

static void add_kernel(struct buf *buf, const struct textstyle *style, const struct event_change *change)
{
	buf_add_str(buf, "kernel: ");
	escape_text(buf, change->name, style->escape);
	if (change->len) {
		buf_add_str(buf, " at ");
		add_range(buf, change->addr, change->len);
	}
	if (change->count > 1)
		buf_addf(buf, ", %llu times", (unsigned long long)change->count);
}

static void add_exit(struct buf *buf, const struct usage *after)
{
	int64_t rss = usage_rss(after);

	if (!after->virt && !rss) {
		buf_add_str(buf, "address space ended: gave back everything");
		return;
	}
	buf_add_str(buf, "address space ended: left over VIRT ");
	text_size_change(buf, after->virt);
	buf_add_str(buf, ", RSS ");
	text_size_change(buf, rss);
}

static void add_event(struct buf *buf, const struct textstyle *style, const struct record *record,
		      const struct rowtext_context *context)
{
	const struct event_change *change = &record->event->change;

	switch (change->cause) {
	case CAUSE_SYSCALL:
		calltext_add(buf, style, change);
		break;
	case CAUSE_FAULT:
		add_fault(buf, style, change);
		break;
	case CAUSE_KERNEL_FAULT:
		add_kernel_fault(buf, style, change, context->page_size);
		break;
	case CAUSE_KERNEL:
		add_kernel(buf, style, change);
		break;
	case CAUSE_FORK:
		buf_add_str(buf, "fork of ");
		if (context->parent_pid)
			buf_addf(buf, "%d", (int)context->parent_pid);
		else
			buf_add_char(buf, '?');
		buf_add_str(buf, ": began as its copy");
		break;
	case CAUSE_EXEC:
		add_path(buf, style, "exec ", change->text ? change->text : context->image);
		break;
	case CAUSE_EXIT:
		add_exit(buf, &record->after);
		break;
	}
}

void rowtext_add(struct buf *buf, const struct textstyle *style, const struct record *record,
		 const struct rowtext_context *context)
{
	const struct event_change *change = &record->event->change;

	if (change->attributed) {
		add_event(buf, style, record, context);
	} else {
		text_color(buf, style, COLOR_ERROR);
		buf_add_str(buf, "unattributed: the cause is not known");
		text_color_end(buf, style, COLOR_ERROR);
	}
	if (change->cause == CAUSE_SYSCALL && change->count > 1)
		buf_addf(buf, ", %llu calls", (unsigned long long)change->count);
	if (change->folded)
		buf_addf(buf, ", %llu rows folded into this one", (unsigned long long)change->folded);
	if (change->delta.swap) {
		buf_add_str(buf, ", swap ");
		text_size_change(buf, change->delta.swap);
	}
	/* "[heap]" and the like are what the region column says. */
	if (record->region.path && record->region.path[0] != '[')
		add_path(buf, style, "  ", record->region.path);
}

static const char *object_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

void rowtext_add_place(struct buf *buf, const struct textstyle *style, const struct frame *frame)
{
	const char *slash = frame->file ? strrchr(frame->file, '/') : NULL;

	if (frame->symbol) {
		escape_text(buf, frame->symbol, style->escape);
	} else if (frame->object && frame->offset) {
		/* The same in each process, wherever that has it. */
		add_path(buf, style, "", object_name(frame->object));
		buf_addf(buf, "+0x%llx", (unsigned long long)frame->offset);
	} else {
		buf_add_hex(buf, frame->addr);
		if (frame->object)
			add_path(buf, style, " in ", frame->object);
	}
	if (!frame->file)
		return;
	add_path(buf, style, " (", slash ? slash + 1 : frame->file);
	if (frame->line)
		buf_addf(buf, ":%u", frame->line);
	buf_add_char(buf, ')');
}

void rowtext_add_caller(struct buf *buf, const struct textstyle *style, const struct event_change *change)
{
	struct callsite site;
	const char *entry;

	callsite_find(change, &site);
	entry = callsite_entry_name(change, &site);
	if (entry) {
		escape_text(buf, entry, style->escape);
		buf_add_str(buf, "() ");
	}
	if (site.caller) {
		buf_addf(buf, "%s ", style->arrow);
		rowtext_add_place(buf, style, site.caller);
	}
	if (change->stack_len && !change->stack_complete)
		buf_add_str(buf, " [truncated]");
}

void rowtext_add_frame(struct buf *buf, const struct textstyle *style, const struct frame *frame)
{
	buf_add_hex(buf, frame->addr);
	if (frame->symbol)
		add_path(buf, style, " ", frame->symbol);
	else if (frame->object && frame->offset)
		add_path(buf, style, " ", object_name(frame->object));
	if (frame->offset)
		buf_addf(buf, "+0x%llx", (unsigned long long)frame->offset);
	if (frame->inlined)
		buf_add_str(buf, " [inlined]");
	if (frame->file) {
		add_path(buf, style, " (", frame->file);
		if (frame->line)
			buf_addf(buf, ":%u", frame->line);
		buf_add_char(buf, ')');
	}
	if (frame->object)
		add_path(buf, style, " in ", frame->object);
}

const char *rowtext_region(enum region_kind kind)
{
	const char *name = region_kind_name(kind);

	if (kind == REGION_HEAP)
		return "[heap]";
	return name ? name : "";
}

void rowtext_add_cause(struct buf *buf, const struct textstyle *style, enum cause cause, const char *name)
{
	if (!strcmp(name, "unattributed")) {
		buf_add_str(buf, name);
		return;
	}
	switch (cause) {
	case CAUSE_SYSCALL:
		escape_text(buf, name, style->escape);
		break;
	case CAUSE_FAULT:
		if (!strcmp(name, "stack"))
			buf_add_str(buf, "stack growth");
		else
			add_path(buf, style, "page faults, ", name);
		break;
	case CAUSE_KERNEL_FAULT:
		escape_text(buf, name, style->escape);
		buf_add_str(buf, ": faults in the kernel");
		break;
	case CAUSE_KERNEL:
		add_path(buf, style, "kernel: ", name);
		break;
	case CAUSE_FORK:
	case CAUSE_EXEC:
	case CAUSE_EXIT:
		buf_add_str(buf, cause_name(cause));
		break;
	}
}
