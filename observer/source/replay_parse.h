/* SPDX-License-Identifier: GPL-2.0-only */
/* replay_parse: one line of a recording (event/recording.h) at a time. The text is hostile: every length, number and
 * name is checked, and nothing that it says can make sums of sizes overflow. */
#ifndef HEAPTRACE_REPLAY_PARSE_H
#define HEAPTRACE_REPLAY_PARSE_H

#include "base/diag.h"
#include "event/event.h"

/* The header line. Strings are the parser's. */
struct replay_header {
	const char *version; /* of the heaptrace that has written it */
	const char *source;
	const char *why; /* NULL: was asked for */
	unsigned int caps;
	uint64_t page_size;
	uint64_t start_ns, start_realtime_ns;
	char *const *cmd; /* NULL-terminated; NULL: attached */
};

/* The end line. */
struct replay_end {
	uint64_t ts_ns;
	bool exit_known;
	int code, signal;
};

/* REPLAY_STACK: a call chain for later lines; there is nothing to deliver. */
enum replay_line { REPLAY_HEADER, REPLAY_EVENT, REPLAY_STACK, REPLAY_END };

struct replay_parser;

/* A parser that expects the header first. NULL on lack of memory. */
struct replay_parser *replay_parser_new(void);

/* Frees it; NULL is legal. */
void replay_parser_free(struct replay_parser *parser);

/* Parses the @len bytes at @line, without a newline; line[len] must be writable, and the line is changed. Returns the kind
 * of line, -EBADMSG with the reason in @diag, or -ENOMEM. */
int replay_parser_line(struct replay_parser *parser, char *line, size_t len, struct diag *diag);

/* What the last line held. The event and its strings are valid until the next line is parsed or changed. */
const struct event *replay_parser_event(const struct replay_parser *parser);
const struct replay_header *replay_parser_header(const struct replay_parser *parser);
const struct replay_end *replay_parser_end(const struct replay_parser *parser);

#endif
