/* SPDX-License-Identifier: GPL-2.0-only */
/* options: the command line, and nothing else reads it. */
#ifndef TARGET_OPTIONS_H
#define TARGET_OPTIONS_H

#include "alloc.h"
#include "order.h"
#include "tune.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OPTIONS_SIZES_MAX   4096
#define OPTIONS_TUNES_MAX   32
#define OPTIONS_THREADS_MAX 1024
#define OPTIONS_PPM	    1000000U

enum command { COMMAND_RUN, COMMAND_CUTOFF, COMMAND_PLAY, COMMAND_LIST, COMMAND_HELP };

struct options {
	enum command command;
	const struct allocator *allocator;
	size_t sizes[OPTIONS_SIZES_MAX];
	size_t nr_sizes;
	bool default_sizes; /* the original experiment's seven, none named by the user */
	enum order order;
	uint64_t seed;
	bool has_seed; /* false: to be chosen */
	unsigned int rounds;
	unsigned int keep; /* every keep-th block stays alive; 0 = none */
	uint32_t touch_ppm;
	unsigned int threads;
	struct tune tunes[OPTIONS_TUNES_MAX];
	size_t nr_tunes;
	bool trim;
	bool json;
	size_t large_bytes; /* cutoff: the block that is freed before the second search */
	size_t max_bytes;   /* cutoff: the largest size tried */
	char *const *steps; /* play: as they stand in argv */
	int nr_steps;
};

/* Reads @argv into @out. 0; -EINVAL after one line on stderr that says what is wrong. */
int options_parse(int argc, char **argv, struct options *out);

/* The text of --help. Static. */
const char *options_help(void);

#endif
