/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/bpf_late.h"

#include "base/clock.h"
#include "base/map.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What was delivered of one fold. */
struct seen_fold {
	struct wire_fold_key key;
	struct wire_fold seen;
	struct seen_fold *next;
};

/* An mm whose opening was delivered. */
struct known_mm {
	struct seen_fold *folds;
};

struct bpf_late {
	struct bpf_kernel_side *side;
	struct bpf_decode *decode;
	struct map known;	   /* mm number -> struct known_mm */
	struct map ending;	   /* mm number -> anything, while its closing is kept */
	struct wire_close *closes; /* kept */
	size_t close_count, close_room;
	struct wire_grave *graves; /* noticed, not settled */
	size_t grave_count, grave_room;
	uint64_t graves_seen, folds_seen;
	bool skipped; /* the last look at the folds found some of an mm that was not known */
	bool stale;   /* it may be known since then */
	int folds_fd, graves_fd;
};

struct bpf_late *bpf_late_new(struct bpf_kernel_side *side, struct bpf_decode *decode)
{
	struct bpf_late *late = calloc(1, sizeof(*late));

	if (!late)
		return NULL;
	late->side = side;
	late->decode = decode;
	late->folds_fd = bpf_kernel_map_fd(side, "folds");
	late->graves_fd = bpf_kernel_map_fd(side, "graves");
	return late;
}

static void known_free(struct known_mm *known)
{
	while (known && known->folds) {
		struct seen_fold *fold = known->folds;

		known->folds = fold->next;
		free(fold);
	}
	free(known);
}

void bpf_late_free(struct bpf_late *late)
{
	size_t at = 0;
	void *value;

	if (!late)
		return;
	while ((value = map_next(&late->known, &at, NULL)))
		known_free(value);
	map_free(&late->known);
	map_free(&late->ending);
	free(late->closes);
	free(late->graves);
	free(late);
}

/* Makes room for one more element of @size bytes. 0 or -ENOMEM. */
static int grow(void **array, size_t count, size_t *room, size_t size)
{
	size_t wanted = *room ? *room * 2 : 16;
	void *bigger;

	if (count < *room)
		return 0;
	bigger = reallocarray(*array, wanted, size);
	if (!bigger)
		return -ENOMEM;
	*array = bigger;
	*room = wanted;
	return 0;
}

static int mm_known(struct bpf_late *late, uint64_t mm)
{
	struct known_mm *known;
	int err;

	if (map_get(&late->known, mm))
		return 0;
	known = calloc(1, sizeof(*known));
	if (!known)
		return -ENOMEM;
	err = map_put(&late->known, mm, known);
	if (err)
		free(known);
	late->stale |= late->skipped;
	return err;
}

/* Whether a look at the folds would find more than the last one. */
static bool folds_changed(const struct bpf_late *late)
{
	return late->stale || bpf_kernel_shared(late->side)->stats.folded_rows != late->folds_seen;
}

static void mm_forget(struct bpf_late *late, uint64_t mm)
{
	known_free(map_del(&late->known, mm));
}

int bpf_late_prepare(struct bpf_late *late)
{
	uint64_t graves = bpf_kernel_shared(late->side)->stats.graves;
	uint64_t key, *previous = NULL;
	int err;

	if (graves == late->graves_seen)
		return 0;
	late->graves_seen = graves;
	while (!bpf_map_get_next_key(late->graves_fd, previous, &key)) {
		err = grow((void **)&late->graves, late->grave_count, &late->grave_room, sizeof(*late->graves));
		if (err)
			return err;
		if (!bpf_map_lookup_elem(late->graves_fd, &key, &late->graves[late->grave_count]))
			late->grave_count++;
		/* Deleting what was just read and starting over visits each key once. */
		bpf_map_delete_elem(late->graves_fd, &key);
	}
	return 0;
}

int bpf_late_record(struct bpf_late *late, const void *record, size_t size)
{
	const struct wire_head *head = record;
	int err;

	if (size < sizeof(*head))
		return -EBADMSG;
	if (head->kind == WIRE_OPEN) {
		err = mm_known(late, head->mm);
		if (err)
			return err;
	}
	if (head->kind != WIRE_CLOSE || size < sizeof(struct wire_close))
		return bpf_decode_record(late->decode, record, size);
	if (!folds_changed(late)) {
		mm_forget(late, head->mm);
		return bpf_decode_record(late->decode, record, size);
	}
	err = grow((void **)&late->closes, late->close_count, &late->close_room, sizeof(*late->closes));
	if (!err)
		err = map_put(&late->ending, head->mm, late);
	if (!err)
		memcpy(&late->closes[late->close_count++], record, sizeof(*late->closes));
	return err;
}

