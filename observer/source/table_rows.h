/* SPDX-License-Identifier: GPL-2.0-only */
/* table_rows: the rows of a table as it is compiled. A row holds from its address to the next one's; the last one says nothing. */
#ifndef HEAPTRACE_TABLE_ROWS_H
#define HEAPTRACE_TABLE_ROWS_H

#include <stddef.h>
#include <stdint.h>

#define RULE_INDEX_NONE 0 /* nothing is said */

struct row {
	uint32_t pc;
	uint16_t rule;
};

/* Ascending; empty as zeros; the list is to be freed. */
struct rows {
	struct row *list;
	size_t count, room;
};

/* Adds a row behind the others, or has the last one say this where it begins at the same address or says the same. 0; -E2BIG
 * beyond TABLE_ROWS_MAX; -ENOMEM. */
int rows_add(struct rows *rows, uint32_t pc, uint16_t rule);

/* Has @rule hold from @start to @end, up to the first row that says something; not at all where @start is in one that does. Of
 * @rows there is one at least, which begins at 0. As rows_add(). */
int rows_fill(struct rows *rows, uint32_t start, uint32_t end, uint16_t rule);

/* Puts @above over @rows: these hold where it says nothing. As rows_add(). */
int rows_merge(struct rows *rows, const struct rows *above);

#endif
