/* SPDX-License-Identifier: GPL-2.0-only */
#include "options.h"

#include "out.h"
#include "parse.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>

/* 1024 to 1024^3 elements of two bytes. */
static const size_t default_sizes[] = {
	2048, 20480, 204800, 2097152, 20971520, 209715200, 2147483648,
};

enum {
	OPT_ALLOC = 256,
	OPT_SIZES,
	OPT_ORDER,
	OPT_SEED,
	OPT_ROUNDS,
	OPT_KEEP,
	OPT_TOUCH,
	OPT_THREADS,
	OPT_MALLOPT,
	OPT_TRIM,
	OPT_JSON,
	OPT_LIST,
	OPT_LARGE,
	OPT_MAX,
	OPT_HELP = 'h'
};

/* getopt_long and not argp_parse, which allocates its parser from the heap under test. */
static const struct option table[] = {
	{ "alloc", required_argument, NULL, OPT_ALLOC },
	{ "sizes", required_argument, NULL, OPT_SIZES },
	{ "order", required_argument, NULL, OPT_ORDER },
	{ "seed", required_argument, NULL, OPT_SEED },
	{ "rounds", required_argument, NULL, OPT_ROUNDS },
	{ "keep", required_argument, NULL, OPT_KEEP },
	{ "touch", required_argument, NULL, OPT_TOUCH },
	{ "threads", required_argument, NULL, OPT_THREADS },
	{ "mallopt", required_argument, NULL, OPT_MALLOPT },
	{ "trim", no_argument, NULL, OPT_TRIM },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "list", no_argument, NULL, OPT_LIST },
	{ "large", required_argument, NULL, OPT_LARGE },
	{ "max", required_argument, NULL, OPT_MAX },
	{ "help", no_argument, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 },
};

static const char help[] =
	"Usage: target [OPTIONS]           allocate, touch and free blocks; show VIRT and RSS at each step\n"
	"       target cutoff [OPTIONS]    find the size from which free gives memory back\n"
	"       target play STEP...        play a script of steps on groups of blocks\n"
	"       target --list              list the allocators\n"
	"\n"
	"Each step leaves a mark (a write to descriptor -1 that fails) for an observer such as heaptrace.\n"
	"\n"
	"  --alloc NAME             allocator (default malloc)\n"
	"  --sizes LIST             bytes, with k, M, G, T (default 2k,20k,200k,2M,20M,200M,2G:\n"
	"                           1024 to 1024^3 elements of 2 bytes)\n"
	"  --order ORDER            shuffled (default), ascending, descending, given\n"
	"  --seed N                 of the shuffle (default: chosen, and printed)\n"
	"  --rounds N               repeat the whole (default 1)\n"
	"  --keep K                 keep every K-th block alive\n"
	"  --touch all|none|FRACTION  how much of each block is written to, from its start (default all)\n"
	"  --threads N              that many threads, in step with each other (default 1)\n"
	"  --mallopt NAME=VALUE     call mallopt(3) first; may be repeated. NAME: mmap_threshold,\n"
	"                           trim_threshold, top_pad, mmap_max, mxfast, arena_max, arena_test,\n"
	"                           perturb, check_action\n"
	"  --trim                   malloc_trim(0) after each free\n"
	"  --json                   print one JSON document\n"
	"  --list                   list the allocators\n"
	"  --large SIZE             cutoff: size of the block freed before the second search (default 20M)\n"
	"  --max SIZE               cutoff: the largest size tried (default 256M)\n"
	"  -h, --help               this help\n"
	"\n"
	"Steps of play, each one argument, a reading and a mark after each; --alloc, --mallopt and --json hold:\n"
	"  'alloc NAME COUNT SIZE'  as many blocks, each written to from end to end\n"
	"  'free NAME'              all blocks of that group\n"
	"  'free NAME but K'        all but every K-th\n"
	"  trim                     malloc_trim(0)\n"
	"  'sleep MS'               do nothing for so many milliseconds\n"
	"  'await SIZE SECONDS'     do nothing until RSS has fallen by SIZE, for at most so long\n"
	"  thread                   a second thread takes the further steps\n"
	"\n"
	"Exit status: 0; 1 where an allocation failed or output could not be written; 2 for wrong usage.\n";

const char *options_help(void)
{
	return help;
}

static const char *option_name(int opt)
{
	for (size_t i = 0; table[i].name; i++)
		if (table[i].val == opt)
			return table[i].name;
	return "?";
}

/* Complains of the value of option @opt. Always -EINVAL. */
static int bad_value(int opt, const char *value, const char *expected)
{
	out_complain("--%s: '%s': %s", option_name(opt), value, expected);
	return -EINVAL;
}

static int parse_sizes(int opt, const char *value, struct options *out)
{
	int count = parse_size_list(value, out->sizes, OPTIONS_SIZES_MAX);

	if (count == -E2BIG)
		return bad_value(opt, "...", "more sizes than 4096");
	if (count == -ERANGE)
		return bad_value(opt, value, "a size is out of range");
	if (count < 0)
		return bad_value(opt, value, "expected sizes such as 2048,200k,2M,1G");
	out->nr_sizes = (size_t)count;
	out->default_sizes = false;
	return 0;
}

