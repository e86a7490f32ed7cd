/* SPDX-License-Identifier: GPL-2.0-only */
/* caps: what a source sees and what it does not, by name. */
#ifndef HEAPTRACE_CAPS_H
#define HEAPTRACE_CAPS_H

#include "event/event.h"

struct cap_text {
	enum cap cap;
	const char *name;	   /* as in jsonl: "syscalls" */
	const char *seen, *unseen; /* for people: what is seen by it; what a report lacks without it */
};

#define CAP_TEXTS 4

extern const struct cap_text cap_texts[CAP_TEXTS];

#endif
