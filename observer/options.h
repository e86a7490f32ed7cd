/* SPDX-License-Identifier: GPL-2.0-only */
/* options: the command line, read once. Nobody else looks at argv. */
#ifndef HEAPTRACE_OPTIONS_H
#define HEAPTRACE_OPTIONS_H

#include "filter.h"
#include "report/report.h"
#include "source/source.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Exit statuses of the program itself. */
enum { EXIT_USAGE = 2, EXIT_FAILED = 125, EXIT_CANNOT_RUN = 126, EXIT_NOT_FOUND = 127 };

enum command { COMMAND_WATCH, COMMAND_REPORT, COMMAND_DOCTOR };

enum stacks_mode { STACKS_AUTO, STACKS_NONE, STACKS_FP, STACKS_DWARF };

struct options {
	enum command command;
	char **cmd;  /* NULL-terminated; NULL: attach, or no run at all */
	pid_t *pids; /* owned */
	unsigned int pid_count;
	const char *file;   /* COMMAND_REPORT: the recording */
	const char *output; /* NULL: stderr; "-": stdout */
	const struct report_ops *format;
	enum report_weight weight;	 /* folded */
	const struct source_ops *source; /* NULL: auto */
	double duration_s;		 /* 0: until the end */
	struct filter filter;
	enum stacks_mode stacks;
	bool follow;
	bool no_seccomp;
	unsigned int sample_ms; /* 0: none */
	uint64_t ring_bytes;	/* 0: default */
	const char *user;
	bool keep_root;
	bool quiet;
	unsigned int verbose;
	enum { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER } color;
};

/* Reads @argv into @out. Does not return for --help, --version and mistakes: those end the program with 0 and
 * EXIT_USAGE. */
void options_parse(int argc, char **argv, struct options *out);

/* Frees what @options owns. */
void options_free(struct options *options);

#endif
