/* SPDX-License-Identifier: GPL-2.0-only */
#include "playback.h"

#include "sink.h"
#include "source/replay.h"

#include <errno.h>
#include <string.h>

static void header_write(struct sink *sink, const struct replay_header *replay)
{
	struct record_header header = {
		.version = replay->version,
		.source = replay->source,
		.why = replay->why,
		.caps = replay->caps,
		.page_size = replay->page_size,
		.cmd = replay->cmd,
		.start_ns = replay->start_ns,
		.start_realtime_ns = replay->start_realtime_ns,
	};

	sink_header(sink, &header);
}

/* Delivers the whole recording. 0, or -errno with @diag; the books are closed in any case. */
static int events_play(struct source *source, struct sink *sink, struct diag *diag)
{
	struct record_end end = { 0 };
	const struct replay_end *replayed;
	int got;

	header_write(sink, replay_header(source));
	do
		got = source_replay.poll(source, 0, sink_event, sink);
	while (got >= 0);
	replayed = replay_end(source);
	if (replayed) {
		end = (struct record_end){ .ts_ns = replayed->ts_ns,
					   .exit_known = replayed->exit_known,
					   .code = replayed->code,
					   .signal = replayed->signal };
	} else {
		diag_set(diag, got, "%s", replay_reason(source) ? replay_reason(source) : strerror(-got));
		source_replay.detach(source, sink_event, sink);
	}
	sink_end(sink, &end);
	return got == -ENODATA ? 0 : got;
}

int playback_run(const struct options *options)
{
	struct source_config config = { .file = options->file };
	struct launch_user nobody = { 0 };
	struct source *source = NULL;
	struct sink *sink = NULL;
	struct diag diag = { "" };
	int err = source_replay.open(&config, &source, &diag);

	if (!err)
		err = launch_find_user(NULL, false, &nobody, &diag);
	if (!err)
		err = sink_open(options, &nobody, &sink, &diag);
	if (!err)
		err = events_play(source, sink, &diag);
	if (source)
		source_replay.close(source);
	if (sink_close(sink, &diag) || err) {
		fprintf(stderr, "heaptrace: %s\n", diag.text);
		return EXIT_FAILED;
	}
	return 0;
}
