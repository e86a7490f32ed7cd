/* SPDX-License-Identifier: GPL-2.0-only */
/* sites: what each call site of one mm has gained and given back, as a table for people. */
#ifndef HEAPTRACE_SITES_H
#define HEAPTRACE_SITES_H

#include "model/record.h"
#include "report/textstyle.h"

struct sites;

/* An empty table. NULL on lack of memory. */
struct sites *sites_new(const struct textstyle *style);

/* Frees it; NULL is legal. */
void sites_free(struct sites *sites);

/* Enters the row @change. 0 or -ENOMEM. */
int sites_add(struct sites *sites, const struct event_change *change);

/* Adds the table to @text: the call sites that moved most, then what the others have in common; nothing where no row had a
 * call chain. 0 or -ENOMEM. */
int sites_write(const struct sites *sites, struct buf *text);

#endif
