/* SPDX-License-Identifier: GPL-2.0-only */
/* sym_wire: what heaptrace and its symbol reader, a process of its own without rights, say to each other: packets over a
 * socket pair. What comes back has been made from hostile files: it is checked like a file. */
#ifndef HEAPTRACE_SYM_WIRE_H
#define HEAPTRACE_SYM_WIRE_H

#include "base/buf.h"
#include "model/sym_reader.h"

#define SYM_PACKET_MAX 65536u
#define SYM_ITEMS_MAX  128u

enum sym_packet_kind {
	SYM_OBJECT = 1, /* to the reader, with a descriptor: the object @id; its path follows the head */
	SYM_DROP,	/* to the reader: the object @id will not be asked for again */
	SYM_FIND,	/* to the reader: @count of struct sym_item follow */
	SYM_FOUND,	/* the answer to @count items of the query @id, from the item @first on */
	SYM_DIED,	/* the reader has died over a query, and there is a new one that knows no object */
};

struct sym_head {
	uint32_t kind;
	uint32_t id;
	uint32_t first, count;
};

struct sym_item {
	uint64_t offset; /* in the file */
	uint32_t object;
	uint32_t pad;
};

/* Adds the @count frames of one item to a packet. False where the packet has no room for them. */
bool sym_wire_put(struct buf *packet, const struct sym_frame *frames, unsigned int count);

/* Takes the frames of one item from the packet at *@pos and moves *@pos behind them; the strings are the packet's. Their
 * number, or -EBADMSG. */
int sym_wire_take(const char *packet, size_t len, size_t *pos, struct sym_frame out[SYM_FRAMES_MAX]);

#endif
