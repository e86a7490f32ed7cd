/* SPDX-License-Identifier: GPL-2.0-only */
#include "model/model.h"

#include "base/map.h"
#include "model/ledger.h"
#include "model/vmap.h"

#include <errno.h>
#include <stdlib.h>

/* What is known of one mm while it is open. */
struct mm {
	uint64_t id;
	struct ledger *ledger;
	struct vmap *vmap;
	struct names_mm *names; /* NULL: without */
	uint64_t lost_before;	/* the model's lost events at its opening */
};

struct model {
	record_fn fn;
	void *ctx;
	struct names *names; /* NULL: without */
	struct map mms;	     /* by id: struct mm */
	struct map pids;     /* of processes with an mm of their own that have not ended; the values say nothing */
	struct mm *last;     /* most events are of the same mm as the one before */
	uint64_t processes, events, mm_count, balanced_mms, lost_events, lost_details, lost_stacks;
};

struct model *model_new(record_fn fn, void *ctx)
{
	struct model *model = calloc(1, sizeof(*model));

	if (!model)
		return NULL;
	model->fn = fn;
	model->ctx = ctx;
	return model;
}

static void mm_free(struct mm *mm)
{
	if (!mm)
		return;
	ledger_free(mm->ledger);
	vmap_free(mm->vmap);
	names_mm_free(mm->names);
	free(mm);
}

void model_set_names(struct model *model, struct names *names)
{
	model->names = names;
}

void model_free(struct model *model)
{
	struct mm *mm;
	size_t pos = 0;

	if (!model)
		return;
	while ((mm = map_next(&model->mms, &pos, NULL)))
		mm_free(mm);
	map_free(&model->mms);
	map_free(&model->pids);
	names_free(model->names);
	free(model);
}

static struct mm *mm_find(struct model *model, uint64_t id)
{
	if (!id)
		return NULL;
	if (!model->last || model->last->id != id)
		model->last = map_get(&model->mms, id);
	return model->last;
}

static int emit_event(struct model *model, const struct event *event, const struct mm *mm, const struct region *region)
{
	static const struct usage no_level;
	static const struct region no_region;
	struct record record;

	record.kind = RECORD_EVENT;
	record.event = event;
	record.after = mm ? *ledger_level(mm->ledger) : no_level;
	record.region = region ? *region : no_region;
	record.hidden = false;
	return model->fn(model->ctx, &record);
}

/* A process is counted when its first mm opens, or, if it never had one (vfork), when it ends. */
static int count_process(struct model *model, int32_t pid)
{
	if (pid <= 0 || map_get(&model->pids, (uint64_t)pid))
		return 0;
	model->processes++;
	return map_put(&model->pids, (uint64_t)pid, model);
}

static void process_ended(struct model *model, int32_t pid)
{
	if (pid > 0 && !map_del(&model->pids, (uint64_t)pid))
		model->processes++;
}

static struct mm *mm_new(struct model *model, const struct event *event)
{
	const struct event_open *open = &event->open;
	struct mm *parent = open->how == OPEN_FORK ? mm_find(model, open->parent_mm) : NULL;
	struct mm *mm = calloc(1, sizeof(*mm));

	if (!mm)
		return NULL;
	mm->id = event->mm;
	mm->lost_before = model->lost_events;
	mm->ledger = ledger_new(event, parent ? ledger_image(parent->ledger) : NULL);
	mm->vmap = parent ? vmap_fork(parent->vmap, open) : vmap_new(open);
	if (model->names)
		mm->names = names_mm_new(model->names, parent ? parent->names : NULL, event);
	if (!mm->ledger || !mm->vmap || (model->names && !mm->names) || map_put(&model->mms, mm->id, mm)) {
		mm_free(mm);
		return NULL;
	}
	return mm;
}

static int feed_open(struct model *model, const struct event *event)
{
	struct mm *mm = mm_find(model, event->mm);
	int err;

	/* A second opening can only come from a broken recording: the books that are open stay so. */
	if (mm || !event->mm)
		return emit_event(model, event, mm, NULL);
	mm = mm_new(model, event);
	if (!mm)
		return -ENOMEM;
	err = count_process(model, event->pid);
	return err ? err : emit_event(model, event, mm, NULL);
}

