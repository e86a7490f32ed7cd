/* SPDX-License-Identifier: GPL-2.0-only */
/* print: what the sequence found, as tables for people or as JSON. */
#ifndef TARGET_PRINT_H
#define TARGET_PRINT_H

#include "out.h"
#include "play.h"
#include "sequence.h"

/* Room for any result of print_size. */
#define PRINT_SIZE_BYTES 32

/* "2 KiB", "2 GiB", or "1000 bytes" where it is no whole number of a unit, into @text of PRINT_SIZE_BYTES. */
void print_size(size_t size, char *text);

/* The head of the text: what will be done, and with which seed. */
void print_text_head(struct out *out, const struct options *options);

/* The table of one size; @blocks as for sequence_fn. */
void print_text_blocks(struct out *out, const struct sequence *sequence, const struct block *blocks);

/* The last table: before and after everything. */
void print_text_foot(struct out *out, const struct sequence *sequence);

/* What mallopt said of each --mallopt. */
void print_text_tunes(struct out *out, const struct options *options);

/* The members of a reading for JSON, each with a comma before it. */
void print_json_reading(struct out *out, const struct reading *reading);

/* What was played, as text or JSON as the options say. */
void print_play(struct out *out, const struct options *options, const struct play *play);

/* The whole as one JSON document. Sizes in bytes, null for what is not known. */
void print_json(struct out *out, const struct sequence *sequence);

#endif