/* A count from @min to @max. */
static int parse_count(int opt, const char *value, unsigned int min, unsigned int max, unsigned int *out)
{
	uint64_t count;

	if (parse_u64(value, &count) < 0)
		return bad_value(opt, value, "expected a number");
	if (count < min || count > max) {
		out_complain("--%s: '%s': expected a number from %u to %u", option_name(opt), value, min, max);
		return -EINVAL;
	}
	*out = (unsigned int)count;
	return 0;
}

static int parse_bytes(int opt, const char *value, size_t *out)
{
	size_t bytes;

	if (parse_size(value, &bytes) < 0 || bytes == 0)
		return bad_value(opt, value, "expected a size such as 20M");
	*out = bytes;
	return 0;
}

static int parse_seed(int opt, const char *value, struct options *out)
{
	if (parse_u64(value, &out->seed) < 0)
		return bad_value(opt, value, "expected a number below 2^64");
	out->has_seed = true;
	return 0;
}

static int parse_tune(int opt, const char *value, struct options *out)
{
	int err;

	if (out->nr_tunes == OPTIONS_TUNES_MAX)
		return bad_value(opt, value, "given too often");
	err = tune_parse(value, &out->tunes[out->nr_tunes]);
	if (err == -ENOENT)
		return bad_value(opt, value, "no such parameter in this C library");
	if (err < 0)
		return bad_value(opt, value, "expected NAME=VALUE with an int, such as mmap_threshold=128k");
	out->nr_tunes++;
	return 0;
}

static int parse_alloc(int opt, const char *value, struct options *out)
{
	out->allocator = alloc_by_name(value);
	return out->allocator ? 0 : bad_value(opt, value, "no such allocator; see --list");
}

static int parse_option(int opt, const char *value, struct options *out)
{
	switch (opt) {
	case OPT_ALLOC:
		return parse_alloc(opt, value, out);
	case OPT_SIZES:
		return parse_sizes(opt, value, out);
	case OPT_ORDER:
		return order_by_name(value, &out->order) < 0
			       ? bad_value(opt, value, "expected shuffled, ascending, descending or given")
			       : 0;
	case OPT_SEED:
		return parse_seed(opt, value, out);
	case OPT_ROUNDS:
		return parse_count(opt, value, 1, 1000000, &out->rounds);
	case OPT_KEEP:
		return parse_count(opt, value, 0, 1000000000, &out->keep);
	case OPT_TOUCH:
		return parse_fraction(value, &out->touch_ppm) < 0
			       ? bad_value(opt, value, "expected all, none, or a fraction such as 0.5 or 50%")
			       : 0;
	case OPT_THREADS:
		return parse_count(opt, value, 1, OPTIONS_THREADS_MAX, &out->threads);
	case OPT_MALLOPT:
		return parse_tune(opt, value, out);
	case OPT_TRIM:
		out->trim = true;
		return 0;
	case OPT_JSON:
		out->json = true;
		return 0;
	case OPT_LIST:
		out->command = COMMAND_LIST;
		return 0;
	case OPT_LARGE:
		return parse_bytes(opt, value, &out->large_bytes);
	case OPT_MAX:
		return parse_bytes(opt, value, &out->max_bytes);
	case OPT_HELP:
		out->command = COMMAND_HELP;
		return 0;
	}
	return -EINVAL; /* getopt_long has said why */
}

static int parse_command(int argc, char **argv, struct options *out)
{
	if (optind == argc)
		return 0;
	if (strcmp(argv[optind], "play") == 0) {
		out->steps = &argv[optind + 1];
		out->nr_steps = argc - optind - 1;
		if (out->command == COMMAND_RUN)
			out->command = COMMAND_PLAY;
		return 0;
	}
	if (strcmp(argv[optind], "cutoff") != 0 || optind + 1 != argc) {
		out_complain("'%s': no such command; see --help", argv[optind]);
		return -EINVAL;
	}
	if (out->command == COMMAND_RUN)
		out->command = COMMAND_CUTOFF;
	return 0;
}

int options_parse(int argc, char **argv, struct options *out)
{
	int opt;

	memset(out, 0, sizeof(*out));
	out->allocator = alloc_by_index(0);
	out->order = ORDER_SHUFFLED;
	out->rounds = out->threads = 1;
	out->touch_ppm = OPTIONS_PPM;
	out->large_bytes = (size_t)20 << 20;
	out->max_bytes = (size_t)256 << 20;
	out->default_sizes = true;
	out->nr_sizes = sizeof(default_sizes) / sizeof(default_sizes[0]);
	memcpy(out->sizes, default_sizes, sizeof(default_sizes));
	while ((opt = getopt_long(argc, argv, "h", table, NULL)) != -1) {
		int err = parse_option(opt, optarg, out);

		if (err < 0)
			return err;
	}
	return parse_command(argc, argv, out);
}
