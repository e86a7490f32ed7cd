/* SPDX-License-Identifier: GPL-2.0-only */
/* model: keeps the books. Events go in, records come out, in the same call. */
#ifndef HEAPTRACE_MODEL_H
#define HEAPTRACE_MODEL_H

#include "model/names.h"
#include "model/record.h"

struct model;

/* A model that hands its records to @fn; NULL on lack of memory. */
struct model *model_new(record_fn fn, void *ctx);

/* Gives the model names for call chains, before its first event; they become its own. Without, call chains stay as the source
 * has them. */
void model_set_names(struct model *model, struct names *names);

/* Frees it; NULL is legal. */
void model_free(struct model *model);

/* Takes one event, keeps the books, emits records. 0; -errno on lack of memory or from the record function. */
int model_feed(struct model *model, const struct event *event);

/* Puts names to the call chain of the event of a row, within the call of the record function that has got it: a copy of @event
 * in *@ret_event, to be shown in its place. What has no names, or no call chain, is copied as it is. 0 or -ENOMEM. */
int model_name(struct model *model, const struct event *event, struct event *ret_event);

/* Fills the counts of @end (processes, events, mms, balanced_mms, lost_events, lost_details, lost_stacks), leaving the rest of it alone. */
void model_count(const struct model *model, struct record_end *end);

/* Memory now of all watched mms together: for tests and live views. */
unsigned int model_open_mms(const struct model *model);

#endif
