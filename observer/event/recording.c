/* SPDX-License-Identifier: GPL-2.0-only */
#include "event/recording.h"

#define KEY(key, type, field) \
	key, " " key "=", sizeof(key) + 1, RECORDING_##type, RECORDING_OPTIONAL, offsetof(struct event, field), 0
#define NEED(key, type, field) \
	key, " " key "=", sizeof(key) + 1, RECORDING_##type, RECORDING_REQUIRED, offsetof(struct event, field), 0
#define IF(known, key, type, field)                                                                          \
	key, " " key "=", sizeof(key) + 1, RECORDING_##type, RECORDING_KNOWN, offsetof(struct event, field), \
		offsetof(struct event, known)
#define END NULL, "", 0, RECORDING_U64, RECORDING_OPTIONAL, 0, 0

static const struct recording_key common_keys[] = {
	{ NEED("ts", U64, ts_ns) }, { NEED("pid", I32, pid) },	 { NEED("tid", I32, tid) },
	{ KEY("mm", U64, mm) },	    { KEY("comm", COMM, comm) }, { END },
};

static const struct recording_key change_keys[] = {
	{ NEED("cause", CAUSE, change.cause) },
	{ NEED("name", STRING, change.name) },
	{ KEY("call", CALL, change.call) },
	{ KEY("args", ARGS, change.args) },
	{ IF(change.has_ret, "ret", I64, change.ret) },
	{ KEY("text", STRING, change.text) },
	{ KEY("addr", HEX, change.addr) },
	{ KEY("len", HEX, change.len) },
	{ KEY("count", U64, change.count) },
	{ KEY("folded", U64, change.folded) },
	{ KEY("order", U64, change.order) },
	{ KEY("delta", USAGE, change.delta) },
	{ KEY("unattributed", NOT, change.attributed) },
	{ KEY("frame", FRAMES, change.stack) },
	{ KEY("stack", CHAIN, change.stack_id) },
	{ KEY("complete", BOOL, change.stack_complete) },
	{ KEY("stack_lost", BOOL, change.stack_lost) },
	{ END },
};

static const struct recording_key open_keys[] = {
	{ NEED("how", HOW, open.how) },	       { KEY("parent", U64, open.parent_mm) },
	{ KEY("level", USAGE, open.opening) }, { KEY("start_brk", HEX, open.start_brk) },
	{ KEY("brk", HEX, open.brk) },	       { KEY("start_stack", HEX, open.start_stack) },
	{ KEY("image", STRING, open.image) },  { END },
};

static const struct recording_key close_keys[] = {
	{ IF(close.closing_known, "level", USAGE, close.closing) },
	{ IF(close.proc_known, "proc", USAGE, close.proc) },
	{ KEY("judge", STRING, close.judge) },
	{ KEY("detached", BOOL, close.detached) },
	{ KEY("swapped", U64, close.swapped_pages) },
	{ END },
};

static const struct recording_key vma_keys[] = {
	{ NEED("start", HEX, vma.start) }, { NEED("end", HEX, vma.end) },     { KEY("offset", HEX, vma.offset) },
	{ KEY("prot", U32, vma.prot) },	   { KEY("flags", U32, vma.flags) },  { KEY("dev", HEX, vma.dev) },
	{ KEY("inode", U64, vma.inode) },  { KEY("path", STRING, vma.path) }, { END },
};

static const struct recording_key mark_keys[] = { { NEED("name", STRING, mark.name) }, { END } };

static const struct recording_key sample_keys[] = { { NEED("level", USAGE, sample.usage) }, { END } };

static const struct recording_key proc_exit_keys[] = {
	{ KEY("code", I32, proc_exit.code) },
	{ KEY("signal", I32, proc_exit.signal) },
	{ END },
};

static const struct recording_key lost_keys[] = {
	{ NEED("records", U64, lost.records) },
	{ NEED("what", STRING, lost.what) },
	{ KEY("detail", BOOL, lost.detail) },
	{ KEY("books", BOOL, lost.books) },
	{ END },
};

static const struct {
	const char *name;
	const struct recording_key *keys;
} kinds[EVENT_KIND_COUNT] = {
	[EVENT_CHANGE] = { "change", change_keys },
	[EVENT_MM_OPEN] = { "open", open_keys },
	[EVENT_MM_CLOSE] = { "close", close_keys },
	[EVENT_VMA] = { "vma", vma_keys },
	[EVENT_MARK] = { "mark", mark_keys },
	[EVENT_SAMPLE] = { "sample", sample_keys },
	[EVENT_PROC_EXIT] = { "proc_exit", proc_exit_keys },
	[EVENT_LOST] = { "lost", lost_keys },
};

static const char *const how_names[] = { [OPEN_EXEC] = "exec", [OPEN_FORK] = "fork", [OPEN_ATTACH] = "attach" };

const char *recording_kind_name(enum event_kind kind)
{
	return kinds[kind].name;
}

const struct recording_key *recording_common_keys(void)
{
	return common_keys;
}

const struct recording_key *recording_keys(enum event_kind kind)
{
	return kinds[kind].keys;
}

const char *open_how_name(enum open_how how)
{
	return how_names[how];
}
