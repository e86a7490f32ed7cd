/* SPDX-License-Identifier: GPL-2.0-only */
/* session: start or attach, loop, stop: from a source through the model to one report. */
#ifndef HEAPTRACE_SESSION_H
#define HEAPTRACE_SESSION_H

#include "options.h"

/* Carries out @options (COMMAND_WATCH). Returns the exit status; what went wrong has been said. */
int session_run(const struct options *options);

#endif
