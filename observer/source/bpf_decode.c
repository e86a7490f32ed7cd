/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/bpf_decode.h"

#include "source/bpf_calls.h"
#include "source/bpf_cause.h"
#include "source/bpf_paths.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define MARK_PREFIX_LEN (sizeof("heaptrace:") - 1)

/* vm_flags of include/linux/mm.h */
#define VM_SHARED    0x8u
#define VM_GROWSDOWN 0x100u
#define VM_PFNMAP    0x400u
#define VM_HUGETLB   0x400000u
#define VM_MIXEDMAP  0x10000000u

struct bpf_decode {
	uint64_t page_size;
	event_fn fn;
	void *ctx;
	struct stack_store *stacks; /* NULL: none are taken */
	struct event row;  /* at hand: most records are rows, so each sets all of it and nothing is cleared first */
	struct event held; /* an actor's row that may still grow */
	char held_name[WIRE_COMM]; /* its name, where that is no static string */
	bool holds;
	struct bpf_paths paths;
	struct bpf_calls calls;
};

struct bpf_decode *bpf_decode_new(uint64_t page_size, event_fn fn, void *ctx)
{
	struct bpf_decode *decode = calloc(1, sizeof(*decode));

	if (!decode)
		return NULL;
	decode->page_size = page_size;
	bpf_decode_redirect(decode, fn, ctx);
	return decode;
}

void bpf_decode_free(struct bpf_decode *decode)
{
	free(decode);
}

void bpf_decode_redirect(struct bpf_decode *decode, event_fn fn, void *ctx)
{
	decode->fn = fn;
	decode->ctx = ctx;
}

void bpf_decode_set_stacks(struct bpf_decode *decode, struct stack_store *store)
{
	decode->stacks = store;
}

struct usage bpf_decode_usage(const struct bpf_decode *decode, const struct wire_pages *pages)
{
	int64_t size = (int64_t)decode->page_size;

	return (struct usage){
		.virt = pages->virt * size,
		.anon = pages->rss[WIRE_ANON] * size,
		.file = pages->rss[WIRE_FILE] * size,
		.shmem = pages->rss[WIRE_SHMEM] * size,
		.swap = pages->rss[WIRE_SWAP] * size,
	};
}

/* Who and when, of a row or anything else. */
static void head_take(struct event *event, const struct wire_head *head)
{
	event->ts_ns = head->ts_ns;
	event->pid = (int32_t)head->pid;
	event->tid = (int32_t)head->tid;
	event->mm = head->mm;
	memcpy(event->comm, head->comm, sizeof(event->comm));
	event->comm[sizeof(event->comm) - 1] = '\0';
}

static struct event event_of(const struct wire_head *head, enum event_kind kind)
{
	struct event event = { .kind = kind };

	head_take(&event, head);
	return event;
}

/* The call that a row names; NULL where it names none. */
static const struct bpf_call *row_call(struct bpf_decode *decode, uint32_t cause, int32_t nr)
{
	return nr < 0 && cause != WIRE_SYSCALL ? NULL : bpf_call_find(&decode->calls, nr);
}

/* What only a call has: the arguments that it takes, of @count at @args, the path of its file, its result. */
static void call_take(struct bpf_decode *decode, const struct wire_row *row, const uint64_t *args, unsigned int count,
		      const struct bpf_call *call, struct event *event)
{
	struct event_change *change = &event->change;
	bool is_call = change->cause == CAUSE_SYSCALL;

	if (!is_call || call->args < count)
		count = is_call ? call->args : 0;
	for (unsigned int i = 0; i < 6; i++)
		change->args[i] = i < count ? args[i] : 0;
	change->text = is_call && call->path ? bpf_paths_take(&decode->paths, (uint32_t)event->tid) : NULL;
	change->ret = is_call ? row->ret : 0;
	change->has_ret = is_call && row->returned;
}

/* What only a run of a user's faults has, of @count words at @args. */
static void faults_take(struct event_change *change, const uint64_t *args, unsigned int count)
{
	bool known = change->cause == CAUSE_FAULT && count > WIRE_FAULT_LAST;

	change->first = known ? args[WIRE_FAULT_FIRST] : 0;
	change->last = known ? args[WIRE_FAULT_LAST] : 0;
}

int bpf_decode_settle(struct bpf_decode *decode)
{
	if (!decode->holds)
		return 0;
	decode->holds = false;
	return decode->fn(decode->ctx, &decode->held);
}

