/* SPDX-License-Identifier: GPL-2.0-only */
#include "options.h"

#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef HEAPTRACE_VERSION
#define HEAPTRACE_VERSION "unknown"
#endif

enum {
	OPT_MIN = 256,
	OPT_STACKS,
	OPT_NO_FOLLOW,
	OPT_NO_SECCOMP,
	OPT_SAMPLE,
	OPT_ROOT,
	OPT_COLOR,
	OPT_RING,
	OPT_VERSION,
	OPT_WEIGHT,
};

#define IN_WATCH  1u
#define IN_REPORT 2u
#define IN_ALL	  (IN_WATCH | IN_REPORT)

static const struct argp_option option_table[] = {
	{ "pid", 'p', "PID[,PID]", 0, "attach to these processes; Ctrl-C or --duration detaches", 1 },
	{ "output", 'o', "FILE", 0, "write to FILE, - for standard output (default: standard error)", 2 },
	{ "format", 'f', "NAME", 0, "see below (default: text)", 2 },
	{ "weight", OPT_WEIGHT, "WHAT", 0, "of folded: virt (default) or rss, the bytes gained, or count", 2 },
	{ "filter", 'e', "EXPR", 0, "rows to show: mmap,munmap,fault,... or !mprotect,...; the books count all", 2 },
	{ "min", OPT_MIN, "BYTES", 0, "hide rows that change less (4k, 1M)", 2 },
	{ "quiet", 'q', NULL, 0, "no timeline, only the closing tables", 2 },
	{ "verbose", 'v', NULL, 0, "say more", 2 },
	{ "color", OPT_COLOR, "WHEN", 0, "auto (default), always, never", 2 },
	{ "source", 's', "NAME", 0, "where events come from: auto (default), or see below", 3 },
	{ "duration", 'd', "SECONDS", 0, "detach after that long", 3 },
	{ "stacks", OPT_STACKS, "MODE", 0, "call chains: auto (default), none, fp, dwarf", 3 },
	{ "no-follow", OPT_NO_FOLLOW, NULL, 0, "do not watch children", 3 },
	{ "no-seccomp", OPT_NO_SECCOMP, NULL, 0, "of ptrace: put no filter on CMD, stop at every call", 3 },
	{ "sample", OPT_SAMPLE, "MS", 0, "read /proc that often, too", 3 },
	{ "ring", OPT_RING, "BYTES", 0, "size of the kernel's event buffer (default 16M, without stacks 8M)", 3 },
	{ "user", 'u', "NAME", 0, "run CMD as this user (default under sudo: the invoking one)", 4 },
	{ "help", 'h', NULL, 0, "print this and end", -1 },
	{ "version", OPT_VERSION, NULL, 0, "print the version and end", -1 },
	{ "root", OPT_ROOT, NULL, 0, "under sudo, run CMD as root", 4 },
	{ NULL, 0, NULL, 0, NULL, 0 },
};

/* Ends the program with one line that says what is wrong. */
static _Noreturn __attribute__((format(printf, 1, 2))) void usage_fail(const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "heaptrace: ");
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, " (heaptrace --help lists everything)\n");
	exit(EXIT_USAGE);
}

/* "4k", "1M", "2G" to bytes; whole numbers only. False where it is none. */
static bool bytes_parse(const char *text, uint64_t *out)
{
	static const char units[] = "kMGT";
	unsigned long long value;
	unsigned int shift = 0;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno)
		return false;
	if (*end) {
		const char *unit = strchr(units, *end == 'K' ? 'k' : *end);

		if (!unit || end[1])
			return false;
		shift = 10 * (unsigned int)(unit - units + 1);
	}
	if (value > (ULLONG_MAX >> 1) >> shift)
		return false;
	*out = value << shift;
	return true;
}

static void pids_parse(struct options *options, const char *text)
{
	for (;;) {
		char *end;
		long pid;
		pid_t *pids;

		errno = 0;
		pid = strtol(text, &end, 10);
		if (end == text || errno || pid <= 0 || pid > INT_MAX || (*end && *end != ','))
			usage_fail("-p takes process numbers, separated by commas: not '%s'", text);
		pids = reallocarray(options->pids, options->pid_count + 1, sizeof(*pids));
		if (!pids)
			usage_fail("out of memory");
		pids[options->pid_count++] = (pid_t)pid;
		options->pids = pids;
		if (!*end)
			return;
		text = end + 1;
	}
}

