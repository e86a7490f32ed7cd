/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/replay.h"

#include "base/buf.h"
#include "base/map.h"
#include "event/recording.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_CHUNK    (64u << 10)
#define EVENTS_A_POLL 4096

/* An mm whose books are open: what an EVENT_MM_CLOSE for it needs. */
struct open_mm {
	int32_t pid;
	char comm[EVENT_COMM_LEN];
};

struct replay {
	struct source source;
	int fd;
	bool at_eof;
	struct buf data; /* read and not yet parsed, from @pos on */
	size_t pos;
	uint64_t line; /* number of the line last taken, from 1 */
	uint64_t last_ts_ns;
	struct replay_parser *parser;
	struct map mms; /* open ones: mm -> struct open_mm */
	bool ended;
	struct diag reason;
	const char *file;
};

static const struct replay *replay_of(const struct source *source)
{
	return (const struct replay *)source;
}

const struct replay_header *replay_header(const struct source *source)
{
	return replay_parser_header(replay_of(source)->parser);
}

const struct replay_end *replay_end(const struct source *source)
{
	return replay_of(source)->ended ? replay_parser_end(replay_of(source)->parser) : NULL;
}

const char *replay_reason(const struct source *source)
{
	return replay_of(source)->reason.text[0] ? replay_of(source)->reason.text : NULL;
}

static int probe(struct diag *diag)
{
	(void)diag;
	return 0;
}

