/* SPDX-License-Identifier: GPL-2.0-only */
/* table: the call frame information of an object as the kernel side searches it: a rule for each stretch of code, in
 * pages. Pure functions of bytes that come from the target: whatever is in them, the table is sorted and bounded. */
#ifndef HEAPTRACE_TABLE_H
#define HEAPTRACE_TABLE_H

#include "bpf/wire_stack.h"
#include "source/unwind_object.h"

#include <stddef.h>
#include <stdint.h>

/* Rows of one object at most: eight times those of the largest known. */
#define TABLE_ROWS_MAX	(8u << 20)
#define TABLE_RULES_MAX 65535u

/* Bytes of instructions of one object at most, those that functions share counted for each: about a second's work. */
#define TABLE_WORK_MAX ((size_t)128 << 20)

/* A row holds from its address to the next one's. */
struct table {
	uint64_t base;	/* the object's address that pcs count from */
	uint32_t count; /* of rows, at least one; the first begins at the base, the last says RULE_NONE */
	uint32_t rule_count;
	uint32_t *pcs;		 /* ascending; of equal ones the last holds */
	uint16_t *rule_of;	 /* index in rules */
	struct wire_rule *rules; /* the first one says RULE_NONE, the second RULE_OTHER */
};

/* Compiles what @object says of its code. 0 with a new table; -ENODATA where it says nothing; -E2BIG where that is more
 * than fits a table; -ENOMEM. */
int table_compile(const struct unwind_object *object, struct table **ret_table);

/* The rule for the object's address @addr. Never NULL. */
const struct wire_rule *table_find(const struct table *table, uint64_t addr);

/* Frees it; NULL is legal. */
void table_free(struct table *table);

/* How many pages the table takes. */
uint32_t table_pages(const struct table *table);

/* Gives the page with the number @number to write to; NULL where there is none. */
typedef struct wire_page *(*table_page_fn)(void *ctx, uint32_t number);

/* Writes the table to the pages from @first on. 0 with *@out saying where what is; -ENOMEM where a page is missing. */
int table_write(const struct table *table, uint32_t first, table_page_fn page, void *ctx, struct wire_object *out);

#endif
