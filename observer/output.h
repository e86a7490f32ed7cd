/* SPDX-License-Identifier: GPL-2.0-only */
/* output: where a report is written to. */
#ifndef HEAPTRACE_OUTPUT_H
#define HEAPTRACE_OUTPUT_H

#include "base/diag.h"

#include <stdio.h>
#include <sys/types.h>

/* Opens @path for writing: NULL is standard error, "-" standard output. A link is not followed, and a file that is made
 * belongs to @uid:@gid. 0, or -errno with @diag. */
int output_open(const char *path, uid_t uid, gid_t gid, FILE **ret_stream, struct diag *diag);

/* Flushes and closes it. 0, or -errno where something could not be written. */
int output_close(FILE *stream);

#endif
