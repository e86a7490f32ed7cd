/* SPDX-License-Identifier: GPL-2.0-only */
/* objects: the files that code is mapped from, each once for all processes, opened when they are first seen mapped, and
 * the names of the addresses in them that were asked for. */
#ifndef HEAPTRACE_OBJECTS_H
#define HEAPTRACE_OBJECTS_H

#include "base/mapfile.h"
#include "model/sym_client.h"

#include <stdbool.h>
#include <stdint.h>

/* The names of one address: @count frames, the innermost first. None where nothing is known. */
struct named {
	unsigned int count;
	struct sym_frame frames[];
};

struct object;
struct objects;

/* An empty collection that asks @client, which becomes its own; NULL: names cannot be had, objects can. NULL on lack of
 * memory, @client closed then. */
struct objects *objects_new(struct sym_client *client);

/* Frees it and everything in it; NULL is legal. */
void objects_free(struct objects *objects);

/* The object that @map is of, with a reference for the caller; opened now if it is new. Where its file cannot be opened it
 * has a path and no names. NULL on lack of memory. */
struct object *objects_get(struct objects *objects, const struct mapfile *map);

/* The vDSO that this kernel gives its 64-bit programs, likewise. */
struct object *objects_vdso(struct objects *objects, uint64_t bytes);

/* One more reference to @object, which is returned. */
struct object *object_hold(struct object *object);

/* Gives a reference back; NULL is legal. The object stays as long as there is room. */
void object_release(struct object *object);

/* What it is called: a path, or "[vdso]". As long as the reference. */
const char *object_path(const struct object *object);

/* The names of the byte @offset of @object, or NULL where they were not asked for yet (objects_name() does). Valid until
 * objects_purge(), or until the last reference to the object is given back. */
const struct named *object_named(const struct object *object, uint64_t offset);

/* What to find out. */
struct object_query {
	struct object *object;
	uint64_t offset;
};

/* Asks for the names of all @queries that are not known yet, in few packets. 0 or -ENOMEM. */
int objects_name(struct objects *objects, const struct object_query *queries, unsigned int count);

/* How many addresses have no names as their objects could not be read. */
uint64_t objects_unanswered(const struct objects *objects);

/* Bytes that all names together take. */
size_t objects_bytes(const struct objects *objects);

/* Forgets all names. */
void objects_purge(struct objects *objects);

#endif
