/* SPDX-License-Identifier: GPL-2.0-only */
/* playback: a report from a recording. */
#ifndef HEAPTRACE_PLAYBACK_H
#define HEAPTRACE_PLAYBACK_H

#include "options.h"

/* Writes the report that @options ask for from the recording options->file. Returns the exit status: 0, or EXIT_FAILED
 * where the recording is not whole or something failed, which has been said then; what is whole of it is reported. */
int playback_run(const struct options *options);

#endif
