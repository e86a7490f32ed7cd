/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/replay_parse.h"

#include "base/escape.h"
#include "event/recording.h"
#include "source/replay_values.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define CMD_ARGS_MAX  65536
#define PAGE_SIZE_MAX (1u << 30)

struct replay_parser {
	struct event event;
	struct replay_header header;
	struct replay_end end;
	struct replay_values values; /* what the event points to */
	char **cmd;		     /* copies, as the header stays valid; NULL-terminated once there is one */
	size_t cmd_count;
	char *strings[3]; /* version, source, why */
	bool any_line;
};

struct replay_parser *replay_parser_new(void)
{
	return calloc(1, sizeof(struct replay_parser));
}

void replay_parser_free(struct replay_parser *parser)
{
	if (!parser)
		return;
	for (size_t i = 0; i < parser->cmd_count; i++)
		free(parser->cmd[i]);
	free(parser->cmd);
	for (unsigned int i = 0; i < 3; i++)
		free(parser->strings[i]);
	replay_values_free(&parser->values);
	free(parser);
}

const struct event *replay_parser_event(const struct replay_parser *parser)
{
	return &parser->event;
}

const struct replay_header *replay_parser_header(const struct replay_parser *parser)
{
	return &parser->header;
}

const struct replay_end *replay_parser_end(const struct replay_parser *parser)
{
	return &parser->end;
}

/* One word of a line: NUL-terminated in place, and cut at its '=' into name and value. */
struct word {
	char *name;
	char *value; /* NULL: there was no '=' */
	size_t value_len;
};

/* Takes the next word off the line at *@at. False at its end, or with @diag set where two blanks or a blank at the end show
 * that this is no line of ours. */
static bool next_word(char **at, char *end, struct word *word, struct diag *diag)
{
	char *stop, *equals;

	if (*at >= end)
		return false;
	stop = memchr(*at, ' ', (size_t)(end - *at));
	if (!stop)
		stop = end;
	if (stop == *at || stop + 1 == end) {
		diag_set(diag, -EBADMSG, "an empty word");
		return false;
	}
	*stop = '\0';
	equals = memchr(*at, '=', (size_t)(stop - *at));
	*word = (struct word){ .name = *at };
	if (equals) {
		*equals = '\0';
		word->value = equals + 1;
		word->value_len = (size_t)(stop - word->value);
	}
	*at = stop + 1;
	return true;
}

static int bad_key(struct diag *diag, const char *name, const char *what)
{
	return diag_set(diag, -EBADMSG, "%s: \"%.40s\"", what, name);
}

/* Finds the key @name in the common ones and in those of @kind. Its number in that order, -1 where there is none. */
static int find_key(enum event_kind kind, const char *name, const struct recording_key **ret_key)
{
	const struct recording_key *const tables[] = { recording_common_keys(), recording_keys(kind) };
	int number = 0;

	for (unsigned int i = 0; i < 2; i++) {
		for (const struct recording_key *key = tables[i]; key->name; key++, number++) {
			if (strcmp(key->name, name) != 0)
				continue;
			*ret_key = key;
			return number;
		}
	}
	return -1;
}

static int check_required(enum event_kind kind, uint64_t seen, struct diag *diag)
{
	const struct recording_key *const tables[] = { recording_common_keys(), recording_keys(kind) };
	unsigned int number = 0;

	for (unsigned int i = 0; i < 2; i++) {
		for (const struct recording_key *key = tables[i]; key->name; key++, number++) {
			if (key->presence == RECORDING_REQUIRED && !(seen & 1ull << number))
				return bad_key(diag, key->name, "a key is missing");
		}
	}
	return 0;
}

/* What the types of the keys do not exclude. */
static int check_event(const struct event *event, struct diag *diag)
{
	if (event->pid < 0 || event->tid < 0)
		return diag_set(diag, -EBADMSG, "a negative process or thread id");
	if (event->kind == EVENT_VMA && event->vma.start >= event->vma.end)
		return diag_set(diag, -EBADMSG, "a mapping that ends before it begins");
	return 0;
}

