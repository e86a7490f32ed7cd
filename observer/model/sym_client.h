/* SPDX-License-Identifier: GPL-2.0-only */
/* sym_client: asks the symbol reader (sym_worker) for names, and outlives what hostile files do to it. */
#ifndef HEAPTRACE_SYM_CLIENT_H
#define HEAPTRACE_SYM_CLIENT_H

#include "model/sym_wire.h"

#include <stdbool.h>
#include <stdint.h>

/* Objects that are open at a time. */
#define SYM_OBJECTS_MAX 2048u

struct sym_client;

/* Starts the reader: while nothing of value is open, and before capabilities are given up. 0 or -errno. */
int sym_client_open(struct sym_client **ret_client);

/* Ends the reader and frees everything; NULL is legal. */
void sym_client_close(struct sym_client *client);

/* Makes the file behind @fd known, which is the client's from then on, also on failure. @path as sym_reader_new() takes
 * it. *@ret_id names it. 0, -EMFILE where there are too many, -ENOMEM. */
int sym_client_add(struct sym_client *client, int fd, const char *path, uint32_t *ret_id);

/* Forgets the object @id. */
void sym_client_drop(struct sym_client *client, uint32_t id);

/* Whether more objects than now would be too many. */
bool sym_client_full(const struct sym_client *client);

/* How many items were left without an answer, as the reader died or took too long. */
uint64_t sym_client_unanswered(const struct sym_client *client);

/* Takes the frames of the @index-th item of a query; none where nothing is known. */
typedef void (*sym_answer_fn)(void *ctx, unsigned int index, const struct sym_frame *frames, unsigned int count);

/* Asks for the names of @count items, at most SYM_ITEMS_MAX, and hands over the answer to each. An item over which the
 * reader dies has no answer, and an object that kills it repeatedly is not asked again. 0 or -errno: no names can be had
 * any more, as also after questions that took minutes. */
int sym_client_find(struct sym_client *client, const struct sym_item *items, unsigned int count, sym_answer_fn fn,
		    void *ctx);

#endif
