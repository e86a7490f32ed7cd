/* SPDX-License-Identifier: GPL-2.0-only */
/* A table as pages: see wire_stack.h for how they are searched. */
#include "source/table.h"

#include <errno.h>
#include <string.h>

static uint32_t pages_for(uint32_t count, uint32_t per_page)
{
	return (count + per_page - 1) / per_page;
}

uint32_t table_pages(const struct table *table)
{
	uint32_t pages = pages_for(table->rule_count, TABLE_RULES), level = table->count;

	do {
		level = pages_for(level, TABLE_FAN);
		pages += level;
	} while (level > 1);
	return pages;
}

static int rules_write(const struct table *table, uint32_t first, table_page_fn page, void *ctx)
{
	for (uint32_t at = 0; at < table->rule_count; at += TABLE_RULES) {
		uint32_t count = table->rule_count - at < TABLE_RULES ? table->rule_count - at : TABLE_RULES;
		struct wire_page *out = page(ctx, first++);

		if (!out)
			return -ENOMEM;
		memcpy(out->rules, table->rules + at, count * sizeof(table->rules[0]));
	}
	return 0;
}

/* One level: every @stride-th row is an entry; leaves, where that is 1, also have the rules. */
static int level_write(const struct table *table, uint64_t stride, uint32_t first, table_page_fn page, void *ctx)
{
	for (uint64_t row = 0; row < table->count;) {
		struct wire_page *out = page(ctx, first++);

		if (!out)
			return -ENOMEM;
		for (unsigned int i = 0; i < TABLE_FAN; i++, row += stride) {
			bool used = row < table->count;

			out->pcs[i] = used ? table->pcs[row] : UINT32_MAX;
			if (stride == 1)
				out->rule_of[i] = used ? table->rule_of[row] : 0;
		}
	}
	return 0;
}

int table_write(const struct table *table, uint32_t first, table_page_fn page, void *ctx, struct wire_object *out)
{
	struct wire_object object = { .state = OBJECT_READY, .rules = first, .base = table->base };
	uint32_t at = first + pages_for(table->rule_count, TABLE_RULES), entries = table->count;
	uint64_t stride = 1;
	int err = rules_write(table, first, page, ctx);

	do {
		object.level[object.depth++] = at;
		if (!err)
			err = level_write(table, stride, at, page, ctx);
		entries = pages_for(entries, TABLE_FAN);
		at += entries;
		stride *= TABLE_FAN;
	} while (entries > 1);
	if (!err)
		*out = object;
	return err;
}
