/* SPDX-License-Identifier: GPL-2.0-only */
/* sym_debuginfod: debug files from a server, only where the user has set DEBUGINFOD_URLS and has its library. */
#ifndef HEAPTRACE_SYM_DEBUGINFOD_H
#define HEAPTRACE_SYM_DEBUGINFOD_H

#include <stdbool.h>
#include <stdint.h>

/* For the process that reads symbols, with the rights that it has then: has the library keep what it fetches in a directory of
 * our own where the user's cache cannot be written to. */
void sym_debuginfod_begin(void);

/* Removes that directory. */
void sym_debuginfod_end(void);

/* Whether the user has asked for it. */
bool sym_debuginfod_wanted(void);

/* The debug file of the build-id, as a descriptor that is the caller's, or -1. May take as long as the server does. */
int sym_debuginfod_find(const uint8_t *build_id, unsigned int len);

#endif
