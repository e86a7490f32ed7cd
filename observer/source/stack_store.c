/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/stack_store.h"

#include "base/map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct stack {
	uint64_t id;
	uint64_t exact[STACK_EXACT];
	uint32_t count;
	bool complete;
	uint64_t frames[];
};

struct alias {
	uint64_t id;
};

/* What was put since the last turn. */
struct generation {
	struct map stacks;  /* id -> struct stack */
	struct map aliases; /* id of a copy -> struct alias */
	size_t bytes;	    /* of the stacks */
};

struct stack_store {
	struct generation now, last;
	struct frame frames[STACK_DEPTH];
};

struct stack_store *stack_store_new(void)
{
	return calloc(1, sizeof(struct stack_store));
}

static void values_free(struct map *map)
{
	size_t at = 0;
	void *value;

	while ((value = map_next(map, &at, NULL)))
		free(value);
	map_free(map);
}

static void generation_free(struct generation *generation)
{
	values_free(&generation->stacks);
	values_free(&generation->aliases);
}

void stack_store_free(struct stack_store *store)
{
	if (!store)
		return;
	generation_free(&store->now);
	generation_free(&store->last);
	free(store);
}

int stack_store_put(struct stack_store *store, const struct wire_stack *record, size_t size)
{
	size_t bytes = record->count * sizeof(record->frames[0]);
	struct stack *stack;
	int err;

	if (size < offsetof(struct wire_stack, frames) || record->count > STACK_DEPTH ||
	    bytes > size - offsetof(struct wire_stack, frames) || record->id & STACK_ID_COPY || !record->id)
		return -EBADMSG;
	if (map_get(&store->now.stacks, record->id))
		return 0;
	stack = malloc(sizeof(*stack) + bytes);
	if (!stack)
		return -ENOMEM;
	stack->id = record->id;
	stack->count = record->count;
	stack->complete = record->complete;
	memcpy(stack->exact, record->exact, sizeof(stack->exact));
	memcpy(stack->frames, record->frames, bytes);
	err = map_put(&store->now.stacks, stack->id, stack);
	if (err)
		free(stack);
	else
		store->now.bytes += sizeof(*stack) + bytes;
	return err;
}

int stack_store_alias(struct stack_store *store, uint64_t copy, uint64_t id)
{
	struct alias *alias = malloc(sizeof(*alias));
	int err;

	if (!alias)
		return -ENOMEM;
	alias->id = id;
	free(map_del(&store->now.aliases, copy));
	err = map_put(&store->now.aliases, copy, alias);
	if (err)
		free(alias);
	return err;
}

bool stack_store_full(const struct stack_store *store)
{
	return store->now.stacks.count + store->now.aliases.count >= STACK_STORE_MAX ||
	       store->now.bytes >= STACK_STORE_BYTES_MAX;
}

void stack_store_turn(struct stack_store *store)
{
	generation_free(&store->last);
	store->last = store->now;
	memset(&store->now, 0, sizeof(store->now));
}

static const void *either(const struct map *now, const struct map *last, uint64_t key)
{
	const void *value = map_get(now, key);

	return value ? value : map_get(last, key);
}

void stack_store_fill(struct stack_store *store, uint64_t id, struct event_change *change)
{
	const struct stack *stack;

	if (!id)
		return;
	if (id & STACK_ID_COPY) {
		const struct alias *alias = either(&store->now.aliases, &store->last.aliases, id);

		id = alias ? alias->id : 0;
	}
	stack = id ? either(&store->now.stacks, &store->last.stacks, id) : NULL;
	change->stack_lost = !stack;
	if (!stack)
		return;
	for (uint32_t i = 0; i < stack->count; i++) {
		store->frames[i].addr = stack->frames[i];
		store->frames[i].exact = stack->exact[i >> 6] >> (i & 63) & 1;
	}
	change->stack = store->frames;
	change->stack_len = stack->count;
	change->stack_complete = stack->complete;
	change->stack_id = id;
}