static int parse_event(struct replay_parser *parser, enum event_kind kind, char *at, char *end, struct diag *diag)
{
	const struct recording_key *key = NULL;
	struct event *event = &parser->event;
	uint64_t seen = 0;
	struct word word;
	int err;

	memset(event, 0, sizeof(*event));
	event->kind = kind;
	if (kind == EVENT_CHANGE)
		event->change.attributed = true;
	replay_values_reset(&parser->values);
	while (next_word(&at, end, &word, diag)) {
		int number = find_key(kind, word.name, &key);

		if (number < 0)
			return bad_key(diag, word.name, "an unknown key");
		if (!word.value)
			return bad_key(diag, word.name, "a key without a value");
		if ((seen & 1ull << number) && key->type != RECORDING_FRAMES)
			return bad_key(diag, word.name, "a key that stands twice");
		seen |= 1ull << number;
		err = replay_value_parse(&parser->values, key, word.value, word.value_len, event);
		if (err == -EBADMSG)
			return bad_key(diag, key->name, "a value that is wrong");
		if (err)
			return diag_set(diag, err, err == -ERANGE ? "sizes that are too large" : "out of memory");
		if (key->presence == RECORDING_KNOWN)
			*(bool *)((char *)event + key->known_offset) = true;
	}
	if (diag->text[0])
		return -EBADMSG;
	if (kind == EVENT_CHANGE && replay_values_stack(&parser->values, &event->change))
		return diag_set(diag, -EBADMSG, "a call chain that no line has, or two of them");
	err = check_required(kind, seen, diag);
	return err ? err : check_event(event, diag);
}

/* "stack id=N" and the frames. */
static int parse_stack(struct replay_parser *parser, char *at, char *end, struct diag *diag)
{
	struct replay_values *values = &parser->values;
	uint64_t number = 0;
	struct word word;
	int err;

	replay_values_reset(values);
	while (next_word(&at, end, &word, diag)) {
		if (!word.value)
			return bad_key(diag, word.name, "a key without a value");
		if (!strcmp(word.name, "frame"))
			err = replay_frame_parse(values, word.value);
		else if (!strcmp(word.name, "id") && !number)
			err = replay_number(word.value, RECORDING_STACKS_MAX, &number);
		else
			return bad_key(diag, word.name, "an unknown key, or one that stands twice");
		if (err)
			return err == -ENOMEM ? err : bad_key(diag, word.name, "a value that is wrong");
	}
	if (diag->text[0])
		return -EBADMSG;
	err = replay_stacks_put(&values->stacks, number, values->frames, values->frame_count);
	if (err == -EBADMSG)
		return diag_set(diag, err, "a call chain without frames, or whose number is not the next");
	if (err)
		return diag_set(diag, err, err == -ERANGE ? "call chains that are too large" : "out of memory");
	return REPLAY_STACK;
}

static int add_cmd(struct replay_parser *parser, const char *arg)
{
	char **more;

	if (parser->cmd_count == CMD_ARGS_MAX)
		return -EBADMSG;
	more = reallocarray(parser->cmd, parser->cmd_count + 2, sizeof(*more));
	if (!more)
		return -ENOMEM;
	parser->cmd = more;
	more[parser->cmd_count] = strdup(arg);
	if (!more[parser->cmd_count])
		return -ENOMEM;
	more[++parser->cmd_count] = NULL;
	parser->header.cmd = more;
	return 0;
}

enum header_key {
	HEADER_VERSION,
	HEADER_SOURCE,
	HEADER_WHY,
	HEADER_CAPS,
	HEADER_PAGE,
	HEADER_START,
	HEADER_REAL,
	HEADER_CMD
};

static const char *const header_keys[] = {
	[HEADER_VERSION] = "heaptrace",
	[HEADER_SOURCE] = "source",
	[HEADER_WHY] = "why",
	[HEADER_CAPS] = "caps",
	[HEADER_PAGE] = "page_size",
	[HEADER_START] = "start_ns",
	[HEADER_REAL] = "start_realtime_ns",
	[HEADER_CMD] = "cmd",
};

#define HEADER_KEYS	(sizeof(header_keys) / sizeof(header_keys[0]))
/* All but why and cmd. */
#define HEADER_REQUIRED 0x7bu

static int set_header_value(struct replay_parser *parser, enum header_key key, struct word *word)
{
	const char **const strings[] = { &parser->header.version, &parser->header.source, &parser->header.why };
	uint64_t number = 0;
	int err = 0;

	switch (key) {
	case HEADER_VERSION:
	case HEADER_SOURCE:
	case HEADER_WHY:
		if (escape_word_undo(word->value, word->value_len) < 0)
			return -EBADMSG;
		parser->strings[key] = strdup(word->value);
		*strings[key] = parser->strings[key];
		return parser->strings[key] ? 0 : -ENOMEM;
	case HEADER_CMD:
		if (escape_word_undo(word->value, word->value_len) < 0)
			return -EBADMSG;
		return add_cmd(parser, word->value);
	case HEADER_CAPS:
		err = replay_number(word->value, UINT_MAX, &number);
		parser->header.caps = (unsigned int)number;
		return err;
	case HEADER_PAGE:
		err = replay_number(word->value, PAGE_SIZE_MAX, &number);
		parser->header.page_size = number;
		return err ? err : number && !(number & (number - 1)) ? 0 : -EBADMSG;
	case HEADER_START:
		return replay_number(word->value, UINT64_MAX, &parser->header.start_ns);
	case HEADER_REAL:
		return replay_number(word->value, UINT64_MAX, &parser->header.start_realtime_ns);
	}
	return -EBADMSG;
}

