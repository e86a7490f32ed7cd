/* SPDX-License-Identifier: GPL-2.0-only */
#include "report/tally.h"

#include "base/map.h"

#include <stdlib.h>
#include <string.h>

struct tally {
	struct map by_text; /* by hash: a list of struct tally_entry */
	struct map by_key;  /* struct tally_entry */
	size_t count, max;
	const char *rest;
};

/* Numbers that are remembered; when there are more, all are made anew. */
#define KEYS_MAX 1000000u

struct tally *tally_new(size_t max, const char *rest)
{
	struct tally *tally = calloc(1, sizeof(*tally));

	if (!tally)
		return NULL;
	tally->max = max;
	tally->rest = rest;
	return tally;
}

void tally_free(struct tally *tally)
{
	struct tally_entry *entry, *next;
	size_t pos = 0;

	if (!tally)
		return;
	while ((entry = map_next(&tally->by_text, &pos, NULL))) {
		for (; entry; entry = next) {
			next = entry->next;
			free(entry);
		}
	}
	map_free(&tally->by_text);
	map_free(&tally->by_key);
	free(tally);
}

static uint64_t hash_of(const char *text, size_t len)
{
	uint64_t hash = 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)text[i]) * 0x100000001b3ULL;
	return hash;
}

uint64_t tally_key(uint64_t stack_id, const char *word)
{
	return stack_id ? (hash_of(word, strlen(word)) << 32) ^ stack_id : 0;
}

struct tally_entry *tally_recall(const struct tally *tally, uint64_t key)
{
	return key ? map_get(&tally->by_key, key) : NULL;
}

static struct tally_entry *find_or_add(struct tally *tally, const char *text, size_t len)
{
	uint64_t hash = hash_of(text, len);
	struct tally_entry *first = map_get(&tally->by_text, hash), *entry = first;

	while (entry && (strncmp(entry->text, text, len) != 0 || entry->text[len]))
		entry = entry->next;
	if (entry)
		return entry;
	if (tally->count >= tally->max && text != tally->rest)
		return find_or_add(tally, tally->rest, strlen(tally->rest));
	entry = calloc(1, sizeof(*entry) + len + 1);
	if (!entry)
		return NULL;
	memcpy(entry->text, text, len);
	entry->next = first;
	if (map_put(&tally->by_text, hash, entry)) {
		free(entry);
		return NULL;
	}
	tally->count++;
	return entry;
}

struct tally_entry *tally_get(struct tally *tally, const struct buf *text, uint64_t key)
{
	struct tally_entry *entry =
		buf_error(text) ? NULL : find_or_add(tally, text->data ? text->data : "", text->len);

	if (entry && key) {
		if (tally->by_key.count >= KEYS_MAX)
			map_free(&tally->by_key);
		/* Without it the text is made again: no more than slow. */
		(void)map_put(&tally->by_key, key, entry);
	}
	return entry;
}

static void add_part(int64_t change, int64_t *gained, int64_t *given, int64_t *peak)
{
	int64_t *side = change > 0 ? gained : given;

	*side += change;
	if (*gained + *given > *peak)
		*peak = *gained + *given;
}

void tally_add(struct tally_entry *entry, const struct event_change *change)
{
	entry->count += change->count;
	add_part(change->delta.virt, &entry->gained.virt, &entry->given.virt, &entry->peak.virt);
	add_part(usage_rss(&change->delta), &entry->gained.anon, &entry->given.anon, &entry->peak.anon);
}

struct tally_entry **tally_list(const struct tally *tally, size_t *ret_count)
{
	struct tally_entry **list = calloc(tally->count + 1, sizeof(struct tally_entry *)), *entry;
	size_t pos = 0, count = 0;

	while (list && (entry = map_next(&tally->by_text, &pos, NULL))) {
		for (; entry; entry = entry->next)
			list[count++] = entry;
	}
	*ret_count = count;
	return list;
}