/* Adds @event, the row of an actor, to the one held, or holds it instead. */
static int actor_hold(struct bpf_decode *decode, const struct event *event)
{
	struct event *held = &decode->held;
	int err;

	if (decode->holds && held->mm == event->mm && held->tid == event->tid &&
	    !strcmp(held->change.name, event->change.name)) {
		usage_add(&held->change.delta, &event->change.delta);
		held->change.count += event->change.count;
		return 0;
	}
	err = bpf_decode_settle(decode);
	*held = *event;
	if (event->change.name == event->comm || !strcmp(event->change.name, event->comm)) {
		memcpy(decode->held_name, event->comm, sizeof(decode->held_name));
		held->change.name = decode->held_name;
	}
	decode->holds = true;
	return err;
}

static void stack_take(struct bpf_decode *decode, uint64_t id, struct event_change *change)
{
	change->stack = NULL;
	change->stack_len = 0;
	change->stack_complete = change->stack_lost = false;
	change->stack_id = 0;
	if (id && decode->stacks)
		stack_store_fill(decode->stacks, id, change);
}

/* Delivers the row at hand, of which whose it is and its effect are there already. */
static int row_decode(struct bpf_decode *decode, const struct wire_row *row, const uint64_t *args, unsigned int count)
{
	struct event *event = &decode->row;
	struct event_change *change = &event->change;
	const struct bpf_call *call = row_call(decode, row->cause, row->nr);

	event->ts_ns = row->ts_ns;
	bpf_cause_fill(change, row->cause, event->comm, call);
	change->order = row->order;
	change->folded = 0;
	call_take(decode, row, args, count, call, event);
	faults_take(change, args, count);
	stack_take(decode, row->stack, change);
	if (row->cause == WIRE_ACTOR || row->cause == WIRE_RECLAIM)
		return actor_hold(decode, event);
	return decode->fn(decode->ctx, event);
}

static int change_decode(struct bpf_decode *decode, const struct wire_change *wire)
{
	const struct wire_row row = { .cause = (uint8_t)wire->head.cause,
				      .returned = wire->returned != 0,
				      .nr = wire->nr,
				      .ts_ns = wire->head.ts_ns,
				      .order = wire->order,
				      .stack = wire->stack,
				      .ret = wire->ret };
	struct event_change *change = &decode->row.change;

	head_take(&decode->row, &wire->head);
	change->delta = bpf_decode_usage(decode, &wire->delta);
	change->addr = wire->addr;
	change->len = wire->len;
	change->count = wire->count;
	return row_decode(decode, &row, wire->args, 6);
}

/* The row at @at of @left bytes, of a thread that is known. Returns how many it takes, or -errno. */
static int batch_row_decode(struct bpf_decode *decode, const uint8_t *at, size_t left)
{
	const struct wire_whole_row *whole = (const void *)at;
	const struct wire_row *row = &whole->call.row;
	struct event_change *change = &decode->row.change;
	struct wire_pages pages = { 0 };
	bool is_whole;
	int err;

	if (left < sizeof(*row) || row->bytes > left || row->bytes < sizeof(*row) || row->bytes % 8)
		return -EBADMSG;
	is_whole = row->bytes == sizeof(*whole);
	if (!is_whole && row->bytes > sizeof(struct wire_call_row))
		return -EBADMSG;
	pages.virt = row->virt;
	if (is_whole)
		memcpy(pages.rss, whole->rss, sizeof(pages.rss));
	change->delta = bpf_decode_usage(decode, &pages);
	change->addr = is_whole ? whole->addr : 0;
	change->len = is_whole ? whole->len : 0;
	change->count = is_whole ? whole->count : 1;
	err = row_decode(decode, row, whole->call.args, (row->bytes - (unsigned int)sizeof(*row)) / sizeof(uint64_t));
	return err ? err : row->bytes;
}

static int batch_decode(struct bpf_decode *decode, const struct wire_batch *batch, size_t size)
{
	uint32_t at = 0;

	if (batch->bytes > size - offsetof(struct wire_batch, data))
		return -EBADMSG;
	head_take(&decode->row, &batch->head);
	while (at < batch->bytes) {
		int taken = batch_row_decode(decode, batch->data + at, batch->bytes - at);

		if (taken < 0)
			return taken;
		at += (uint32_t)taken;
	}
	return 0;
}

/* A row that opens an mm and changes nothing. */
static int birth_row(struct bpf_decode *decode, const struct event *opened, const char *image)
{
	struct event event = *opened;
	enum open_how how = opened->open.how;

	if (how == OPEN_ATTACH)
		return 0;
	event.kind = EVENT_CHANGE;
	event.change = (struct event_change){
		.cause = how == OPEN_EXEC ? CAUSE_EXEC : CAUSE_FORK,
		.name = how == OPEN_EXEC ? "exec" : "fork",
		.text = image,
		.count = 1,
		.attributed = true,
	};
	return decode->fn(decode->ctx, &event);
}

