/* SPDX-License-Identifier: GPL-2.0-only */
#include "session.h"

#include "base/clock.h"

#include "event/event_queue.h"
#include "launch.h"
#include "privileges.h"
#include "reader.h"
#include "sink.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef HEAPTRACE_VERSION
#define HEAPTRACE_VERSION "unknown"
#endif

/* How long the report may wait for events before what is written is shown. */
#define TAKE_MS	    100
#define FLUSH_NS    200000000ull
#define QUEUE_BYTES (6u << 20)

struct session {
	const struct options *options;
	struct launch_user user;
	struct launch launch;
	struct source *source;
	const struct source_ops *ops;
	struct sink *sink;
	struct event_queue *queue;
	struct diag diag;     /* of what failed */
	struct diag fallback; /* why auto did not take the first source */
	uint64_t start_ns, next_flush_ns;
	bool header_written, has_remarked;
	bool exit_known;
	int exit_code, exit_signal;
};

static void header_write(struct session *session)
{
	struct record_header header = {
		.version = HEAPTRACE_VERSION,
		.source = session->ops->name,
		.why = session->fallback.text[0] ? session->fallback.text : NULL,
		.caps = session->ops->caps_now(session->source),
		.page_size = (uint64_t)sysconf(_SC_PAGESIZE),
		.cmd = session->options->cmd,
		.start_ns = session->start_ns,
		.start_realtime_ns = clock_ns(CLOCK_REALTIME) - (clock_ns(CLOCK_MONOTONIC) - session->start_ns),
	};

	session->header_written = true;
	sink_header(session->sink, &header);
}

static int on_event(void *ctx, const struct event *event)
{
	struct session *session = ctx;

	if (event->kind == EVENT_PROC_EXIT && event->pid == session->launch.pid) {
		session->exit_known = true;
		session->exit_code = event->proc_exit.code;
		session->exit_signal = event->proc_exit.signal;
	}
	/* A command that could not be run leaves an empty output, not one that looks whole. */
	if (!session->header_written) {
		if (event->kind == EVENT_PROC_EXIT)
			return 0;
		header_write(session);
	}
	return sink_event(session->sink, event);
}

static enum source_stacks stacks_of(enum stacks_mode mode)
{
	switch (mode) {
	case STACKS_NONE:
		return SOURCE_STACKS_NONE;
	case STACKS_FP:
		return SOURCE_STACKS_FP;
	case STACKS_DWARF:
		return SOURCE_STACKS_DWARF;
	case STACKS_AUTO:
		break;
	}
	return SOURCE_STACKS_AUTO;
}

static int source_try(struct session *session, const struct source_ops *ops, struct diag *diag)
{
	const struct options *options = session->options;
	struct source_config config = {
		.pids = options->pids,
		.pid_count = options->pid_count,
		.child = session->launch.pid,
		.follow = options->follow,
		.no_seccomp = options->no_seccomp,
		.stacks = stacks_of(options->stacks),
		.program = options->cmd ? options->cmd[0] : NULL,
		.ring_bytes = options->ring_bytes,
		.rough_times = !options->format->row_times || (options->quiet && options->format->quiet_hides_rows),
	};
	int err = ops->probe ? ops->probe(diag) : 0;

	if (!err)
		err = ops->open(&config, &session->source, diag);
	if (!err)
		session->ops = ops;
	return err;
}

/* Opens the source that was asked for, or the first that works. */
static int source_open(struct session *session)
{
	const struct source_ops *ops = session->options->source;
	int err = -ENOTSUP;

	if (ops)
		return source_try(session, ops, &session->diag);
	for (unsigned int i = 0; (ops = source_at(i)); i++) {
		struct diag diag = { "" };

		if (!ops->selectable)
			continue;
		err = source_try(session, ops, &diag);
		if (!err) {
			session->diag.text[0] = '\0';
			return 0;
		}
		/* The last reason says why nothing works, the first why the best source was not taken. */
		session->diag = diag;
		if (!session->fallback.text[0])
			session->fallback = diag;
	}
	return err;
}

/* Shows what is there: when nothing happens, and now and then while something does. */
static void flush_when_due(struct session *session, bool idle)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);

	if (!idle && now < session->next_flush_ns)
		return;
	session->next_flush_ns = now + FLUSH_NS;
	sink_flush(session->sink);
}

static void remark_show(struct session *session)
{
	const char *remark = session->ops->remark ? session->ops->remark(session->source) : NULL;

	if (!remark || session->has_remarked)
		return;
	fprintf(stderr, "heaptrace: %s\n", remark);
	session->has_remarked = true;
}

