/* SPDX-License-Identifier: GPL-2.0-only */
#include "model/phases.h"

#include "model/ledger.h"
#include "model/ledger_lines.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As long as a mark can be; the source cuts at it too. */
#define MARK_MAX_LEN 255

static int reserve_phase(struct phases *phases)
{
	unsigned int size = phases->size ? phases->size * 2 : 4;
	struct ledger_phase *grown;
	unsigned int *first;

	if (phases->count < phases->size)
		return 0;
	grown = reallocarray(phases->phases, size, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	phases->phases = grown;
	first = reallocarray(phases->first, size, sizeof(*first));
	if (!first)
		return -ENOMEM;
	phases->first = first;
	phases->size = size;
	return 0;
}

static int reserve_line(struct phases *phases, unsigned int index)
{
	if (phases->line_count == phases->line_size) {
		unsigned int size = phases->line_size ? phases->line_size * 2 : 8;
		struct ledger_line *lines = reallocarray(phases->lines, size, sizeof(*lines));
		unsigned int *wholes;

		if (!lines)
			return -ENOMEM;
		phases->lines = lines;
		wholes = reallocarray(phases->wholes, size, sizeof(*wholes));
		if (!wholes)
			return -ENOMEM;
		phases->wholes = wholes;
		phases->line_size = size;
	}
	if (index >= phases->line_of_size) {
		unsigned int size = index < 8 ? 8 : index * 2;
		unsigned int *line_of = reallocarray(phases->line_of, size, sizeof(*line_of));

		if (!line_of)
			return -ENOMEM;
		memset(line_of + phases->line_of_size, 0, (size - phases->line_of_size) * sizeof(*line_of));
		phases->line_of = line_of;
		phases->line_of_size = size;
	}
	return 0;
}

static int begin(struct phases *phases, uint64_t start_ns, const char *name)
{
	char *copy = NULL;

	if (reserve_phase(phases))
		return -ENOMEM;
	if (name) {
		copy = strndup(name, MARK_MAX_LEN);
		if (!copy)
			return -ENOMEM;
	}
	phases->first[phases->count] = phases->line_count;
	phases->phases[phases->count++] =
		(struct ledger_phase){ .name = copy, .start_ns = start_ns, .end_ns = start_ns };
	return 0;
}

int phases_begin(struct phases *phases, uint64_t start_ns)
{
	return begin(phases, start_ns, NULL);
}

int phases_add(struct phases *phases, unsigned int index, const char *name, const struct event_change *change)
{
	unsigned int first = phases->first[phases->count - 1];
	unsigned int at = index < phases->line_of_size ? phases->line_of[index] : 0;

	/* An index left by an earlier phase lies before this phase's first line. */
	if (at <= first) {
		if (reserve_line(phases, index))
			return -ENOMEM;
		phases->wholes[phases->line_count] = index;
		phases->lines[phases->line_count++] = (struct ledger_line){ .cause = change->cause, .name = name };
		at = phases->line_count;
		phases->line_of[index] = at;
	}
	ledger_line_add(&phases->lines[at - 1], change);
	return 0;
}

int phases_cut(struct phases *phases, uint64_t now_ns, const char *name, const struct usage *level)
{
	struct ledger_phase *last = &phases->phases[phases->count - 1];

	if (phases->count >= LEDGER_PHASES_MAX || phases->line_count >= LEDGER_PHASE_LINES_MAX) {
		phases->merged++;
		return 0;
	}
	last->end_ns = now_ns;
	last->closing = *level;
	return begin(phases, now_ns, name);
}

/* The last phase tells how many marks it swallowed. Without memory for that it keeps its name. */
static void name_last(struct phases *phases)
{
	struct ledger_phase *last = &phases->phases[phases->count - 1];
	char *name;

	if (!phases->merged)
		return;
	if (asprintf(&name, "%s (and %" PRIu64 " later marks)", last->name ? last->name : "", phases->merged) < 0)
		return;
	free((char *)(uintptr_t)last->name);
	last->name = name;
	phases->merged = 0;
}

const struct ledger_phase *phases_view(struct phases *phases, uint64_t now_ns, const struct usage *level)
{
	unsigned int last = phases->count - 1;

	for (unsigned int i = 0; i < phases->count; i++) {
		unsigned int end = i < last ? phases->first[i + 1] : phases->line_count;
		struct ledger_phase *phase = &phases->phases[i];

		phase->line_count = end - phases->first[i];
		phase->lines = phase->line_count ? phases->lines + phases->first[i] : NULL;
		phase->delta = (struct usage){ 0 };
		for (unsigned int line = phases->first[i]; line < end; line++) {
			ledger_line_sum(&phases->lines[line]);
			books_add(&phase->delta, &phases->lines[line].delta);
		}
	}
	phases->phases[last].end_ns = now_ns;
	phases->phases[last].closing = *level;
	name_last(phases);
	return phases->phases;
}

void phases_merge(const struct phases *phases, struct ledger_line *lines)
{
	for (unsigned int i = 0; i < phases->line_count; i++)
		ledger_line_merge(&lines[phases->wholes[i]], &phases->lines[i]);
}

void phases_free(struct phases *phases)
{
	for (unsigned int i = 0; i < phases->count; i++)
		free((char *)(uintptr_t)phases->phases[i].name);
	free(phases->phases);
	free(phases->first);
	free(phases->lines);
	free(phases->wholes);
	free(phases->line_of);
	*phases = (struct phases){ .phases = NULL };
}