/* The index of @text in @words, which NULL ends; a mistake ends the program. */
static int word_parse(const char *option, const char *const *words, const char *text)
{
	for (int i = 0; words[i]; i++)
		if (!strcmp(words[i], text))
			return i;
	usage_fail("%s: unknown word '%s'", option, text);
}

static const struct source_ops *source_parse(const char *text)
{
	const struct source_ops *source = source_by_name(text);

	if (!strcmp(text, "auto"))
		return NULL;
	if (!source || !source->selectable)
		usage_fail("-s: no source is called '%s'", text);
	return source;
}

static unsigned int milliseconds_parse(const char *text)
{
	uint64_t value;

	if (!bytes_parse(text, &value) || !value || value > 3600000)
		usage_fail("--sample takes milliseconds from 1 to 3600000: not '%s'", text);
	return (unsigned int)value;
}

static double seconds_parse(const char *text)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !(value > 0) || value > 1e9)
		usage_fail("-d takes seconds, more than 0: not '%s'", text);
	return value;
}

/* What is written, and where to. */
static error_t output_option_parse(int key, char *arg, struct options *options)
{
	static const char *const colors[] = { "auto", "always", "never", NULL };
	static const char *const weights[] = { "virt", "rss", "count", NULL };
	struct diag diag = { "" };

	switch (key) {
	case 'o':
		options->output = arg;
		return 0;
	case 'f':
		options->format = report_by_name(arg);
		if (!options->format)
			usage_fail("-f: no format is called '%s'", arg);
		return 0;
	case 'e':
		if (filter_parse(&options->filter, arg, &diag))
			usage_fail("%s", diag.text);
		return 0;
	case OPT_MIN:
		if (!bytes_parse(arg, &options->filter.min_bytes))
			usage_fail("--min takes bytes, as 4096, 4k or 1M: not '%s'", arg);
		return 0;
	case OPT_WEIGHT:
		options->weight = (enum report_weight)word_parse("--weight", weights, arg);
		return 0;
	case OPT_COLOR:
		options->color = word_parse("--color", colors, arg);
		return 0;
	case 'q':
		options->quiet = true;
		return 0;
	case 'v':
		options->verbose++;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* What is watched, and how. */
static error_t watch_option_parse(int key, char *arg, struct options *options)
{
	static const char *const stacks[] = { "auto", "none", "fp", "dwarf", NULL };

	switch (key) {
	case 'p':
		pids_parse(options, arg);
		return 0;
	case 's':
		options->source = source_parse(arg);
		return 0;
	case 'd':
		options->duration_s = seconds_parse(arg);
		return 0;
	case OPT_RING:
		if (!bytes_parse(arg, &options->ring_bytes) || options->ring_bytes > 1u << 30)
			usage_fail("--ring takes bytes up to 1G, as 64k or 16M: not '%s'", arg);
		return 0;
	case OPT_STACKS:
		options->stacks = (enum stacks_mode)word_parse("--stacks", stacks, arg);
		return 0;
	case OPT_NO_FOLLOW:
		options->follow = false;
		return 0;
	case OPT_NO_SECCOMP:
		options->no_seccomp = true;
		return 0;
	case OPT_SAMPLE:
		options->sample_ms = milliseconds_parse(arg);
		return 0;
	case 'u':
		options->user = arg;
		return 0;
	case OPT_ROOT:
		options->keep_root = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t option_parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->err_stream = NULL; /* getopt has said what is wrong; one line is enough */
		return 0;
	case 'h':
		argp_state_help(state, stdout, ARGP_HELP_STD_HELP);
		return 0;
	case OPT_VERSION:
		printf("heaptrace %s\n", HEAPTRACE_VERSION);
		exit(fflush(stdout) ? EXIT_FAILED : 0);
	default:
		break;
	}
	if (!output_option_parse(key, arg, options))
		return 0;
	return watch_option_parse(key, arg, options);
}

/* The lists of formats and sources follow the options in --help. */
static char *help_filter(int key, const char *text, void *input)
{
	char *out = NULL;
	size_t len;
	FILE *stream;

	(void)input;
	if (key != ARGP_KEY_HELP_POST_DOC)
		return (char *)text;
	stream = open_memstream(&out, &len);
	if (!stream)
		return NULL;
	fprintf(stream, "Formats:\n");
	for (unsigned int i = 0; report_at(i); i++)
		fprintf(stream, "  %-12s %s\n", report_at(i)->name, report_at(i)->help);
	fprintf(stream, "\nSources:\n");
	for (unsigned int i = 0; source_at(i); i++)
		if (source_at(i)->selectable)
			fprintf(stream, "  %-12s %s\n", source_at(i)->name, source_at(i)->help);
	fprintf(stream,
		"\nExit status: that of CMD (128+N for signal N); 0 after an attach; 125 where heaptrace "
		"failed, 126 where CMD cannot be run, 127 where it is not found, 2 for a wrong command line.\n");
	if (fclose(stream))
		return NULL;
	return out;
}

static const char *const usage_lines = "-- CMD [ARG...]\n-p PID[,PID...]\nreport FILE\ndoctor";

static const struct argp argp = {
	.options = option_table,
	.parser = option_parse,
	.args_doc = usage_lines,
	.doc = "Says which syscall, fault or kernel actor changed the memory of a process, to the page.\v ",
	.help_filter = help_filter,
};

/* A command that is given without -- must not have the name of one of heaptrace's own, be it one that is yet to come: a slip
 * would run some program instead. @before: the argument ahead of it. */
static void name_judge(const char *name, const char *before)
{
	static const char *const now[] = { "report", "doctor" };
	static const char *const later[] = { "explain", "top", "diff" };

	if (!strcmp(before, "--"))
		return;
	for (size_t i = 0; i < sizeof(now) / sizeof(*now); i++)
		if (!strcmp(name, now[i]))
			usage_fail("%s goes before all options; heaptrace -- %s runs the program of that name", name,
				   name);
	for (size_t i = 0; i < sizeof(later) / sizeof(*later); i++)
		if (!strcmp(name, later[i]))
			usage_fail("there is no %s yet; heaptrace -- %s runs the program of that name", name, name);
}

/* Refuses combinations that have no meaning. */
static void options_judge(struct options *options, int rest, int argc, char **argv)
{
	if (options->command == COMMAND_DOCTOR) {
		if (rest < argc)
			usage_fail("doctor takes no argument");
		return;
	}
	if (options->command == COMMAND_REPORT) {
		if (argc - rest != 1)
			usage_fail("report takes one recording");
		if (options->pid_count)
			usage_fail("report takes a file, not -p");
		options->file = argv[rest];
		return;
	}
	if (rest < argc)
		name_judge(argv[rest], argv[rest - 1]);
	if (rest < argc && options->pid_count)
		usage_fail("either -p or a command, not both");
	if (rest == argc && !options->pid_count)
		usage_fail("nothing to watch: give a command behind --, or -p PID");
	if (options->user && options->keep_root)
		usage_fail("either --user or --root, not both");
	if (rest < argc)
		options->cmd = argv + rest;
}

static enum command command_of(const char *word)
{
	if (word && !strcmp(word, "report"))
		return COMMAND_REPORT;
	if (word && !strcmp(word, "doctor"))
		return COMMAND_DOCTOR;
	return COMMAND_WATCH;
}

void options_parse(int argc, char **argv, struct options *out)
{
	int skip, rest = 0;

	*out = (struct options){ .follow = true, .format = &report_text };
	argp_err_exit_status = EXIT_USAGE;
	out->command = command_of(argc > 1 ? argv[1] : NULL);
	skip = out->command != COMMAND_WATCH;
	argv[skip] = (char *)"heaptrace"; /* begins what getopt says */
	/* In order, so that CMD's own options stay its own. */
	if (argp_parse(&argp, argc - skip, argv + skip, ARGP_IN_ORDER | ARGP_NO_ARGS | ARGP_NO_HELP, &rest, out))
		exit(EXIT_USAGE);
	options_judge(out, rest + skip, argc, argv);
}

void options_free(struct options *options)
{
	free(options->pids);
	filter_free(&options->filter);
}
