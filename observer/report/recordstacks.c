/* SPDX-License-Identifier: GPL-2.0-only */
#include "report/recordstacks.h"

#include "base/map.h"
#include "event/recording.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct recordstacks {
	struct map by_id;   /* struct recordstack */
	unsigned int count; /* numbers that are given */
	size_t bytes;	    /* what a reader needs for them */
	struct recordstack list[RECORDING_STACKS_MAX];
};

struct recordstacks *recordstacks_new(void)
{
	return calloc(1, sizeof(struct recordstacks));
}

void recordstacks_free(struct recordstacks *stacks)
{
	if (!stacks)
		return;
	map_free(&stacks->by_id);
	free(stacks);
}

static size_t bytes_of(const struct event_change *change)
{
	size_t bytes = change->stack_len * sizeof(struct frame);

	for (unsigned int i = 0; i < change->stack_len; i++) {
		const struct frame *frame = &change->stack[i];
		const char *const strings[] = { frame->symbol, frame->object, frame->file };

		for (unsigned int j = 0; j < 3; j++)
			bytes += strings[j] ? strlen(strings[j]) + 1 : 0;
	}
	return bytes;
}

int recordstacks_get(struct recordstacks *stacks, const struct event_change *change, struct recordstack **ret_stack)
{
	struct recordstack *stack = map_get(&stacks->by_id, change->stack_id);
	size_t bytes;

	if (stack) {
		*ret_stack = stack;
		return 0;
	}
	bytes = bytes_of(change);
	if (stacks->count == RECORDING_STACKS_MAX || stacks->bytes + bytes > RECORDING_STACK_BYTES_MAX / 2) {
		map_free(&stacks->by_id);
		stacks->count = 0;
		stacks->bytes = 0;
	}
	stack = &stacks->list[stacks->count];
	*stack = (struct recordstack){ .number = stacks->count + 1 };
	if (map_put(&stacks->by_id, change->stack_id, stack))
		return -ENOMEM;
	stacks->count++;
	stacks->bytes += bytes;
	*ret_stack = stack;
	return 1;
}