static int parse_header(struct replay_parser *parser, char *at, char *end, struct diag *diag)
{
	unsigned int seen = 0, key;
	struct word word;
	uint64_t version;
	int err;

	if (!next_word(&at, end, &word, diag) || word.value || replay_number(word.name, UINT_MAX, &version))
		return diag_set(diag, -EBADMSG, "the recording's version is missing");
	if (version != RECORDING_VERSION)
		return diag_set(diag, -EBADMSG, "a recording of version %u, this program reads version %d",
				(unsigned int)version, RECORDING_VERSION);
	while (next_word(&at, end, &word, diag)) {
		for (key = 0; key < HEADER_KEYS && strcmp(header_keys[key], word.name) != 0; key++)
			;
		if (key == HEADER_KEYS || !word.value)
			return bad_key(diag, word.name, "an unknown key");
		if ((seen & 1u << key) && key != HEADER_CMD)
			return bad_key(diag, word.name, "a key that stands twice");
		seen |= 1u << key;
		err = set_header_value(parser, key, &word);
		if (err)
			return err == -ENOMEM ? err : bad_key(diag, header_keys[key], "a value that is wrong");
	}
	if (diag->text[0])
		return -EBADMSG;
	if ((seen & HEADER_REQUIRED) != HEADER_REQUIRED)
		return diag_set(diag, -EBADMSG, "the first line lacks a key");
	return REPLAY_HEADER;
}

static int parse_end(struct replay_parser *parser, char *at, char *end, struct diag *diag)
{
	enum { SEEN_TS = 1, SEEN_CODE = 2, SEEN_SIGNAL = 4 };
	struct replay_end *out = &parser->end;
	unsigned int seen = 0, bit;
	struct word word;
	int64_t number;

	while (next_word(&at, end, &word, diag)) {
		bit = !strcmp(word.name, "ts")	     ? SEEN_TS
		      : !strcmp(word.name, "code")   ? SEEN_CODE
		      : !strcmp(word.name, "signal") ? SEEN_SIGNAL
						     : 0;
		if (!bit || !word.value || (seen & bit))
			return bad_key(diag, word.name, "an unknown key, or one that stands twice");
		seen |= bit;
		if (bit == SEEN_TS) {
			if (replay_number(word.value, UINT64_MAX, &out->ts_ns))
				return bad_key(diag, word.name, "a value that is wrong");
			continue;
		}
		if (replay_signed(word.value, INT_MAX, &number))
			return bad_key(diag, word.name, "a value that is wrong");
		*(bit == SEEN_CODE ? &out->code : &out->signal) = (int)number;
	}
	if (diag->text[0])
		return -EBADMSG;
	if (!(seen & SEEN_TS) || !(seen & SEEN_CODE) != !(seen & SEEN_SIGNAL))
		return diag_set(diag, -EBADMSG, "the last line lacks a key");
	out->exit_known = seen & SEEN_CODE;
	return REPLAY_END;
}

int replay_parser_line(struct replay_parser *parser, char *line, size_t len, struct diag *diag)
{
	struct diag own = { { 0 } };
	char *at = line, *end = line + len;
	struct word word;
	bool first = !parser->any_line;
	int ret = -EBADMSG;

	parser->any_line = true;
	if (memchr(line, '\0', len) || !next_word(&at, end, &word, &own) || word.value) {
		ret = diag_set(&own, -EBADMSG,
			       first ? "this is no recording of heaptrace" : "this is no line of a recording");
	} else if (first) {
		if (strcmp(word.name, RECORDING_MAGIC) != 0)
			ret = diag_set(&own, -EBADMSG, "this is no recording of heaptrace");
		else
			ret = parse_header(parser, at, end, &own);
	} else if (!strcmp(word.name, RECORDING_END)) {
		ret = parse_end(parser, at, end, &own);
	} else if (!strcmp(word.name, RECORDING_STACK)) {
		ret = parse_stack(parser, at, end, &own);
	} else {
		int kind;

		for (kind = 0; kind < EVENT_KIND_COUNT; kind++) {
			if (!strcmp(word.name, recording_kind_name((enum event_kind)kind)))
				break;
		}
		if (kind == EVENT_KIND_COUNT)
			ret = bad_key(&own, word.name, "an unknown kind of line");
		else
			ret = parse_event(parser, (enum event_kind)kind, at, end, &own);
		if (!ret)
			ret = REPLAY_EVENT;
	}
	if (ret < 0)
		diag_set(diag, ret, "%s", own.text[0] ? own.text : "out of memory");
	return ret;
}
