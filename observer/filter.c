/* SPDX-License-Identifier: GPL-2.0-only */
#include "filter.h"

#include "event/memcalls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Names that are no syscall: causes, kinds of fault, and the actors that have one of their own. */
static const char *const other_names[] = { "minor", "major", "stack", "reclaim", "khugepaged", "unattributed" };

#define SYSCALL_NUMBERS 1024

static bool name_known(const char *name)
{
	for (int cause = 0; cause < CAUSE_COUNT; cause++)
		if (!strcmp(name, cause_name(cause)))
			return true;
	for (size_t i = 0; i < sizeof(other_names) / sizeof(*other_names); i++)
		if (!strcmp(name, other_names[i]))
			return true;
	if (memcall_by_name(name))
		return true;
	for (int nr = 0; nr < SYSCALL_NUMBERS; nr++)
		if (!strcmp(name, syscall_name(nr)))
			return true;
	return false;
}

int filter_parse(struct filter *filter, const char *expr, struct diag *diag)
{
	char *save = NULL;

	filter_free(filter);
	filter->inverted = *expr == '!';
	filter->text = strdup(expr + filter->inverted);
	if (!filter->text)
		return diag_set(diag, -ENOMEM, "out of memory");
	for (char *name = strtok_r(filter->text, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
		if (!name_known(name))
			return diag_set(
				diag, -EINVAL,
				"-e: no cause is called '%s': take syscall names, fault, kernel-fault, kernel, fork, "
				"exec, exit",
				name);
		if (filter->count == FILTER_NAMES_MAX)
			return diag_set(diag, -E2BIG, "-e: more than %d names", FILTER_NAMES_MAX);
		filter->names[filter->count++] = name;
	}
	if (!filter->count)
		return diag_set(diag, -EINVAL, "-e: no name given: try -e mmap,munmap,fault");
	return 0;
}

static bool names_match(const struct filter *filter, const struct event_change *change)
{
	for (unsigned int i = 0; i < filter->count; i++)
		if (!strcmp(filter->names[i], change->name) || !strcmp(filter->names[i], cause_name(change->cause)))
			return true;
	return false;
}

bool filter_shows(const struct filter *filter, const struct event *event)
{
	const struct event_change *change = &event->change;
	uint64_t virt, rss;

	if (event->kind != EVENT_CHANGE)
		return true;
	if (filter->count && names_match(filter, change) == filter->inverted)
		return false;
	virt = (uint64_t)llabs(change->delta.virt);
	rss = (uint64_t)llabs(usage_rss(&change->delta));
	return virt >= filter->min_bytes || rss >= filter->min_bytes;
}

void filter_free(struct filter *filter)
{
	free(filter->text);
	filter->text = NULL;
	filter->count = 0;
}
