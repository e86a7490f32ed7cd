/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/table_rows.h"

#include "source/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int rows_widen(struct rows *rows)
{
	size_t room = rows->room ? rows->room * 2 : 4096;
	struct row *list;

	if (room / 2 > TABLE_ROWS_MAX)
		return -E2BIG;
	list = reallocarray(rows->list, room, sizeof(*list));
	if (!list)
		return -ENOMEM;
	rows->list = list;
	rows->room = room;
	return 0;
}

int rows_add(struct rows *rows, uint32_t pc, uint16_t rule)
{
	struct row *last = rows->count ? &rows->list[rows->count - 1] : NULL;

	if (last && last->rule == rule)
		return 0;
	if (last && last->pc == pc) {
		last->rule = rule;
		return 0;
	}
	if (!rows->list || rows->count == rows->room) {
		int err = rows_widen(rows);

		if (err)
			return err;
	}
	rows->list[rows->count++] = (struct row){ .pc = pc, .rule = rule };
	return 0;
}

int rows_fill(struct rows *rows, uint32_t start, uint32_t end, uint16_t rule)
{
	size_t at = 0;
	int err;

	while (at + 1 < rows->count && rows->list[at + 1].pc <= start)
		at++;
	if (rows->list[at].rule != RULE_INDEX_NONE)
		return 0;
	if (at + 1 < rows->count && rows->list[at + 1].pc < end)
		end = rows->list[at + 1].pc;
	/* Two rows more at the end, then moved to their place. */
	err = rows_add(rows, UINT32_MAX - 1, rule);
	if (!err)
		err = rows_add(rows, UINT32_MAX, RULE_INDEX_NONE);
	if (err)
		return err;
	memmove(&rows->list[at + 3], &rows->list[at + 1], (rows->count - 3 - at) * sizeof(rows->list[0]));
	rows->list[at + 1] = (struct row){ .pc = start, .rule = rule };
	rows->list[at + 2] = (struct row){ .pc = end, .rule = RULE_INDEX_NONE };
	return 0;
}

/* What @rows say from @pc on, where @*at counts those that were passed and @*rule is what the last one of them says. */
static void rows_pass(const struct rows *rows, uint32_t pc, size_t *at, uint16_t *rule)
{
	while (*at < rows->count && rows->list[*at].pc <= pc)
		*rule = rows->list[(*at)++].rule;
}

int rows_merge(struct rows *rows, const struct rows *above)
{
	uint16_t over = RULE_INDEX_NONE, under = RULE_INDEX_NONE;
	struct rows merged = { 0 };
	size_t i = 0, j = 0;
	int err = 0;

	while ((i < above->count || j < rows->count) && !err) {
		uint32_t pc = i < above->count ? above->list[i].pc : UINT32_MAX;

		if (j < rows->count && rows->list[j].pc < pc)
			pc = rows->list[j].pc;
		rows_pass(above, pc, &i, &over);
		rows_pass(rows, pc, &j, &under);
		err = rows_add(&merged, pc, over != RULE_INDEX_NONE ? over : under);
	}
	free(err ? merged.list : rows->list);
	if (!err)
		*rows = merged;
	return err;
}
