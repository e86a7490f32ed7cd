/* SPDX-License-Identifier: GPL-2.0-only */
/* ledger: the books of one mm, in double entry: what it had at its opening plus every row is what it has at its
 * closing, part by part, or else the difference is entered as unattributed and the books do not balance. */
#ifndef HEAPTRACE_LEDGER_H
#define HEAPTRACE_LEDGER_H

#include "model/record.h"

/* Names come from the target too (actors are called after processes), so there is an end to how many are told apart:
 * further ones share one line for each cause. */
#define LEDGER_LINES_MAX 512

/* Phases that are kept. Later marks are counted in the name of the last one, which goes on to the closing. */
#define LEDGER_PHASES_MAX 4096

/* Lines of all phases together, after which no new phase is begun. */
#define LEDGER_PHASE_LINES_MAX 32768

struct ledger;

/* Opens the books for an EVENT_MM_OPEN. @image, or NULL, is used where the event has none. NULL on lack of memory. */
struct ledger *ledger_new(const struct event *open, const char *image);

/* Frees it; NULL is legal. */
void ledger_free(struct ledger *ledger);

/* Enters an EVENT_CHANGE. 0, or -ENOMEM with the level right and the lines not. */
int ledger_add(struct ledger *ledger, const struct event *event);

/* Ends the phase at an EVENT_MARK and begins the next. 0 or -ENOMEM. */
int ledger_mark(struct ledger *ledger, const struct event *event);

/* Opening plus all rows so far; after the exit row nothing is left of it. */
const struct usage *ledger_level(const struct ledger *ledger);

/* The path of the executable, or NULL. */
const char *ledger_image(const struct ledger *ledger);

/* Closes the books at an EVENT_MM_CLOSE. @lost_events is how many were lost meanwhile. The view is valid as long as the
 * ledger. In its peak, virt is the highest VIRT, and the parts of RSS are those of the moment of the highest RSS. */
void ledger_close(struct ledger *ledger, const struct event *close, uint64_t lost_events, struct ledger_view *ret_view);

#endif