static struct seen_fold *seen_find(struct known_mm *known, const struct wire_fold_key *key)
{
	struct seen_fold *fold;

	for (fold = known->folds; fold; fold = fold->next)
		if (!memcmp(&fold->key, key, sizeof(*key)))
			return fold;
	fold = calloc(1, sizeof(*fold));
	if (!fold)
		return NULL;
	fold->key = *key;
	fold->next = known->folds;
	known->folds = fold;
	return fold;
}

/* Delivers what the fold of @key gained since it was last looked at, if the reader knows its mm. */
static int fold_deliver(struct bpf_late *late, const struct wire_fold_key *key, uint64_t ts_ns)
{
	struct known_mm *known = map_get(&late->known, key->mm);
	struct wire_fold now, gain;
	struct seen_fold *fold;

	late->skipped |= !known;
	if (!known || bpf_map_lookup_elem(late->folds_fd, key, &now))
		return 0;
	fold = seen_find(known, key);
	if (!fold)
		return -ENOMEM;
	gain = now;
	gain.delta.virt -= fold->seen.delta.virt;
	for (int i = 0; i < WIRE_MEMBERS; i++)
		gain.delta.rss[i] -= fold->seen.delta.rss[i];
	gain.rows -= fold->seen.rows;
	gain.count -= fold->seen.count;
	gain.errors -= fold->seen.errors;
	if (!memcmp(&now, &fold->seen, sizeof(now)))
		return 0;
	fold->seen = now;
	return bpf_decode_fold(late->decode, key, &gain, ts_ns);
}

static int folds_drain(struct bpf_late *late)
{
	struct wire_fold_key key, next, *previous = NULL;
	uint64_t ts_ns = clock_ns(CLOCK_MONOTONIC);
	int err = 0;

	late->skipped = late->stale = false;
	while (!err && !bpf_map_get_next_key(late->folds_fd, previous, &next)) {
		/* A key that ended is deleted only once the walk has passed it. */
		if (previous && map_get(&late->ending, previous->mm))
			bpf_map_delete_elem(late->folds_fd, previous);
		key = next;
		previous = &key;
		err = fold_deliver(late, &key, ts_ns);
	}
	if (previous && map_get(&late->ending, previous->mm))
		bpf_map_delete_elem(late->folds_fd, previous);
	return err;
}

static int graves_open(struct bpf_late *late)
{
	int err = 0;

	for (size_t i = 0; i < late->grave_count && !err; i++) {
		const struct wire_grave *grave = &late->graves[i];

		err = map_put(&late->ending, grave->head.mm, late);
		if (!err && !map_get(&late->known, grave->head.mm)) {
			err = mm_known(late, grave->head.mm);
			if (!err)
				err = bpf_decode_grave(late->decode, grave, false);
		}
	}
	return err;
}

int bpf_late_settle(struct bpf_late *late)
{
	uint64_t folds = bpf_kernel_shared(late->side)->stats.folded_rows;
	int err;

	if (!folds_changed(late) && !late->grave_count && !late->close_count)
		return 0;
	err = graves_open(late);
	if (!err)
		err = folds_drain(late);
	late->folds_seen = folds;
	for (size_t i = 0; i < late->close_count && !err; i++) {
		mm_forget(late, late->closes[i].head.mm);
		map_del(&late->ending, late->closes[i].head.mm);
		err = bpf_decode_record(late->decode, &late->closes[i], sizeof(late->closes[i]));
	}
	late->close_count = 0;
	for (size_t i = 0; i < late->grave_count && !err; i++) {
		mm_forget(late, late->graves[i].head.mm);
		map_del(&late->ending, late->graves[i].head.mm);
		err = bpf_decode_grave(late->decode, &late->graves[i], true);
	}
	late->grave_count = 0;
	return err;
}

int bpf_late_part(struct bpf_late *late, const struct wire_mm *mm, uint64_t ts_ns)
{
	struct wire_grave grave = { .opening = mm->opening, .parent_mm = mm->parent, .how = mm->how };
	int err = 0;

	grave.head.mm = mm->id;
	grave.head.ts_ns = ts_ns;
	grave.head.pid = grave.head.tid = mm->pid;
	memcpy(grave.head.comm, mm->comm, sizeof(grave.head.comm));
	if (!map_get(&late->known, mm->id)) {
		err = mm_known(late, mm->id);
		if (!err)
			err = bpf_decode_grave(late->decode, &grave, false);
	}
	return err ? err : bpf_decode_spilled(late->decode, &grave.head, &mm->spilled, mm->spilled_rows);
}
