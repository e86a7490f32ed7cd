/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HEAPTRACE_CLOCK_H
#define HEAPTRACE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* What @clock says, in ns. */
uint64_t clock_ns(clockid_t clock);

#endif
