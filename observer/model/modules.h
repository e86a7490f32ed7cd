/* SPDX-License-Identifier: GPL-2.0-only */
/* modules: where in one mm the code of which object is mapped, or was: rows may come later than an unmapping. */
#ifndef HEAPTRACE_MODULES_H
#define HEAPTRACE_MODULES_H

#include "model/objects.h"

/* Mappings that are remembered of one mm; past it the older half is forgotten. */
#define MODULES_MAX 8192

struct module {
	uint64_t start, end;
	uint64_t offset; /* in the file, of start */
	struct object *object;
};

/* Mappings, the latest last; a fork's child shares them with its parent until one of both adds to them. */
struct modules;

/* An empty list with one reference, or NULL. */
struct modules *modules_new(void);

/* One more reference, for a child. */
struct modules *modules_share(struct modules *modules);

/* Gives one reference back; NULL is legal. */
void modules_release(struct modules *modules);

/* Adds @module, whose reference to its object is taken in any case, to *@modules, which becomes a copy if it is shared. 0 or
 * -ENOMEM. */
int modules_add(struct modules **modules, const struct module *module);

/* The latest mapping that holds @addr, or NULL. Valid until the next addition. */
const struct module *modules_find(const struct modules *modules, uint64_t addr);

#endif
