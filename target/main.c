/* SPDX-License-Identifier: GPL-2.0-only */
/* target: experiments on memory that is allocated, touched and freed. */
#include "cutoff.h"
#include "mark.h"
#include "options.h"
#include "out.h"
#include "play.h"
#include "print.h"
#include "sequence.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* Static, as all that is large: the stack must not grow during the experiment, and the heap is under test. */
static struct options options;
static struct play script;
static struct out out = { .fd = STDOUT_FILENO };

static uint64_t choose_seed(void)
{
	uint32_t seed; /* short enough to be typed again */
	struct timespec now;

	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) == sizeof(seed))
		return seed;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_nsec ^ (uint64_t)now.tv_sec;
}

/* Called between the steps; what it needs is static and was made resident by the head of the text. */
static void show_blocks(void *ctx, const struct sequence *sequence, const struct block *blocks)
{
	print_text_blocks(ctx, sequence, blocks);
	out_flush(ctx);
}

static int run(void)
{
	struct sequence sequence;
	int status = EXIT_OK;
	int err;

	if (!options.json) {
		print_text_head(&out, &options);
		out_flush(&out);
	}
	err = sequence_run(&options, options.json ? NULL : show_blocks, &out, &sequence);
	if (err == -E2BIG) {
		out_complain("too many blocks: the readings alone would take more than 1 GiB");
		status = EXIT_USAGE;
	} else if (err < 0) {
		out_complain("cannot run the sequence: %s", strerror(-err));
		status = EXIT_FAILED;
	} else {
		if (options.json)
			print_json(&out, &sequence);
		else
			print_text_foot(&out, &sequence);
		status = sequence.nr_failed ? EXIT_FAILED : EXIT_OK;
	}
	sequence_close(&sequence);
	return status;
}

static int cutoff(void)
{
	struct cutoff fresh, after;

	if (cutoff_find(&options, 0, &fresh) < 0 || cutoff_find(&options, options.large_bytes, &after) < 0)
		return EXIT_FAILED;
	cutoff_print(&out, &options, &fresh, &after);
	return EXIT_OK;
}

static int play(void)
{
	int err = play_run(options.allocator, &script);

	if (err < 0)
		out_complain("cannot play: %s", strerror(-err));
	else
		print_play(&out, &options, &script);
	play_close(&script);
	return err < 0 || play_failed(&script) ? EXIT_FAILED : EXIT_OK;
}

static void list(void)
{
	const struct allocator *allocator;

	for (size_t i = 0; (allocator = alloc_by_index(i)); i++)
		out_printf(&out, "%-10s %s\n", allocator->name, allocator->help);
}

/* Sets a parameter of malloc, and leaves a mark with what mallopt returned. */
static void tune(struct tune *tune)
{
	char text[MARK_BYTES / 2];
	struct mark mark = { .len = 0 };

	tune_apply(tune);
	snprintf(text, sizeof(text), "mallopt(%s, %d) = %d", tune->name, tune->value, tune->result);
	mark_make_word(&mark, text);
	mark_send(&mark);
	if (tune->result == 0)
		out_complain("mallopt refused %s=%d", tune->name, tune->value);
}

/* What has to precede the experiment: the allocator's own beginnings and the parameters of malloc. */
static int prepare(void)
{
	int err;

	tune_begin();
	err = options.allocator->init();
	if (err < 0) {
		out_complain("allocator %s: %s", options.allocator->name, strerror(-err));
		return err;
	}
	for (size_t i = 0; i < options.nr_tunes; i++)
		tune(&options.tunes[i]);
	if (!options.has_seed)
		options.seed = choose_seed();
	return 0;
}

static int run_command(void)
{
	switch (options.command) {
	case COMMAND_HELP:
		out_printf(&out, "%s", options_help());
		return EXIT_OK;
	case COMMAND_LIST:
		list();
		return EXIT_OK;
	case COMMAND_RUN:
		return prepare() < 0 ? EXIT_FAILED : run();
	case COMMAND_PLAY:
		if (play_parse(options.steps, options.nr_steps, &script) < 0)
			return EXIT_USAGE;
		return prepare() < 0 ? EXIT_FAILED : play();
	case COMMAND_CUTOFF:
		return prepare() < 0 ? EXIT_FAILED : cutoff();
	}
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	int status, err;

	signal(SIGPIPE, SIG_IGN); /* a reader that went away is a write error like others */
	if (options_parse(argc, argv, &options) < 0)
		return EXIT_USAGE;
	status = run_command();
	err = out_flush(&out);
	if (err < 0) {
		out_complain("cannot write the output: %s", strerror(-err));
		return status ? status : EXIT_FAILED;
	}
	return status;
}