static int open_decode(struct bpf_decode *decode, const struct wire_open *wire, size_t size)
{
	static const enum open_how hows[] = {
		[WIRE_HOW_EXEC] = OPEN_EXEC, [WIRE_HOW_FORK] = OPEN_FORK, [WIRE_HOW_ATTACH] = OPEN_ATTACH
	};
	struct event event = event_of(&wire->head, EVENT_MM_OPEN);
	char path[WIRE_TEXT + 2];
	int err;

	if (wire->text_len > size - offsetof(struct wire_open, text) || wire->how > WIRE_HOW_ATTACH)
		return -EBADMSG;
	event.open = (struct event_open){
		.how = hows[wire->how],
		.parent_mm = wire->parent_mm,
		.opening = bpf_decode_usage(decode, &wire->opening),
		.start_brk = wire->start_brk,
		.brk = wire->brk,
		.start_stack = wire->start_stack,
		.image = bpf_path_join(wire->text, wire->text_len, path),
	};
	err = decode->fn(decode->ctx, &event);
	return err ? err : birth_row(decode, &event, event.open.image);
}

int bpf_decode_spilled(struct bpf_decode *decode, const struct wire_head *head, const struct wire_pages *spilled,
		       uint64_t rows)
{
	struct event event = event_of(head, EVENT_CHANGE);

	if (!rows)
		return 0;
	event.change = (struct event_change){
		.cause = CAUSE_KERNEL,
		.name = "coalesced",
		.count = rows,
		.folded = rows,
		.delta = bpf_decode_usage(decode, spilled),
		.attributed = true,
	};
	return decode->fn(decode->ctx, &event);
}

static int residue_row(struct bpf_decode *decode, const struct wire_head *head, const struct wire_pages *residue)
{
	struct event event = event_of(head, EVENT_CHANGE);

	event.change = (struct event_change){
		.cause = CAUSE_KERNEL, .name = "unattributed", .count = 1, .delta = bpf_decode_usage(decode, residue)
	};
	if (usage_is_zero(&event.change.delta))
		return 0;
	return decode->fn(decode->ctx, &event);
}

static int close_decode(struct bpf_decode *decode, const struct wire_close *wire)
{
	struct event event = event_of(&wire->head, EVENT_CHANGE);
	int err = bpf_decode_spilled(decode, &wire->head, &wire->spilled, wire->spilled_rows);

	if (!err)
		err = residue_row(decode, &wire->head, &wire->residue);
	if (err)
		return err;
	event.change = (struct event_change){ .cause = CAUSE_EXIT,
					      .name = "exit",
					      .count = 1,
					      .order = wire->order + 1,
					      .delta = bpf_decode_usage(decode, &wire->exit),
					      .attributed = true };
	err = decode->fn(decode->ctx, &event);
	if (err)
		return err;
	event.kind = EVENT_MM_CLOSE;
	event.close = (struct event_close){ .closing = bpf_decode_usage(decode, &wire->closing),
					    .closing_known = true,
					    .swapped_pages = wire->swapped_pages };
	return decode->fn(decode->ctx, &event);
}

static const char *special_vma(const struct wire_vma *wire)
{
	if (wire->inode)
		return NULL;
	if (wire->vdso && wire->start == wire->vdso)
		return "[vdso]";
	if (wire->vm_flags & (VM_PFNMAP | VM_MIXEDMAP))
		return "[vvar]";
	return NULL;
}

static int vma_decode(struct bpf_decode *decode, const struct wire_vma *wire, size_t size)
{
	struct event event = event_of(&wire->head, EVENT_VMA);
	char path[WIRE_TEXT + 2];

	if (wire->text_len > size - offsetof(struct wire_vma, text))
		return -EBADMSG;
	event.vma = (struct event_vma){
		.start = wire->start,
		.end = wire->end,
		.offset = wire->offset,
		.prot = wire->vm_flags & (PROT_READ | PROT_WRITE | PROT_EXEC), /* the low bits are the same */
		.flags = (wire->vm_flags & VM_SHARED ? MAP_SHARED : MAP_PRIVATE) | (wire->inode ? 0 : MAP_ANONYMOUS) |
			 (wire->vm_flags & VM_GROWSDOWN ? MAP_GROWSDOWN : 0) |
			 (wire->vm_flags & VM_HUGETLB ? MAP_HUGETLB : 0),
		.dev = wire->dev,
		.inode = wire->inode,
		.path = bpf_path_join(wire->text, wire->text_len, path),
	};
	if (!event.vma.path)
		event.vma.path = special_vma(wire);
	return decode->fn(decode->ctx, &event);
}

