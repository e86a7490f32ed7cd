/* SPDX-License-Identifier: GPL-2.0-only */
#include "sink.h"

#include "model/model.h"
#include "output.h"

#include <errno.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Given by name: for NULL the C library takes what it takes anyway, a page. It outlives the sink, as standard error does. */
static char stream_buffer[64u << 10];

struct sink {
	const struct options *options;
	struct model *model;
	void *report;
	FILE *stream;
	struct event named; /* the last row whose chain has been given names */
	int error;	    /* the first; nothing is written after it */
};

static int record_write(struct sink *sink, const struct record *record)
{
	if (!sink->error)
		sink->error = sink->options->format->write(sink->report, record);
	return 0;
}

/* Whether the names of the call chain of a row are wanted: looking them up costs, and many rows are not shown. */
static bool wants_names(const struct sink *sink, const struct record *record)
{
	const struct report_ops *format = sink->options->format;

	if (record->event->kind != EVENT_CHANGE || !record->event->change.stack_len)
		return false;
	return format->all_rows || (!record->hidden && !(format->quiet_hides_rows && sink->options->quiet));
}

static int on_record(void *ctx, struct record *record)
{
	struct sink *sink = ctx;
	int err;

	if (record->kind == RECORD_EVENT) {
		record->hidden = !filter_shows(&sink->options->filter, record->event);
		if (wants_names(sink, record)) {
			err = model_name(sink->model, record->event, &sink->named);
			if (err)
				return err;
			record->event = &sink->named;
		}
	}
	return record_write(sink, record);
}

static struct report_options report_options(const struct options *options, FILE *stream)
{
	struct report_options report = {
		.out = stream,
		.quiet = options->quiet,
		.verbose = options->verbose,
		.weight = options->weight,
	};
	bool terminal = isatty(fileno(stream));
	const char *term = getenv("TERM");
	struct winsize size = { 0 };

	report.color = options->color == COLOR_ALWAYS || (options->color == COLOR_AUTO && terminal &&
							  !getenv("NO_COLOR") && term && strcmp(term, "dumb") != 0);
	if (terminal && !ioctl(fileno(stream), TIOCGWINSZ, &size))
		report.columns = size.ws_col;
	return report;
}

int sink_open(const struct options *options, const struct launch_user *user, struct sink **ret_sink, struct diag *diag)
{
	struct sink *sink = calloc(1, sizeof(*sink));
	struct report_options report;
	int err;

	if (!sink)
		return diag_set(diag, -ENOMEM, "out of memory");
	sink->options = options;
	err = output_open(options->output, user->change ? user->uid : geteuid(), user->change ? user->gid : getegid(),
			  &sink->stream, diag);
	if (err)
		goto out;
	setvbuf(sink->stream, stream_buffer, _IOFBF, sizeof(stream_buffer));
	__fsetlocking(sink->stream, FSETLOCKING_BYCALLER); /* one thread writes */
	report = report_options(options, sink->stream);
	sink->report = options->format->open(&report);
	sink->model = model_new(on_record, sink);
	if (!sink->report || !sink->model) {
		err = diag_set(diag, -ENOMEM, "out of memory");
		goto out;
	}
	*ret_sink = sink;
	sink = NULL;
out:
	sink_close(sink, NULL);
	return err;
}

int sink_find_names(struct sink *sink)
{
	struct sym_client *client = NULL;
	int err = sym_client_open(&client);
	struct names *names = names_new(client);

	if (!names)
		return -ENOMEM;
	model_set_names(sink->model, names);
	return err;
}

void sink_header(struct sink *sink, const struct record_header *header)
{
	struct record record = { .kind = RECORD_HEADER, .header = header };

	record_write(sink, &record);
}

int sink_event(void *sink, const struct event *event)
{
	return model_feed(((struct sink *)sink)->model, event);
}

void sink_flush(struct sink *sink)
{
	if (fflush(sink->stream) && !sink->error)
		sink->error = -errno;
}

void sink_end(struct sink *sink, struct record_end *end)
{
	struct record record = { .kind = RECORD_END, .end = end };

	model_count(sink->model, end);
	record_write(sink, &record);
}

int sink_close(struct sink *sink, struct diag *diag)
{
	const char *path;
	int err, closed = 0;

	if (!sink)
		return 0;
	if (sink->report)
		sink->options->format->close(sink->report);
	model_free(sink->model);
	if (sink->stream)
		closed = output_close(sink->stream);
	err = sink->error ? sink->error : closed;
	path = sink->options->output ? sink->options->output : "standard error";
	if (err)
		diag_set(diag, err, "cannot write the report to '%s': %s: what is there is not complete", path,
			 strerror(-err));
	free(sink);
	return err;
}
