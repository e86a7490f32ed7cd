/* SPDX-License-Identifier: GPL-2.0-only */
/* errname: errors by their names, those that only the kernel and its tracers see included. */
#ifndef HEAPTRACE_ERRNAME_H
#define HEAPTRACE_ERRNAME_H

/* The name of the positive error number @err, such as "ENOMEM", or "E530" where it has none. Kept for ever. */
const char *errname(int err);

/* What it means, in English whatever the locale, or NULL where that is unknown. Static. */
const char *errname_meaning(int err);

/* The name of the standard signal @signal, such as "SIGSEGV", or NULL (real-time signals have none). Static. */
const char *signame(int signal);

#endif
