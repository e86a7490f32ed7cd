/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/replay_stacks.h"

#include "event/recording.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void forget_from(struct replay_stacks *stacks, unsigned int first)
{
	while (stacks->count > first) {
		struct replay_stack *stack = stacks->list[--stacks->count];

		stacks->bytes -= stack->bytes;
		free(stack);
	}
}

void replay_stacks_free(struct replay_stacks *stacks)
{
	forget_from(stacks, 0);
	free(stacks->list);
	*stacks = (struct replay_stacks){ 0 };
}

const struct replay_stack *replay_stacks_get(const struct replay_stacks *stacks, uint64_t number)
{
	return number && number <= stacks->count ? stacks->list[number - 1] : NULL;
}

static int reserve_one(struct replay_stacks *stacks)
{
	unsigned int size = stacks->size ? stacks->size * 2 : 64;
	struct replay_stack **more;

	if (stacks->count < stacks->size)
		return 0;
	more = reallocarray(stacks->list, size, sizeof(struct replay_stack *));
	if (!more)
		return -ENOMEM;
	stacks->list = more;
	stacks->size = size;
	return 0;
}

static size_t size_of(const char *str)
{
	return str ? strlen(str) + 1 : 0;
}

static const char *copy_string(char **at, const char *str)
{
	const char *copy = *at;
	size_t size = size_of(str);

	if (!size)
		return NULL;
	memcpy(*at, str, size);
	*at += size;
	return copy;
}

static struct replay_stack *stack_new(const struct frame *frames, unsigned int count)
{
	struct replay_stack *stack;
	size_t bytes = sizeof(*stack) + count * sizeof(*frames);
	char *at;

	for (unsigned int i = 0; i < count; i++)
		bytes += size_of(frames[i].symbol) + size_of(frames[i].object) + size_of(frames[i].file);
	stack = malloc(bytes);
	if (!stack)
		return NULL;
	stack->count = count;
	stack->bytes = bytes;
	at = (char *)&stack->frames[count];
	for (unsigned int i = 0; i < count; i++) {
		stack->frames[i] = frames[i];
		stack->frames[i].symbol = copy_string(&at, frames[i].symbol);
		stack->frames[i].object = copy_string(&at, frames[i].object);
		stack->frames[i].file = copy_string(&at, frames[i].file);
	}
	return stack;
}

int replay_stacks_put(struct replay_stacks *stacks, uint64_t number, const struct frame *frames, unsigned int count)
{
	struct replay_stack *stack;

	if (!number || !count || number > stacks->count + 1ull || number > RECORDING_STACKS_MAX)
		return -EBADMSG;
	forget_from(stacks, (unsigned int)number - 1);
	stack = reserve_one(stacks) ? NULL : stack_new(frames, count);
	if (!stack)
		return -ENOMEM;
	if (stack->bytes > RECORDING_STACK_BYTES_MAX - stacks->bytes) {
		free(stack);
		return -ERANGE;
	}
	stack->serial = ++stacks->serial;
	stacks->bytes += stack->bytes;
	stacks->list[stacks->count++] = stack;
	return 0;
}
