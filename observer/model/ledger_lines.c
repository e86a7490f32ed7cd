/* SPDX-License-Identifier: GPL-2.0-only */
#include "model/ledger_lines.h"

#include "model/ledger.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Longer names are told apart by their beginnings only. */
#define NAME_MAX_LEN 63

#define MAX_ERRNO 4095

static int64_t wrap_add(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a + (uint64_t)b);
}

static int64_t wrap_sub(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a - (uint64_t)b);
}

void books_add(struct usage *sum, const struct usage *delta)
{
	sum->virt = wrap_add(sum->virt, delta->virt);
	sum->anon = wrap_add(sum->anon, delta->anon);
	sum->file = wrap_add(sum->file, delta->file);
	sum->shmem = wrap_add(sum->shmem, delta->shmem);
	sum->swap = wrap_add(sum->swap, delta->swap);
}

void books_sub(struct usage *sum, const struct usage *delta)
{
	sum->virt = wrap_sub(sum->virt, delta->virt);
	sum->anon = wrap_sub(sum->anon, delta->anon);
	sum->file = wrap_sub(sum->file, delta->file);
	sum->shmem = wrap_sub(sum->shmem, delta->shmem);
	sum->swap = wrap_sub(sum->swap, delta->swap);
}

int64_t books_rss(const struct usage *usage)
{
	return wrap_add(wrap_add(usage->anon, usage->file), usage->shmem);
}

/* The name of the line that is shared once there are too many. */
static const char *shared_name(enum cause cause)
{
	switch (cause) {
	case CAUSE_KERNEL:
		return "other actors";
	case CAUSE_SYSCALL:
	case CAUSE_KERNEL_FAULT:
		return "other syscalls";
	case CAUSE_FAULT:
	case CAUSE_FORK:
	case CAUSE_EXEC:
	case CAUSE_EXIT:
		break;
	}
	return "other";
}

/* FNV-1a. */
static uint32_t hash_of(enum cause cause, const char *name, size_t len)
{
	uint32_t hash = (2166136261u ^ (uint32_t)cause) * 16777619u;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)name[i]) * 16777619u;
	return hash;
}

static int reserve(struct ledger_lines *lines)
{
	unsigned int size = lines->size ? lines->size * 2 : 8;
	struct ledger_line *grown;
	uint32_t *hashes;

	if (lines->count < lines->size)
		return 0;
	grown = reallocarray(lines->lines, size, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	lines->lines = grown;
	hashes = reallocarray(lines->hashes, size, sizeof(*hashes));
	if (!hashes)
		return -ENOMEM;
	lines->hashes = hashes;
	lines->size = size;
	return 0;
}

static int find(const struct ledger_lines *lines, enum cause cause, const char *name, size_t len, uint32_t hash)
{
	for (unsigned int i = 0; i < lines->count; i++) {
		const struct ledger_line *line = &lines->lines[i];

		if (lines->hashes[i] == hash && line->cause == cause && !strncmp(line->name, name, len) &&
		    !line->name[len])
			return (int)i;
	}
	return -ENOENT;
}

static int append(struct ledger_lines *lines, enum cause cause, const char *name, size_t len, uint32_t hash)
{
	char *copy;

	if (reserve(lines))
		return -ENOMEM;
	copy = strndup(name, len);
	if (!copy)
		return -ENOMEM;
	lines->hashes[lines->count] = hash;
	lines->lines[lines->count] = (struct ledger_line){ .cause = cause, .name = copy };
	return (int)lines->count++;
}

static int find_or_append(struct ledger_lines *lines, const struct event_change *change)
{
	const char *name = change->name;
	size_t len = strnlen(name, NAME_MAX_LEN);
	uint32_t hash = hash_of(change->cause, name, len);
	int at = find(lines, change->cause, name, len, hash);

	if (at >= 0)
		return at;
	if (lines->count >= LEDGER_LINES_MAX) {
		name = shared_name(change->cause);
		len = strlen(name);
		hash = hash_of(change->cause, name, len);
		at = find(lines, change->cause, name, len, hash);
	}
	return at >= 0 ? at : append(lines, change->cause, name, len, hash);
}

int ledger_lines_find(struct ledger_lines *lines, const struct event_change *change)
{
	/* Most names are static: where they lie tells them apart as a rule, and what they are is compared all the same. */
	uint64_t place = ((uint64_t)(uintptr_t)change->name + change->cause) * 0x9e3779b97f4a7c15u;
	unsigned int *recent = &lines->recent[place / (UINT64_MAX / LEDGER_LINES_RECENT + 1)];
	int at = (int)*recent - 1;

	if (at >= 0 && lines->lines[at].cause == change->cause && !strcmp(lines->lines[at].name, change->name))
		return at;
	at = find_or_append(lines, change);
	if (at >= 0)
		*recent = (unsigned int)at + 1;
	return at;
}

static void split_sign(int64_t delta, int64_t *gained, int64_t *given)
{
	*gained = wrap_add(*gained, delta > 0 ? delta : 0);
	*given = wrap_add(*given, delta < 0 ? delta : 0);
}

void ledger_line_add(struct ledger_line *line, const struct event_change *change)
{
	const struct usage *delta = &change->delta;

	line->count += change->count;
	if (change->has_ret && change->ret < 0 && change->ret >= -MAX_ERRNO)
		line->errors++;
	split_sign(delta->virt, &line->gained.virt, &line->given.virt);
	if (!(delta->anon | delta->file | delta->shmem | delta->swap)) /* as most calls leave them */
		return;
	split_sign(delta->anon, &line->gained.anon, &line->given.anon);
	split_sign(delta->file, &line->gained.file, &line->given.file);
	split_sign(delta->shmem, &line->gained.shmem, &line->given.shmem);
	split_sign(delta->swap, &line->gained.swap, &line->given.swap);
}

void ledger_line_merge(struct ledger_line *line, const struct ledger_line *part)
{
	line->count += part->count;
	line->errors += part->errors;
	books_add(&line->gained, &part->gained);
	books_add(&line->given, &part->given);
}

void ledger_line_sum(struct ledger_line *line)
{
	line->delta = line->gained;
	books_add(&line->delta, &line->given);
}

void ledger_lines_free(struct ledger_lines *lines)
{
	for (unsigned int i = 0; i < lines->count; i++)
		free((char *)(uintptr_t)lines->lines[i].name);
	free(lines->lines);
	free(lines->hashes);
	*lines = (struct ledger_lines){ .lines = NULL };
}
