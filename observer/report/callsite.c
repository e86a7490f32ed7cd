/* SPDX-License-Identifier: GPL-2.0-only */
#include "report/callsite.h"

#include "report/allocators.h"

#include <string.h>

#define SYSTEM_HEADERS "/usr/include/"

static bool same_object(const struct frame *a, const struct frame *b)
{
	return a->object && b->object && !strcmp(a->object, b->object);
}

/* Whether the frames [from, to) can be an allocator's own: of a library, or of the object that one of its functions, the
 * frame @to or that before @from, is in. What a callback of the program does is the program's. */
static bool belongs(const struct frame *stack, unsigned int from, unsigned int to)
{
	for (unsigned int i = from; i < to; i++) {
		if (!allocator_is_runtime(stack[i].object) && !same_object(&stack[i], &stack[to]) &&
		    !(from && same_object(&stack[i], &stack[from - 1])))
			return false;
	}
	return true;
}

/* The outermost allocator function, or -1. */
static int find_allocator(const struct event_change *change)
{
	int last = -1;

	for (unsigned int i = 0; i < change->stack_len; i++) {
		if (!allocator_is_function(change->stack[i].symbol))
			continue;
		if (!belongs(change->stack, (unsigned int)(last + 1), i))
			break;
		last = (int)i;
	}
	return last;
}

/* Whether @frame was inlined from a header of the system's: memset() of the C library's string_fortified.h. */
static bool is_from_header(const struct frame *frame)
{
	return frame->inlined && frame->file && !strncmp(frame->file, SYSTEM_HEADERS, strlen(SYSTEM_HEADERS));
}

/* Whether @frame is a library's code, wherever it is: in the program too, where the compiler has put it there. */
static bool is_of_library(const struct frame *frame)
{
	return allocator_is_runtime(frame->object) || is_from_header(frame);
}

/* The first frame from @from on that is the program's; -1 where there is none. */
static int find_program(const struct event_change *change, unsigned int from, bool templates_too)
{
	for (unsigned int i = from; i < change->stack_len; i++) {
		const struct frame *frame = &change->stack[i];

		if (!is_of_library(frame) && (templates_too || !allocator_is_template(frame->symbol)))
			return (int)i;
	}
	return -1;
}

/* "mmap64", "__mmap" and "__GI___mmap64" are what the C library calls the syscall mmap. */
static bool is_wrapper(const char *symbol, const char *call)
{
	size_t len = strlen(call);

	if (!strncmp(symbol, "__GI_", 5))
		symbol += 5;
	symbol += strspn(symbol, "_");
	return !strncmp(symbol, call, len) && (!symbol[len] || !strcmp(symbol + len, "64"));
}

/* Of a chain without a frame of the program (the loader at the start): the first that is more than the syscall itself. */
static const struct frame *first_of_runtime(const struct event_change *change)
{
	unsigned int i = 0;

	while (change->cause == CAUSE_SYSCALL && i + 1 < change->stack_len && change->stack[i].symbol &&
	       is_wrapper(change->stack[i].symbol, change->name))
		i++;
	return &change->stack[i];
}

void callsite_find(const struct event_change *change, struct callsite *out)
{
	int allocator = find_allocator(change);
	unsigned int from = (unsigned int)(allocator + 1);
	int caller = find_program(change, from, false);

	*out = (struct callsite){ NULL, NULL };
	if (!change->stack_len)
		return;
	if (caller < 0)
		caller = find_program(change, from, true);
	if (allocator >= 0)
		out->entry = &change->stack[allocator];
	else if (caller > 0 && is_of_library(&change->stack[caller - 1]))
		out->entry = &change->stack[caller - 1];
	if (caller >= 0)
		out->caller = &change->stack[caller];
	else if (allocator < 0)
		out->caller = first_of_runtime(change);
	else if (from < change->stack_len)
		out->caller = &change->stack[from];
}

const char *callsite_entry_name(const struct event_change *change, const struct callsite *site)
{
	const char *symbol = site->entry ? site->entry->symbol : NULL;

	if (!symbol || (change->cause == CAUSE_SYSCALL && is_wrapper(symbol, change->name)))
		return NULL;
	return symbol;
}
