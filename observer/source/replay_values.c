/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/replay_values.h"

#include "base/escape.h"
#include "base/intern.h"
#include "event/memcalls.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define ARGS	 6
#define MARK_MAX 255 /* event.h: the longest name of a mark */

/* All sizes of a recording together: any sum and difference that the books make of them stays within an int64_t. */
#define SIZE_TOTAL_MAX (1ull << 60)

void replay_values_free(struct replay_values *values)
{
	replay_stacks_free(&values->stacks);
	free(values->frames);
	values->frames = NULL;
	values->frame_count = values->frame_cap = 0;
}

void replay_values_reset(struct replay_values *values)
{
	values->frame_count = 0;
}

int replay_values_stack(struct replay_values *values, struct event_change *change)
{
	const struct replay_stack *stack = replay_stacks_get(&values->stacks, change->stack_id);

	if (!change->stack_id) {
		change->stack = values->frames;
		change->stack_len = values->frame_count;
		return 0;
	}
	if (values->frame_count || !stack)
		return -EBADMSG;
	change->stack = stack->frames;
	change->stack_len = stack->count;
	change->stack_id = stack->serial;
	return 0;
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return INT_MAX;
}

int replay_number(const char *str, uint64_t max, uint64_t *out)
{
	bool hex = str[0] == '0' && str[1] == 'x';
	const char *at = hex ? str + 2 : str;
	uint64_t value = 0;
	int base = hex ? 16 : 10;

	if (!*at)
		return -EBADMSG;
	for (; *at; at++) {
		int digit = digit_value(*at);

		if (digit >= base || __builtin_mul_overflow(value, (uint64_t)base, &value) ||
		    __builtin_add_overflow(value, (uint64_t)digit, &value))
			return -EBADMSG;
	}
	if (value > max)
		return -EBADMSG;
	*out = value;
	return 0;
}

int replay_signed(const char *str, int64_t max, int64_t *out)
{
	bool negative = str[0] == '-';
	uint64_t value;

	/* Two's complement: there is one negative number more. */
	if (replay_number(str + negative, (uint64_t)max + negative, &value))
		return -EBADMSG;
	*out = (int64_t)(negative ? -value : value);
	return 0;
}

/* Cuts @value at its commas into @max parts at most. How many there are, or -EBADMSG where there are more. */
static int split(char *value, char **parts, int max)
{
	int count = 0;

	for (;;) {
		char *comma = strchr(value, ',');

		if (count == max)
			return -EBADMSG;
		parts[count++] = value;
		if (!comma)
			return count;
		*comma = '\0';
		value = comma + 1;
	}
}

static int parse_usage(struct replay_values *values, char *value, struct usage *out)
{
	struct usage usage = { 0 };
	int64_t *const fields[] = { &usage.virt, &usage.anon, &usage.file, &usage.shmem, &usage.swap };
	uint64_t magnitude;
	char *parts[5];

	if (split(value, parts, 5) != 5)
		return -EBADMSG;
	for (unsigned int i = 0; i < 5; i++) {
		if (replay_signed(parts[i], INT64_MAX, fields[i]))
			return -EBADMSG;
		magnitude = *fields[i] < 0 ? -(uint64_t)*fields[i] : (uint64_t)*fields[i];
		if (__builtin_add_overflow(values->size_total, magnitude, &values->size_total) ||
		    values->size_total > SIZE_TOTAL_MAX)
			return -ERANGE;
	}
	*out = usage;
	return 0;
}

static int parse_args(char *value, uint64_t *out)
{
	char *parts[ARGS];
	int count = split(value, parts, ARGS);

	if (count < 0)
		return -EBADMSG;
	for (int i = 0; i < count; i++) {
		if (replay_number(parts[i], UINT64_MAX, &out[i]))
			return -EBADMSG;
	}
	return 0;
}

/* An optional string of a frame: empty stands for none. */
static int parse_frame_string(char *part, const char **out)
{
	if (!*part)
		return 0;
	if (escape_word_undo(part, strlen(part)) < 0)
		return -EBADMSG;
	*out = part;
	return 0;
}