static int mark_decode(struct bpf_decode *decode, const struct wire_mark *wire)
{
	struct event event = event_of(&wire->head, EVENT_MARK);
	char name[sizeof(wire->text) + 1] = "(label not in memory)";

	if (!wire->unread) {
		if (wire->text_len > sizeof(wire->text) || wire->text_len < MARK_PREFIX_LEN)
			return -EBADMSG;
		memcpy(name, wire->text + MARK_PREFIX_LEN, wire->text_len - MARK_PREFIX_LEN);
		name[wire->text_len - MARK_PREFIX_LEN] = '\0';
	}
	event.mark.name = name;
	return decode->fn(decode->ctx, &event);
}

static int proc_exit_decode(struct bpf_decode *decode, const struct wire_proc_exit *wire)
{
	struct event event = event_of(&wire->head, EVENT_PROC_EXIT);

	if (WIFSIGNALED(wire->status))
		event.proc_exit.signal = WTERMSIG(wire->status);
	else
		event.proc_exit.code = WEXITSTATUS(wire->status);
	return decode->fn(decode->ctx, &event);
}

int bpf_decode_record(struct bpf_decode *decode, const void *record, size_t size)
{
	const struct wire_head *head = record;

	if (size < sizeof(*head))
		return -EBADMSG;
	/* Rows of others may pass what is held; what divides or closes the books may not. */
	if (head->kind != WIRE_CHANGE && head->kind != WIRE_BATCH && head->kind != WIRE_PATH) {
		int err = bpf_decode_settle(decode);

		if (err)
			return err;
	}
	switch ((enum wire_kind)head->kind) {
	case WIRE_CHANGE:
		return size >= sizeof(struct wire_change) ? change_decode(decode, record) : -EBADMSG;
	case WIRE_BATCH:
		return size >= offsetof(struct wire_batch, data) ? batch_decode(decode, record, size) : -EBADMSG;
	case WIRE_OPEN:
		return size >= offsetof(struct wire_open, text) ? open_decode(decode, record, size) : -EBADMSG;
	case WIRE_CLOSE:
		return size >= sizeof(struct wire_close) ? close_decode(decode, record) : -EBADMSG;
	case WIRE_VMA:
		return size >= offsetof(struct wire_vma, text) ? vma_decode(decode, record, size) : -EBADMSG;
	case WIRE_MARK:
		return size >= sizeof(struct wire_mark) ? mark_decode(decode, record) : -EBADMSG;
	case WIRE_PROC_EXIT:
		return size >= sizeof(struct wire_proc_exit) ? proc_exit_decode(decode, record) : -EBADMSG;
	case WIRE_STACK: /* for the keeper of stacks, before they come here */
	case WIRE_STACK_COPY:
		return -EBADMSG;
	case WIRE_PATH:
		return size >= offsetof(struct wire_path, text) ? bpf_paths_keep(&decode->paths, record, size)
								: -EBADMSG;
	}
	return -EBADMSG;
}

int bpf_decode_fold(struct bpf_decode *decode, const struct wire_fold_key *key, const struct wire_fold *fold,
		    uint64_t ts_ns)
{
	struct wire_head head = {
		.cause = key->cause, .ts_ns = ts_ns, .mm = key->mm, .pid = fold->pid, .tid = fold->tid
	};
	struct event event;

	memcpy(head.comm, key->comm, sizeof(head.comm));
	event = event_of(&head, EVENT_CHANGE);
	bpf_cause_fill(&event.change, key->cause, event.comm, row_call(decode, key->cause, key->nr));
	event.change.delta = bpf_decode_usage(decode, &fold->delta);
	event.change.count = fold->count;
	event.change.folded = fold->rows;
	return decode->fn(decode->ctx, &event);
}

int bpf_decode_grave(struct bpf_decode *decode, const struct wire_grave *grave, bool closing)
{
	struct wire_open open = {
		.head = grave->head, .opening = grave->opening, .parent_mm = grave->parent_mm, .how = grave->how
	};
	struct wire_close close = { .head = grave->head,
				    .closing = grave->closing,
				    .exit = grave->exit,
				    .residue = grave->residue,
				    .spilled = grave->spilled,
				    .spilled_rows = grave->spilled_rows,
				    .swapped_pages = grave->swapped_pages };

	if (closing)
		return close_decode(decode, &close);
	return open_decode(decode, &open, offsetof(struct wire_open, text));
}
