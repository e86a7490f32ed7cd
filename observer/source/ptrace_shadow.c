/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/ptrace_shadow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_PAGES 512u
#define WORD_PAGES  32u /* two bits each */

/* Documentation/admin-guide/mm/pagemap.rst */
#define ENTRY_PRESENT	(1ull << 63)
#define ENTRY_SWAPPED	(1ull << 62)
#define ENTRY_FILE	(1ull << 61) /* or shared memory */
#define ENTRY_EXCLUSIVE (1ull << 56)

struct block {
	uint64_t words[BLOCK_PAGES / WORD_PAGES];
};

enum page_state shadow_entry(uint64_t entry)
{
	if (!(entry & ENTRY_PRESENT))
		return PAGE_NONE;
	if (entry & ENTRY_FILE)
		return PAGE_FILE;
	return entry & ENTRY_EXCLUSIVE ? PAGE_ANON : PAGE_DOUBTFUL;
}

bool shadow_entry_swapped(uint64_t entry)
{
	return entry & ENTRY_SWAPPED;
}

static enum page_state block_get(const struct block *block, uint64_t page)
{
	unsigned int at = page % BLOCK_PAGES;

	return (enum page_state)(block->words[at / WORD_PAGES] >> at % WORD_PAGES * 2 & 3);
}

static void block_set(struct block *block, uint64_t page, enum page_state state)
{
	unsigned int at = page % BLOCK_PAGES;
	uint64_t *word = &block->words[at / WORD_PAGES];

	*word = (*word & ~(3ull << at % WORD_PAGES * 2)) | (uint64_t)state << at % WORD_PAGES * 2;
}

static struct block *block_make(struct shadow *shadow, uint64_t page)
{
	struct block *block = map_get(&shadow->blocks, page / BLOCK_PAGES);

	if (block)
		return block;
	block = calloc(1, sizeof(*block));
	if (block && map_put(&shadow->blocks, page / BLOCK_PAGES, block)) {
		free(block);
		return NULL;
	}
	return block;
}

enum page_state shadow_get(const struct shadow *shadow, uint64_t page)
{
	const struct block *block = map_get(&shadow->blocks, page / BLOCK_PAGES);

	return block ? block_get(block, page) : PAGE_NONE;
}

static void counts_add(struct page_counts *counts, enum page_state state, int64_t n)
{
	switch (state) {
	case PAGE_NONE:
		return;
	case PAGE_ANON:
		counts->anon += n;
		return;
	case PAGE_FILE:
		counts->file += n;
		return;
	case PAGE_DOUBTFUL:
		counts->doubtful += n;
		return;
	}
}

int shadow_look(struct shadow *shadow, uint64_t first, const uint64_t *entries, size_t count,
		struct page_counts *change)
{
	struct block *block = NULL;

	for (size_t i = 0; i < count; i++) {
		enum page_state is = shadow_entry(entries[i]), was;

		if (!i || !((first + i) % BLOCK_PAGES))
			block = map_get(&shadow->blocks, (first + i) / BLOCK_PAGES);
		if (!block && is == PAGE_NONE)
			continue;
		if (!block)
			block = block_make(shadow, first + i);
		if (!block)
			return -ENOMEM;
		was = block_get(block, first + i);
		/* A page that was this mm's alone is now shared with a child: no doubt about it. */
		if (is == was || (is == PAGE_DOUBTFUL && was == PAGE_ANON))
			continue;
		counts_add(change, was, -1);
		counts_add(change, is, 1);
		block_set(block, first + i, is);
	}
	return 0;
}

void shadow_count(const struct shadow *shadow, uint64_t first, const uint64_t *entries, size_t count,
		  struct page_counts *sum)
{
	for (size_t i = 0; i < count; i++) {
		enum page_state is = shadow_entry(entries[i]);

		if (is == PAGE_DOUBTFUL && shadow_get(shadow, first + i) == PAGE_ANON)
			is = PAGE_ANON;
		counts_add(sum, is, 1);
	}
}

/* Calls @fn for each block that has pages of the range, with the part of the range in it. */
static void blocks_visit(struct shadow *shadow, uint64_t first, uint64_t count,
			 void (*fn)(struct block *block, uint64_t from, uint64_t to, enum page_state state),
			 enum page_state state)
{
	uint64_t end = first + count, key, begin = first / BLOCK_PAGES, last = (end + BLOCK_PAGES - 1) / BLOCK_PAGES;
	struct block *block;
	size_t pos = 0;

	if (!count)
		return;
	if (last - begin <= shadow->blocks.count) {
		for (key = begin; key < last; key++) {
			block = map_get(&shadow->blocks, key);
			if (block)
				fn(block, key * BLOCK_PAGES < first ? first : key * BLOCK_PAGES,
				   (key + 1) * BLOCK_PAGES > end ? end : (key + 1) * BLOCK_PAGES, state);
		}
		return;
	}
	while ((block = map_next(&shadow->blocks, &pos, &key))) {
		if (key >= begin && key < last)
			fn(block, key * BLOCK_PAGES < first ? first : key * BLOCK_PAGES,
			   (key + 1) * BLOCK_PAGES > end ? end : (key + 1) * BLOCK_PAGES, state);
	}
}

static void part_set(struct block *block, uint64_t from, uint64_t to, enum page_state state)
{
	if (to - from == BLOCK_PAGES && state == PAGE_NONE) {
		memset(block, 0, sizeof(*block));
		return;
	}
	for (uint64_t page = from; page < to; page++)
		block_set(block, page, state);
}

static void part_decide(struct block *block, uint64_t from, uint64_t to, enum page_state state)
{
	for (uint64_t page = from; page < to; page++) {
		if (block_get(block, page) == PAGE_DOUBTFUL)
			block_set(block, page, state);
	}
}

void shadow_decide(struct shadow *shadow, uint64_t first, uint64_t count, enum page_state state)
{
	blocks_visit(shadow, first, count, part_decide, state);
}

int shadow_set(struct shadow *shadow, uint64_t first, uint64_t count, enum page_state state)
{
	if (state != PAGE_NONE) {
		for (uint64_t page = first; page < first + count; page += BLOCK_PAGES - page % BLOCK_PAGES) {
			if (!block_make(shadow, page))
				return -ENOMEM;
		}
	}
	blocks_visit(shadow, first, count, part_set, state);
	return 0;
}

static void part_forget_files(struct block *block)
{
	for (uint64_t page = 0; page < BLOCK_PAGES; page++) {
		if (block_get(block, page) != PAGE_ANON)
			block_set(block, page, PAGE_NONE);
	}
}

int shadow_fork(const struct shadow *from, struct shadow *to)
{
	const struct block *block;
	uint64_t key;
	size_t pos = 0;

	while ((block = map_next(&from->blocks, &pos, &key))) {
		struct block *copy = malloc(sizeof(*copy));

		if (!copy || map_put(&to->blocks, key, copy)) {
			free(copy);
			return -ENOMEM;
		}
		*copy = *block;
		part_forget_files(copy);
	}
	return 0;
}

void shadow_free(struct shadow *shadow)
{
	size_t pos = 0;
	void *block;

	while ((block = map_next(&shadow->blocks, &pos, NULL)))
		free(block);
	map_free(&shadow->blocks);
}
