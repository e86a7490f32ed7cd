/* SPDX-License-Identifier: GPL-2.0-only */
/* codefile: the file that an event maps as code, opened as soon as the event is read: the process may be gone, and with it the
 * way to a file without a name, by the time that somebody wants to read it. */
#ifndef HEAPTRACE_CODEFILE_H
#define HEAPTRACE_CODEFILE_H

#include "event/event.h"

/* A descriptor of the file that @event maps as code, or -1 where it maps none or that cannot be opened. */
int codefile_open(const struct event *event);

#endif