static int feed_close(struct model *model, const struct event *event)
{
	struct mm *mm = mm_find(model, event->mm);
	struct record record = { .kind = RECORD_LEDGER };
	struct ledger_view view;
	int err;

	if (!mm)
		return emit_event(model, event, NULL, NULL);
	ledger_close(mm->ledger, event, model->lost_events - mm->lost_before, &view);
	model->mm_count++;
	model->balanced_mms += view.balanced;
	record.ledger = &view;
	err = emit_event(model, event, mm, NULL);
	if (!err)
		err = model->fn(model->ctx, &record);
	map_del(&model->mms, mm->id);
	model->last = NULL;
	mm_free(mm);
	return err;
}

static int feed_change(struct model *model, const struct event *event)
{
	struct mm *mm = mm_find(model, event->mm);
	struct event clipped;
	struct region region;
	int err;

	model->events++;
	model->lost_stacks += event->change.stack_lost;
	if (!mm)
		return emit_event(model, event, NULL, NULL);
	if (event->change.first) {
		clipped = *event;
		vmap_clip(mm->vmap, &clipped.change);
		event = &clipped;
	}
	err = ledger_add(mm->ledger, event);
	if (!err)
		err = vmap_apply(mm->vmap, event->tid, &event->change, &region);
	if (!err && mm->names)
		err = names_note(mm->names, event, mm->vmap);
	return err ? err : emit_event(model, event, mm, &region);
}

static int feed_vma(struct model *model, const struct event *event)
{
	struct mm *mm = mm_find(model, event->mm);
	int err = mm ? vmap_seed(mm->vmap, &event->vma) : 0;

	if (!err && mm && mm->names)
		err = names_note(mm->names, event, mm->vmap);
	return err ? err : emit_event(model, event, mm, NULL);
}

static int feed_mark(struct model *model, const struct event *event)
{
	struct mm *mm = mm_find(model, event->mm);
	int err = mm ? ledger_mark(mm->ledger, event) : 0;

	return err ? err : emit_event(model, event, mm, NULL);
}

int model_feed(struct model *model, const struct event *event)
{
	switch (event->kind) {
	case EVENT_CHANGE:
		return feed_change(model, event);
	case EVENT_MM_OPEN:
		return feed_open(model, event);
	case EVENT_MM_CLOSE:
		return feed_close(model, event);
	case EVENT_VMA:
		return feed_vma(model, event);
	case EVENT_MARK:
		return feed_mark(model, event);
	case EVENT_SAMPLE:
		return emit_event(model, event, mm_find(model, event->mm), NULL);
	case EVENT_PROC_EXIT:
		process_ended(model, event->pid);
		return emit_event(model, event, mm_find(model, event->mm), NULL);
	case EVENT_LOST:
		*(event->lost.detail ? &model->lost_details : &model->lost_events) += event->lost.records;
		return emit_event(model, event, mm_find(model, event->mm), NULL);
	}
	return -EINVAL;
}

int model_name(struct model *model, const struct event *event, struct event *ret_event)
{
	struct mm *mm = mm_find(model, event->mm);

	if (event->kind == EVENT_CHANGE && event->change.stack_len && mm && mm->names)
		return names_stack(mm->names, event, mm->vmap, ret_event);
	*ret_event = *event;
	return 0;
}

void model_count(const struct model *model, struct record_end *end)
{
	end->processes = model->processes;
	end->events = model->events;
	end->mms = model->mm_count;
	end->balanced_mms = model->balanced_mms;
	end->lost_events = model->lost_events;
	end->lost_details = model->lost_details;
	end->lost_stacks = model->lost_stacks;
	end->unnamed = model->names ? names_unanswered(model->names) : 0;
}

unsigned int model_open_mms(const struct model *model)
{
	return (unsigned int)model->mms.count;
}
