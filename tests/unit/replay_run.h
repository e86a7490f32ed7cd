/* SPDX-License-Identifier: GPL-2.0-only */
/* replay_run: a recording through model and report, for tests. */
#ifndef HEAPTRACE_TEST_REPLAY_RUN_H
#define HEAPTRACE_TEST_REPLAY_RUN_H

#include "model/model.h"
#include "report/report.h"
#include "source/replay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct replay_run {
	const struct report_ops *ops;
	void *report;
	struct model *model;
};

static inline int replay_run_record(void *ctx, struct record *record)
{
	struct replay_run *run = ctx;

	return run->ops->write(run->report, record);
}

static inline int replay_run_event(void *ctx, const struct event *event)
{
	struct replay_run *run = ctx;

	return model_feed(run->model, event);
}

static inline int replay_run_header(struct replay_run *run, const struct source *source)
{
	const struct replay_header *from = replay_header(source);
	const struct record_header header = {
		.version = from->version,
		.source = from->source,
		.why = from->why,
		.caps = from->caps,
		.page_size = from->page_size,
		.cmd = from->cmd,
		.start_ns = from->start_ns,
		.start_realtime_ns = from->start_realtime_ns,
	};
	const struct record record = { .kind = RECORD_HEADER, .header = &header };

	return run->ops->write(run->report, &record);
}

static inline int replay_run_end(struct replay_run *run, const struct source *source)
{
	const struct replay_end *from = replay_end(source);
	struct record_end end = { 0 };
	const struct record record = { .kind = RECORD_END, .end = &end };

	if (from) {
		end.ts_ns = from->ts_ns;
		end.exit_known = from->exit_known;
		end.code = from->code;
		end.signal = from->signal;
	}
	model_count(run->model, &end);
	return run->ops->write(run->report, &record);
}

/* Writes the recording @file as format @ops with @options. What poll said in the end (-ENODATA where all is well), or the
 * error of another step; the reason, if there is one, in @diag. A broken recording is closed by detach. */
static inline int replay_run(const char *file, const struct report_ops *ops, const struct report_options *options,
			     struct diag *diag)
{
	const struct source_config config = { .file = file };
	struct source *source = NULL;
	struct replay_run run = { .ops = ops };
	int err, said = 0;

	run.report = ops->open(options);
	run.model = model_new(replay_run_record, &run);
	err = run.report && run.model ? source_replay.open(&config, &source, diag) : -ENOMEM;
	if (!err)
		err = replay_run_header(&run, source);
	while (!err && said >= 0)
		said = source_replay.poll(source, 0, replay_run_event, &run);
	if (!err && said != -ENODATA && replay_reason(source)) {
		diag_set(diag, 0, "%s", replay_reason(source));
		err = source_replay.detach(source, replay_run_event, &run);
	}
	if (!err)
		err = replay_run_end(&run, source);
	source_replay.close(source);
	model_free(run.model);
	ops->close(run.report);
	return err ? err : said;
}

/* Reads a whole stream or file into a string that the caller frees; NULL on failure. */
static inline char *replay_run_slurp(const char *path)
{
	FILE *file = fopen(path, "r");
	char *text = NULL;
	size_t len = 0;
	FILE *to;
	int c;

	if (!file)
		return NULL;
	to = open_memstream(&text, &len);
	while (to && (c = getc(file)) != EOF)
		putc(c, to);
	if (to)
		fclose(to);
	fclose(file);
	return text;
}

/* The same as replay_run() into a string that the caller frees; *@ret_said is what replay_run() returned. */
static inline char *replay_run_text(const char *file, const char *format, struct report_options options, int *ret_said,
				    struct diag *diag)
{
	char *text = NULL;
	size_t len = 0;

	options.out = open_memstream(&text, &len);
	if (!options.out)
		return NULL;
	*ret_said = replay_run(file, report_by_name(format), &options, diag);
	fclose(options.out);
	return text;
}

#endif