int replay_frame_parse(struct replay_values *values, char *value)
{
	enum { ADDR, OFFSET, SYMBOL, OBJECT, SOURCE, LINE, FLAGS, PARTS };
	struct frame frame = { 0 };
	uint64_t line = 0, flags = 0;
	char *parts[PARTS];

	if (split(value, parts, PARTS) != PARTS || replay_number(parts[ADDR], UINT64_MAX, &frame.addr) ||
	    replay_number(parts[OFFSET], UINT64_MAX, &frame.offset) ||
	    parse_frame_string(parts[SYMBOL], &frame.symbol) || parse_frame_string(parts[OBJECT], &frame.object) ||
	    parse_frame_string(parts[SOURCE], &frame.file) || replay_number(parts[LINE], UINT_MAX, &line) ||
	    replay_number(parts[FLAGS], RECORDING_INLINED | RECORDING_EXACT, &flags) ||
	    values->frame_count == RECORDING_FRAMES_MAX)
		return -EBADMSG;
	if (values->frame_count == values->frame_cap) {
		unsigned int cap = values->frame_cap ? values->frame_cap * 2 : 32;
		struct frame *more = reallocarray(values->frames, cap, sizeof(*more));

		if (!more)
			return -ENOMEM;
		values->frames = more;
		values->frame_cap = cap;
	}
	frame.line = (unsigned int)line;
	frame.inlined = flags & RECORDING_INLINED;
	frame.exact = flags & RECORDING_EXACT;
	values->frames[values->frame_count++] = frame;
	return 0;
}

static int parse_cause(const char *value, enum cause *out)
{
	for (int cause = 0; cause < CAUSE_COUNT; cause++) {
		if (strcmp(cause_name((enum cause)cause), value) != 0)
			continue;
		*out = (enum cause)cause;
		return 0;
	}
	return -EBADMSG;
}

static int parse_how(const char *value, enum open_how *out)
{
	for (int how = OPEN_EXEC; how <= OPEN_ATTACH; how++) {
		if (strcmp(open_how_name((enum open_how)how), value) != 0)
			continue;
		*out = (enum open_how)how;
		return 0;
	}
	return -EBADMSG;
}

static int parse_call(const char *value, const struct memcall **out)
{
	*out = memcall_by_name(value);
	return *out ? 0 : -EBADMSG;
}

/* A string, with what single fields demand of theirs beyond that. */
static int parse_string(char *value, size_t len, const struct event *event, const char **out)
{
	int64_t got = escape_word_undo(value, len);

	if (got < 0 || (event->kind == EVENT_MARK && got > MARK_MAX))
		return -EBADMSG;
	/* event.h: what was lost is static. */
	*out = event->kind == EVENT_LOST ? intern(value, "events") : value;
	return 0;
}

static int parse_comm(char *value, size_t len, char *out)
{
	int64_t got = escape_word_undo(value, len);

	if (got < 0 || got >= EVENT_COMM_LEN)
		return -EBADMSG;
	memcpy(out, value, (size_t)got + 1);
	return 0;
}

/* The types that are numbers. */
static int parse_number(enum recording_type type, const char *value, void *field)
{
	uint64_t number = 0;
	int64_t signed_number = 0;
	int err;

	if (type == RECORDING_I64 || type == RECORDING_I32) {
		err = replay_signed(value, type == RECORDING_I64 ? INT64_MAX : INT32_MAX, &signed_number);
		if (err)
			return err;
		if (type == RECORDING_I64)
			*(int64_t *)field = signed_number;
		else
			*(int32_t *)field = (int32_t)signed_number;
		return 0;
	}
	if (type == RECORDING_U32) {
		err = replay_number(value, UINT32_MAX, &number);
		if (!err)
			*(uint32_t *)field = (uint32_t)number;
		return err;
	}
	return replay_number(value, UINT64_MAX, field);
}

int replay_value_parse(struct replay_values *values, const struct recording_key *key, char *value, size_t len,
		       struct event *event)
{
	void *field = (char *)event + key->offset;

	switch (key->type) {
	case RECORDING_U64:
	case RECORDING_HEX:
	case RECORDING_I64:
	case RECORDING_I32:
	case RECORDING_U32:
		return parse_number(key->type, value, field);
	case RECORDING_BOOL:
	case RECORDING_NOT:
		if (strcmp(value, "1") != 0)
			return -EBADMSG;
		*(bool *)field = key->type == RECORDING_BOOL;
		return 0;
	case RECORDING_STRING:
		return parse_string(value, len, event, field);
	case RECORDING_COMM:
		return parse_comm(value, len, field);
	case RECORDING_USAGE:
		return parse_usage(values, value, field);
	case RECORDING_ARGS:
		return parse_args(value, field);
	case RECORDING_CAUSE:
		return parse_cause(value, field);
	case RECORDING_HOW:
		return parse_how(value, field);
	case RECORDING_CALL:
		return parse_call(value, field);
	case RECORDING_FRAMES:
		return replay_frame_parse(values, value);
	case RECORDING_CHAIN:
		return replay_number(value, RECORDING_STACKS_MAX, field) || !*(uint64_t *)field ? -EBADMSG : 0;
	}
	return -EBADMSG;
}
