/* SPDX-License-Identifier: GPL-2.0-only */
#include "reader.h"

#include "base/clock.h"

#include "codefile.h"
#include "source/proc.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define POLL_MS 100

struct reader {
	struct reader_config config;
	struct proc_sampler *sampler; /* NULL: none is wanted */
	uint64_t next_sample_ns;
	pthread_t thread;
};

/* Counted by the handlers: how often we were asked to stop. A terminal's Ctrl-C reaches CMD by itself. */
static volatile sig_atomic_t stops_asked;
static volatile sig_atomic_t forward_signal;

static const int stop_signals[] = { SIGINT, SIGTERM, SIGHUP };

#define STOP_SIGNALS (sizeof(stop_signals) / sizeof(*stop_signals))

static void on_stop(int signal, siginfo_t *info, void *context)
{
	(void)context;
	stops_asked = stops_asked + 1;
	if (info->si_code != SI_KERNEL)
		forward_signal = signal;
}

static void on_child(int signal)
{
	(void)signal; /* it only ends a sleep early */
}

void reader_catch_signals(void)
{
	struct sigaction action = { .sa_sigaction = on_stop, .sa_flags = SA_SIGINFO };

	for (size_t i = 0; i < STOP_SIGNALS; i++)
		sigaction(stop_signals[i], &action, NULL);
	action = (struct sigaction){ .sa_handler = on_child, .sa_flags = SA_NOCLDSTOP };
	sigaction(SIGCHLD, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
}

/* Puts @event into the queue, with the file that names are to be read from. */
static int event_put(struct reader *reader, const struct event *event)
{
	int fd = reader->config.options->stacks == STACKS_NONE ? -1 : codefile_open(event), err;
	struct event with_file;

	if (fd < 0)
		return event_queue_put(reader->config.queue, event);
	with_file = *event;
	with_file.code_fd = &fd;
	err = event_queue_put(reader->config.queue, &with_file);
	close(fd);
	return err;
}

static int on_event(void *ctx, const struct event *event)
{
	struct reader *reader = ctx;
	int err = reader->sampler ? proc_sampler_note(reader->sampler, event) : 0;

	return err ? err : event_put(reader, event);
}

static int sample_when_due(struct reader *reader)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);

	if (!reader->sampler || now < reader->next_sample_ns)
		return 0;
	reader->next_sample_ns = now + reader->config.options->sample_ms * 1000000ull;
	return proc_sampler_tick(reader->sampler, on_event, reader);
}

/* Whether to let go now: asked to (twice where a command runs, as the first is its own affair), or time is up. */
static bool time_to_stop(const struct reader *reader)
{
	double limit = reader->config.options->duration_s;

	if (stops_asked > (reader->config.child > 0 ? 1 : 0))
		return true;
	return limit > 0 && (double)(clock_ns(CLOCK_MONOTONIC) - reader->config.start_ns) >= limit * 1e9;
}

static int poll_timeout_ms(const struct reader *reader)
{
	int timeout = POLL_MS;

	if (reader->sampler && (int)reader->config.options->sample_ms < timeout)
		timeout = (int)reader->config.options->sample_ms;
	return timeout;
}

/* Reads until nothing watched is left or we are to let go. 0 or -errno. */
static int read_all(struct reader *reader)
{
	struct source *source = reader->config.source;
	int got, err;

	for (;;) {
		if (time_to_stop(reader))
			return source->ops->detach(source, on_event, reader);
		if (forward_signal && reader->config.child > 0) {
			kill(reader->config.child, forward_signal);
			forward_signal = 0;
		}
		got = source->ops->poll(source, poll_timeout_ms(reader), on_event, reader);
		if (got < 0)
			return got == -ENODATA ? 0 : got;
		err = sample_when_due(reader);
		if (err)
			return err;
		event_queue_flush(reader->config.queue);
	}
}

static void *reader_run(void *ctx)
{
	struct reader *reader = ctx;

	event_queue_end(reader->config.queue, read_all(reader));
	return NULL;
}

/* Begins the thread, with the signals that the caller's thread is not to be disturbed by from then on. */
static int thread_start(struct reader *reader)
{
	sigset_t signals;
	int err;

	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	for (size_t i = 0; i < STOP_SIGNALS; i++)
		sigaddset(&signals, stop_signals[i]);
	err = pthread_create(&reader->thread, NULL, reader_run, reader);
	if (!err)
		pthread_sigmask(SIG_BLOCK, &signals, NULL);
	return -err;
}

int reader_start(const struct reader_config *config, struct reader **ret_reader)
{
	struct reader *reader = calloc(1, sizeof(*reader));
	int err = 0;

	if (!reader)
		return -ENOMEM;
	reader->config = *config;
	if (config->options->sample_ms) {
		reader->sampler = proc_sampler_new();
		err = reader->sampler ? 0 : -ENOMEM;
	}
	if (!err)
		err = thread_start(reader);
	if (err) {
		proc_sampler_free(reader->sampler);
		free(reader);
		return err;
	}
	*ret_reader = reader;
	return 0;
}

bool reader_join(struct reader *reader)
{
	bool stopped;

	if (!reader)
		return false;
	pthread_join(reader->thread, NULL);
	stopped = time_to_stop(reader);
	proc_sampler_free(reader->sampler);
	free(reader);
	return stopped;
}