/* Takes what is read until it ends. 0 or -errno; @ret_stopped says whether we were asked to let go before. */
static int events_take(struct session *session, bool *ret_stopped)
{
	struct reader_config config = {
		.options = session->options,
		.source = session->source,
		.queue = session->queue,
		.child = session->launch.pid,
		.start_ns = session->start_ns,
	};
	struct reader *reader;
	int got, err = reader_start(&config, &reader), result = 0;

	if (err)
		return err;
	do {
		got = event_queue_take(session->queue, TAKE_MS, on_event, session, &result);
		flush_when_due(session, !got);
		remark_show(session);
	} while (got >= 0);
	event_queue_abandon(session->queue);
	*ret_stopped = reader_join(reader);
	return got == -ENODATA ? result : got;
}

static void child_status_take(struct session *session, bool wait)
{
	if (session->launch.pid <= 0 || session->ops->reaps_child || !launch_reap(&session->launch, wait))
		return;
	session->exit_known = true;
	session->exit_signal = WIFSIGNALED(session->launch.status) ? WTERMSIG(session->launch.status) : 0;
	session->exit_code = session->exit_signal ? 0 : WEXITSTATUS(session->launch.status);
}

static void end_write(struct session *session)
{
	struct record_end end = { .ts_ns = clock_ns(CLOCK_MONOTONIC),
				  .exit_known = session->exit_known,
				  .code = session->exit_code,
				  .signal = session->exit_signal };

	if (!session->header_written)
		header_write(session);
	sink_end(session->sink, &end);
}

/* What the command's exec came to, as an exit status; 0 where it runs or has run. */
static int exec_failed(struct session *session)
{
	int err = session->launch.pid > 0 ? launch_outcome(&session->launch) : 0;

	if (!err || err == -EAGAIN)
		return 0;
	if (err == -ENOENT) {
		diag_set(&session->diag, err, "no command '%s': check its name and PATH", session->options->cmd[0]);
		return EXIT_NOT_FOUND;
	}
	diag_set(&session->diag, err, "cannot run '%s': %s", session->options->cmd[0], strerror(-err));
	return EXIT_CANNOT_RUN;
}

static int exit_status(const struct session *session)
{
	if (!session->exit_known)
		return 0;
	return session->exit_signal ? 128 + session->exit_signal : session->exit_code;
}

/* Watches, writes and closes the books. Returns the exit status. */
static int session_watch(struct session *session)
{
	bool stopped = false;
	int err, status;

	if (session->fallback.text[0] && session->options->output && !session->options->quiet)
		fprintf(stderr, "heaptrace: the %s source is used: %s\n", session->ops->name, session->fallback.text);
	if (session->launch.pid > 0) {
		err = launch_release(&session->launch, session->source->in_child);
		if (err)
			return EXIT_FAILED;
	}
	err = events_take(session, &stopped);
	child_status_take(session, !err && !stopped);
	status = exec_failed(session);
	if (status)
		return status;
	if (err) {
		diag_set(&session->diag, err, "the %s source failed: %s", session->ops->name, strerror(-err));
		return EXIT_FAILED;
	}
	end_write(session);
	return exit_status(session);
}

static int session_start(struct session *session)
{
	const struct options *options = session->options;
	int err = launch_find_user(options->user, options->keep_root, &session->user, &session->diag);

	if (!err)
		err = sink_open(options, &session->user, &session->sink, &session->diag);
	if (!err && options->stacks != STACKS_NONE) {
		int names = sink_find_names(session->sink);

		if (names)
			fprintf(stderr, "heaptrace: call chains will have no names: %s\n", strerror(-names));
	}
	if (!err) {
		session->queue = event_queue_new(QUEUE_BYTES);
		err = session->queue ? 0 : diag_set(&session->diag, -errno, "cannot make a queue: %s", strerror(errno));
	}
	if (!err && options->cmd)
		err = launch_hold(options->cmd, &session->user, &session->launch, &session->diag);
	if (!err)
		err = source_open(session);
	if (!err && privileges_drop())
		err = diag_set(&session->diag, -EPERM, "cannot give up the capabilities that are not needed");
	session->start_ns = clock_ns(CLOCK_MONOTONIC);
	return err;
}

int session_run(const struct options *options)
{
	struct session session = { .options = options };
	int status = EXIT_FAILED;

	reader_catch_signals();
	if (!session_start(&session))
		status = session_watch(&session);
	launch_abandon(&session.launch);
	if (session.ops)
		session.ops->close(session.source);
	event_queue_free(session.queue);
	if (sink_close(session.sink, &session.diag))
		status = EXIT_FAILED;
	if (session.diag.text[0] && status)
		fprintf(stderr, "heaptrace: %s\n", session.diag.text);
	return status;
}
