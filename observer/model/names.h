/* SPDX-License-Identifier: GPL-2.0-only */
/* names: puts names to the addresses of call chains. Files are opened as their mappings appear, and read when a name in
 * them is wanted for the first time. A call chain is looked up once per mm, as long as no code is mapped anew. */
#ifndef HEAPTRACE_NAMES_H
#define HEAPTRACE_NAMES_H

#include "event/event.h"
#include "model/objects.h"
#include "model/vmap.h"

struct names;
struct names_mm;

/* Names by @client, which becomes its own; NULL: objects only. NULL on lack of memory, @client closed then. */
struct names *names_new(struct sym_client *client);

/* Frees it, after all its mms; NULL is legal. */
void names_free(struct names *names);

/* How many addresses have no names as their files could not be read. */
uint64_t names_unanswered(const struct names *names);

/* What is known of the mm that the EVENT_MM_OPEN @open opens; a fork's child begins with what @parent, or NULL, has. NULL on
 * lack of memory. */
struct names_mm *names_mm_new(struct names *names, const struct names_mm *parent, const struct event *open);

/* Frees it; NULL is legal. */
void names_mm_free(struct names_mm *mm);

/* Takes an EVENT_VMA, or an EVENT_CHANGE that has been applied to @vmap: if code is mapped by it, its file is opened. 0 or
 * -ENOMEM. */
int names_note(struct names_mm *mm, const struct event *event, const struct vmap *vmap);

/* Copies the EVENT_CHANGE @event, which has a call chain, to @ret_event and gives the copy's frames their names, inlined
 * frames added. Equal ids of the copy mean equal frames, in all mms. Valid until the next call. 0 or -ENOMEM. */
int names_stack(struct names_mm *mm, const struct event *event, const struct vmap *vmap, struct event *ret_event);

#endif