/* Reads more of the file behind what is still to be parsed. 0 or -errno. */
static int fill(struct replay *replay)
{
	size_t left = replay->data.len - replay->pos;
	ssize_t got;
	char *at;

	if (replay->data.data && replay->pos) {
		memmove(replay->data.data, replay->data.data + replay->pos, left);
		replay->data.len = left;
		replay->pos = 0;
	}
	at = buf_reserve(&replay->data, READ_CHUNK);
	if (!at)
		return -ENOMEM;
	do {
		got = read(replay->fd, at, READ_CHUNK);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return diag_set(&replay->reason, -errno, "%s: %s", replay->file, strerror(errno));
	replay->data.len += (size_t)got;
	replay->at_eof = !got;
	return 0;
}

/* Takes the next whole line. 1 with its place, 0 at the end of the file, or -errno. */
static int next_line(struct replay *replay, char **ret_line, size_t *ret_len)
{
	size_t searched = 0;

	for (;;) {
		size_t left = replay->data.len - replay->pos;
		char *begin = replay->data.data ? replay->data.data + replay->pos : NULL;
		char *newline = begin && left > searched ? memchr(begin + searched, '\n', left - searched) : NULL;
		int err;

		if (newline) {
			*newline = '\0';
			*ret_line = begin;
			*ret_len = (size_t)(newline - begin);
			replay->pos += *ret_len + 1;
			replay->line++;
			return 1;
		}
		if (left > RECORDING_LINE_MAX)
			return diag_set(&replay->reason, -EBADMSG, "%s:%" PRIu64 ": a line of more than %u bytes",
					replay->file, replay->line + 1, RECORDING_LINE_MAX);
		if (replay->at_eof)
			return 0;
		searched = left;
		err = fill(replay);
		if (err)
			return err;
	}
}

/* Parses the next line. The kind of line; -EPIPE where there is none; or another -errno. All with the reason set. */
static int parse_next(struct replay *replay)
{
	struct diag why = { { 0 } };
	size_t len = 0;
	char *line = NULL;
	int ret;

	ret = next_line(replay, &line, &len);
	if (ret < 0)
		return ret;
	if (!ret)
		return diag_set(&replay->reason, -EPIPE,
				"%s is truncated: it ends after line %" PRIu64 " without an end line", replay->file,
				replay->line);
	ret = replay_parser_line(replay->parser, line, len, &why);
	if (ret < 0)
		return diag_set(&replay->reason, ret, "%s:%" PRIu64 ": %s", replay->file, replay->line, why.text);
	return ret;
}

static void close_source(struct source *source)
{
	struct replay *replay = (struct replay *)source;
	size_t pos = 0;
	void *mm;

	if (!replay)
		return;
	while ((mm = map_next(&replay->mms, &pos, NULL)))
		free(mm);
	map_free(&replay->mms);
	replay_parser_free(replay->parser);
	buf_free(&replay->data);
	if (replay->fd >= 0)
		close(replay->fd);
	free(replay);
}

static int open_source(const struct source_config *config, struct source **ret_source, struct diag *diag)
{
	struct replay *replay = calloc(1, sizeof(*replay));
	int err;

	if (!replay)
		return diag_set(diag, -ENOMEM, "out of memory");
	replay->source.ops = &source_replay;
	replay->file = config->file;
	replay->fd = open(config->file, O_RDONLY | O_CLOEXEC);
	replay->parser = replay_parser_new();
	if (replay->fd < 0)
		err = diag_set(diag, -errno, "%s: %s", config->file, strerror(errno));
	else if (!replay->parser)
		err = diag_set(diag, -ENOMEM, "out of memory");
	else
		err = parse_next(replay);
	if (err < 0) {
		diag_set(diag, err, "%s", replay->reason.text);
		close_source(&replay->source);
		return err;
	}
	*ret_source = &replay->source;
	return 0;
}

/* Keeps the list of open books. 0, -EBADMSG where the event does not fit it, or -ENOMEM. */
static int follow_mm(struct replay *replay, const struct event *event)
{
	struct open_mm *mm;

	if (event->kind == EVENT_MM_CLOSE) {
		mm = map_del(&replay->mms, event->mm);
		if (!mm)
			return -EBADMSG;
		free(mm);
		return 0;
	}
	if (!event->mm || map_get(&replay->mms, event->mm))
		return -EBADMSG;
	mm = malloc(sizeof(*mm));
	if (!mm)
		return -ENOMEM;
	mm->pid = event->pid;
	memcpy(mm->comm, event->comm, sizeof(mm->comm));
	if (map_put(&replay->mms, event->mm, mm)) {
		free(mm);
		return -ENOMEM;
	}
	return 0;
}

static int deliver(struct replay *replay, event_fn fn, void *ctx)
{
	const struct event *event = replay_parser_event(replay->parser);
	int err;

	if (event->kind == EVENT_MM_OPEN || event->kind == EVENT_MM_CLOSE) {
		err = follow_mm(replay, event);
		if (err)
			return diag_set(&replay->reason, err, "%s:%" PRIu64 ": %s", replay->file, replay->line,
					err == -ENOMEM ? "out of memory"
						       : "an mm that is opened twice, or closed without that");
	}
	replay->last_ts_ns = event->ts_ns;
	return fn(ctx, event);
}

static int poll_source(struct source *source, int timeout_ms, event_fn fn, void *ctx)
{
	struct replay *replay = (struct replay *)source;
	char *line;
	size_t len;
	int ret;

	(void)timeout_ms;
	if (replay->ended)
		return -ENODATA;
	for (unsigned int i = 0; i < EVENTS_A_POLL; i++) {
		ret = parse_next(replay);
		if (ret == REPLAY_END) {
			replay->ended = true;
			if (next_line(replay, &line, &len) || replay->pos != replay->data.len)
				return diag_set(&replay->reason, -EBADMSG, "%s:%" PRIu64 ": text after the end line",
						replay->file, replay->line);
			return -ENODATA;
		}
		if (ret == REPLAY_EVENT)
			ret = deliver(replay, fn, ctx);
		if (ret < 0)
			return ret;
	}
	return 1;
}

static int detach(struct source *source, event_fn fn, void *ctx)
{
	struct replay *replay = (struct replay *)source;
	struct event event = { .kind = EVENT_MM_CLOSE, .ts_ns = replay->last_ts_ns };
	size_t pos = 0;
	void *value;
	int err = 0;

	while (!err && (value = map_next(&replay->mms, &pos, &event.mm))) {
		const struct open_mm *mm = value;

		event.pid = event.tid = mm->pid;
		memcpy(event.comm, mm->comm, sizeof(event.comm));
		err = fn(ctx, &event);
	}
	return err;
}

static unsigned int caps_now(const struct source *source)
{
	return replay_header(source)->caps;
}

const struct source_ops source_replay = {
	.name = "replay",
	.help = "a recording",
	.caps = CAP_SYSCALLS | CAP_FAULTS | CAP_KERNEL | CAP_STACKS,
	.selectable = false,
	.probe = probe,
	.open = open_source,
	.poll = poll_source,
	.detach = detach,
	.caps_now = caps_now,
	.reaps_child = false,
	.close = close_source,
};
