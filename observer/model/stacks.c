/* SPDX-License-Identifier: GPL-2.0-only */
#include "model/stacks.h"

#include <errno.h>
#include <stdlib.h>

struct stack *stack_new(const struct frame *raw, unsigned int raw_count, unsigned int size)
{
	struct stack *stack = calloc(1, sizeof(*stack) + (size_t)(size + raw_count) * sizeof(struct frame));

	if (!stack)
		return NULL;
	stack->size = size;
	stack->raw = stack->frames + size;
	stack->raw_count = raw_count;
	for (unsigned int i = 0; i < raw_count; i++)
		stack->raw[i] = (struct frame){ .addr = raw[i].addr, .exact = raw[i].exact };
	return stack;
}

size_t stack_bytes(const struct stack *stack)
{
	return sizeof(*stack) + (size_t)(stack->size + stack->raw_count) * sizeof(struct frame);
}

static unsigned int raw_count(const struct event_change *change)
{
	return change->stack_len < STACK_DEPTH_MAX ? change->stack_len : STACK_DEPTH_MAX;
}

static uint64_t hash_of(const struct event_change *change)
{
	uint64_t hash = change->stack_len;

	for (unsigned int i = 0; i < raw_count(change); i++) {
		hash ^= change->stack[i].addr * 2 + change->stack[i].exact;
		hash *= 0x9e3779b97f4a7c15ULL;
		hash ^= hash >> 32;
	}
	return hash;
}

static bool is_of(const struct stack *stack, const struct event_change *change)
{
	if (stack->raw_count != raw_count(change))
		return false;
	for (unsigned int i = 0; i < stack->raw_count; i++) {
		if (stack->raw[i].addr != change->stack[i].addr || stack->raw[i].exact != change->stack[i].exact)
			return false;
	}
	return true;
}

struct stack *stacks_find(struct stacks *stacks, const struct event_change *change)
{
	struct stack *stack = change->stack_id ? map_get(&stacks->by_id, change->stack_id) : NULL;

	if (!stack) {
		stack = map_get(&stacks->by_hash, hash_of(change));
		while (stack && !is_of(stack, change))
			stack = stack->next;
		if (stack && change->stack_id)
			(void)map_put(&stacks->by_id, change->stack_id, stack);
	}
	return stack;
}

int stacks_add(struct stacks *stacks, const struct event_change *change, struct stack *stack)
{
	uint64_t hash = hash_of(change);
	struct stack *first = map_get(&stacks->by_hash, hash);

	stack->next = first;
	if (map_put(&stacks->by_hash, hash, stack)) {
		free(stack);
		return -ENOMEM;
	}
	if (change->stack_id)
		(void)map_put(&stacks->by_id, change->stack_id, stack);
	return 0;
}

size_t stacks_forget(struct stacks *stacks)
{
	struct stack *stack, *next;
	size_t pos = 0, bytes = 0;

	while ((stack = map_next(&stacks->by_hash, &pos, NULL))) {
		for (; stack; stack = next) {
			next = stack->next;
			bytes += stack_bytes(stack);
			free(stack);
		}
	}
	map_free(&stacks->by_hash);
	map_free(&stacks->by_id);
	return bytes;
}
