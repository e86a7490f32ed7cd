/* SPDX-License-Identifier: GPL-2.0-only */
/* recording: the format of recorded events, as a table from which it is written (report/recording.c) and read
 * (source/replay.c), so that neither can forget a field.
 *
 * A recording is text. Its first line is "heaptrace-recording VERSION" and the header's keys; then comes one line an
 * event, in the order of delivery: the kind and its keys; the last line begins with "end", and a file without it is
 * truncated. Words are separated by one blank. A key is NAME=VALUE; it is left out where the value is zero, false or
 * NULL. Numbers are decimal or hexadecimal with 0x, strings are as escape_word() makes them.
 *
 * A call chain that many rows have is written once, in a line of its own before the first of them: "stack id=N" and its
 * frames; rows refer to it by "stack=N". The numbers ascend from 1; where one is given anew, it and all above are
 * forgotten, so that nobody has to remember more than RECORDING_STACKS_MAX of them. */
#ifndef HEAPTRACE_RECORDING_H
#define HEAPTRACE_RECORDING_H

#include "event/event.h"

#define RECORDING_MAGIC	  "heaptrace-recording"
#define RECORDING_VERSION 1
#define RECORDING_END	  "end"
#define RECORDING_STACK	  "stack"

/* Bytes of one line, its newline left out. */
#define RECORDING_LINE_MAX (1u << 20)

/* Numbers of call chains go from 1 to this. */
#define RECORDING_STACKS_MAX 65536u

/* Frames of one call chain. */
#define RECORDING_FRAMES_MAX 1024u

/* The memory that a reader spends on call chains. A writer begins at 1 again before it is half used. */
#define RECORDING_STACK_BYTES_MAX ((size_t)256 << 20)

#define EVENT_KIND_COUNT 8

enum recording_type {
	RECORDING_U64,	  /* uint64_t in decimal */
	RECORDING_HEX,	  /* uint64_t in hex */
	RECORDING_I64,	  /* int64_t */
	RECORDING_I32,	  /* int32_t or int */
	RECORDING_U32,	  /* uint32_t in hex */
	RECORDING_BOOL,	  /* 1 where true */
	RECORDING_NOT,	  /* a bool that is true as a rule: 1 where false */
	RECORDING_STRING, /* const char * */
	RECORDING_COMM,	  /* char[EVENT_COMM_LEN] */
	RECORDING_USAGE,  /* struct usage: VIRT,ANON,FILE,SHMEM,SWAP */
	RECORDING_ARGS,	  /* uint64_t[6] in hex, as many as there are up to the last one that is not 0 */
	RECORDING_CAUSE,  /* enum cause by name */
	RECORDING_HOW,	  /* enum open_how by name */
	RECORDING_CALL,	  /* const struct memcall * by name */
	RECORDING_FRAMES, /* the stack, one key a frame: ADDR,OFFSET,SYMBOL,OBJECT,FILE,LINE,FLAGS (enum recording_frame) */
	RECORDING_CHAIN, /* the stack by the number of its line */
};

enum recording_frame { RECORDING_INLINED = 1, RECORDING_EXACT = 2 };

/* How a key comes to be in a line. */
enum recording_presence {
	RECORDING_OPTIONAL, /* where it is not zero */
	RECORDING_REQUIRED, /* always */
	RECORDING_KNOWN,    /* where the bool at known_offset is true, zero or not */
};

#define RECORDING_KEY_BYTES 16

struct recording_key {
	const char *name;
	char text[RECORDING_KEY_BYTES]; /* as it stands in a line: a blank before it and '=' behind it */
	size_t text_len;
	enum recording_type type;
	enum recording_presence presence;
	size_t offset;	     /* in struct event */
	size_t known_offset; /* in struct event, for RECORDING_KNOWN */
};

/* The first word of a line for events of @kind, such as "change". Static. */
const char *recording_kind_name(enum event_kind kind);

/* The keys that lines of every kind have, up to one without a name. Static. */
const struct recording_key *recording_common_keys(void);

/* The further keys of @kind, up to one without a name. Static. */
const struct recording_key *recording_keys(enum event_kind kind);

/* "exec", "fork" or "attach". Static. */
const char *open_how_name(enum open_how how);

#endif
