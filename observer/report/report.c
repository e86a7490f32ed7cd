/* SPDX-License-Identifier: GPL-2.0-only */
#include "report/report.h"

#include <string.h>

/* The one list: a new format is its own file and a word here. */
#define REPORTS &report_text, &report_summary, &report_jsonl, &report_folded, &report_recording

static const struct report_ops *const reports[] = { REPORTS };

#define REPORT_COUNT (sizeof(reports) / sizeof(reports[0]))

const struct report_ops *report_by_name(const char *name)
{
	for (size_t i = 0; i < REPORT_COUNT; i++) {
		if (!strcmp(reports[i]->name, name))
			return reports[i];
	}
	return NULL;
}

const struct report_ops *report_at(unsigned int index)
{
	return index < REPORT_COUNT ? reports[index] : NULL;
}
