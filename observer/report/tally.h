/* SPDX-License-Identifier: GPL-2.0-only */
/* tally: sums of rows by a text that is made of each: its call site, or its folded call chain. */
#ifndef HEAPTRACE_TALLY_H
#define HEAPTRACE_TALLY_H

#include "base/buf.h"
#include "event/event.h"

struct tally_entry {
	struct tally_entry *next;	  /* of the same hash */
	uint64_t count;			  /* calls, faults */
	struct usage gained, given, peak; /* the peak of gained + given, part by part; virt and RSS (in anon) only */
	char text[];
};

struct tally;

/* A tally of at most @max texts; what comes beyond is summed up under @rest, which is static. NULL on lack of memory. */
struct tally *tally_new(size_t max, const char *rest);

/* Frees it; NULL is legal. */
void tally_free(struct tally *tally);

/* A number for a row that has the call chain @stack_id and is told apart from others with the same one by @word. 0 where the
 * row has no such number: @stack_id is 0. */
uint64_t tally_key(uint64_t stack_id, const char *word);

/* The entry of the rows with the number @key, or NULL: its text is to be made and given to tally_get(). */
struct tally_entry *tally_recall(const struct tally *tally, uint64_t key);

/* The entry of @text, which is new with zero sums if need be; remembered for @key unless that is 0. NULL on lack of memory. */
struct tally_entry *tally_get(struct tally *tally, const struct buf *text, uint64_t key);

/* Adds the row @change to @entry. */
void tally_add(struct tally_entry *entry, const struct event_change *change);

/* All entries, in an array that the caller frees and that ends with NULL; NULL on lack of memory. */
struct tally_entry **tally_list(const struct tally *tally, size_t *ret_count);

#endif
