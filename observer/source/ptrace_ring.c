/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/ptrace_ring.h"

#include "event/memcalls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define BYTES_DEFAULT (8u << 20)
#define BYTES_MIN     (64u << 10)
#define BYTES_MAX     (1u << 30)
#define TEXT_MAX      4096u /* PATH_MAX */
#define ALIGN	      8u

#define FILLING UINT32_MAX

/* A frame in the ring is a word: its address, and whether that is exact in the bit that no address of a program has. */
#define FRAMES_MAX  511
#define FRAME_EXACT (1ull << 63)

/* One event in the ring, with its text and then, at the record's end, its stack_len frames. It lies in one piece; where it does
 * not fit before the end of the ring, filling without an event is there. */
struct record {
	uint32_t bytes;	     /* of the record with its text, a multiple of ALIGN */
	uint32_t text_bytes; /* with the final NUL; 0 where there is no text; or FILLING */
	int32_t nr;
	struct event event;
	char text[];
};

/* An event that waits for room. */
struct waiting {
	struct waiting *next;
	struct record record; /* last, as it ends in the text */
};

struct ptrace_writer {
	struct ptrace_shared *shared;
	struct waiting *first, **last;
	struct waiting **segment; /* points to the first that waits since the last event that is no row */
	bool closed;
};

struct ptrace_shared *ptrace_shared_new(uint64_t bytes)
{
	struct ptrace_shared *shared;
	uint64_t size = BYTES_MIN;
	int fd;

	if (!bytes)
		bytes = BYTES_DEFAULT;
	while (size < bytes && size < BYTES_MAX)
		size *= 2;
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return NULL;
	shared = mmap(NULL, sizeof(*shared) + size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED) {
		close(fd);
		return NULL;
	}
	shared->bytes = size;
	shared->wake_fd = fd;
	return shared;
}

void ptrace_shared_free(struct ptrace_shared *shared)
{
	if (!shared)
		return;
	close(shared->wake_fd);
	munmap(shared, sizeof(*shared) + shared->bytes);
}

/* Unpacks the frames of a row. */
static void frames_read(const struct record *record, struct event_change *change, struct frame *frames)
{
	uint64_t word;

	if (change->stack_len > FRAMES_MAX)
		change->stack_len = 0; /* never, as the writer writes it */
	for (unsigned int i = 0; i < change->stack_len; i++) {
		memcpy(&word, (const char *)record + record->bytes - (change->stack_len - i) * sizeof(word),
		       sizeof(word));
		frames[i] = (struct frame){ .addr = word & ~FRAME_EXACT, .exact = word & FRAME_EXACT };
	}
	change->stack = frames;
}

/* The one string of an event that is copied; NULL where its kind has none. */
static const char **event_text(struct event *event)
{
	switch (event->kind) {
	case EVENT_CHANGE:
		return &event->change.text;
	case EVENT_MM_OPEN:
		return &event->open.image;
	case EVENT_VMA:
		return &event->vma.path;
	case EVENT_MARK:
		return &event->mark.name;
	case EVENT_MM_CLOSE:
	case EVENT_SAMPLE:
	case EVENT_PROC_EXIT:
	case EVENT_LOST:
		break;
	}
	return NULL;
}

int ptrace_ring_read(struct ptrace_shared *shared, unsigned int max, event_fn fn, void *ctx)
{
	uint64_t head = atomic_load_explicit(&shared->head, memory_order_acquire);
	uint64_t tail = atomic_load_explicit(&shared->tail, memory_order_relaxed);
	struct frame frames[FRAMES_MAX];
	unsigned int count = 0;

	while (tail != head && count < max) {
		struct record *record = (void *)(shared->data + (tail & (shared->bytes - 1)));
		int err = 0;

		if (record->text_bytes != FILLING) {
			const char **text = event_text(&record->event);

			if (text)
				*text = record->text_bytes ? record->text : NULL;
			if (record->event.kind == EVENT_CHANGE && record->nr >= 0)
				record->event.change.name = syscall_name(record->nr);
			if (record->event.kind == EVENT_CHANGE)
				frames_read(record, &record->event.change, frames);
			err = fn(ctx, &record->event);
			count++;
		}
		tail += record->bytes;
		atomic_store_explicit(&shared->tail, tail, memory_order_release);
		if (err)
			return err;
	}
	return (int)count;
}

struct ptrace_writer *ptrace_writer_new(struct ptrace_shared *shared)
{
	struct ptrace_writer *writer = calloc(1, sizeof(*writer));

	if (!writer)
		return NULL;
	writer->shared = shared;
	writer->last = writer->segment = &writer->first;
	return writer;
}

static void waiting_drop(struct ptrace_writer *writer)
{
	while (writer->first) {
		struct waiting *next = writer->first->next;

		free(writer->first);
		writer->first = next;
	}
	writer->last = writer->segment = &writer->first;
}

void ptrace_writer_free(struct ptrace_writer *writer)
{
	if (!writer)
		return;
	waiting_drop(writer);
	free(writer);
}

void ptrace_writer_close(struct ptrace_writer *writer)
{
	writer->closed = true;
	waiting_drop(writer);
}

/* Tells a reader that sleeps. One that looks by itself every few milliseconds is told only when the ring is half full. */
static void reader_wake(struct ptrace_shared *shared, uint64_t used)
{
	uint64_t one = 1;

	atomic_thread_fence(memory_order_seq_cst);
	if (used < shared->bytes / 2 && !atomic_load_explicit(&shared->sleeping, memory_order_relaxed))
		return;
	if (atomic_exchange(&shared->sleeping, 0) || used >= shared->bytes / 2)
		(void)!write(shared->wake_fd, &one, sizeof(one));
}

/* Where a record of @bytes may be written; NULL where there is no room. *@ret_skip is what is to be filled before it. */
static struct record *ring_room(struct ptrace_shared *shared, uint32_t bytes, uint64_t *ret_skip)
{
	uint64_t head = atomic_load_explicit(&shared->head, memory_order_relaxed);
	uint64_t tail = atomic_load_explicit(&shared->tail, memory_order_acquire);
	uint64_t at = head & (shared->bytes - 1), to_end = shared->bytes - at;

	*ret_skip = to_end < bytes ? to_end : 0;
	if (shared->bytes - (head - tail) < bytes + *ret_skip)
		return NULL;
	return (void *)(shared->data + (*ret_skip ? 0 : at));
}

/* Makes what was written at ring_room() visible. */
static void ring_commit(struct ptrace_shared *shared, uint32_t bytes, uint64_t skip)
{
	uint64_t head = atomic_load_explicit(&shared->head, memory_order_relaxed);

	if (skip) {
		/* At least ALIGN bytes are left there, which these two words are; the others are not looked at. */
		struct record *filling = (void *)(shared->data + (head & (shared->bytes - 1)));

		filling->bytes = (uint32_t)skip;
		filling->text_bytes = FILLING;
	}
	atomic_store_explicit(&shared->head, head + skip + bytes, memory_order_release);
	reader_wake(shared, head + skip + bytes - atomic_load_explicit(&shared->tail, memory_order_relaxed));
}

static unsigned int frame_count(const struct event *event)
{
	if (event->kind != EVENT_CHANGE)
		return 0;
	return event->change.stack_len < FRAMES_MAX ? event->change.stack_len : FRAMES_MAX;
}

static uint32_t record_bytes(const struct event *event, const char *text)
{
	size_t len = text ? strnlen(text, TEXT_MAX - 1) + 1 : 0;

	len = (sizeof(struct record) + len + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	return (uint32_t)(len + frame_count(event) * sizeof(uint64_t));
}

static void frames_write(struct record *record, const struct event *event)
{
	unsigned int count = frame_count(event);
	uint64_t word;

	for (unsigned int i = 0; i < count; i++) {
		word = event->change.stack[i].addr & ~FRAME_EXACT;
		word |= event->change.stack[i].exact ? FRAME_EXACT : 0;
		memcpy((char *)record + record->bytes - (count - i) * sizeof(word), &word, sizeof(word));
	}
	if (event->kind == EVENT_CHANGE)
		record->event.change.stack_len = count;
}

static void record_fill(struct record *record, const struct event *event, int nr, const char *text)
{
	record->bytes = record_bytes(event, text);
	record->text_bytes = text ? (uint32_t)strnlen(text, TEXT_MAX - 1) + 1 : 0;
	record->nr = nr;
	record->event = *event;
	frames_write(record, event);
	if (!text)
		return;
	memcpy(record->text, text, record->text_bytes - 1);
	record->text[record->text_bytes - 1] = '\0';
}

/* Adds @event to a row of its kind that has been waiting since the last event that is no row. False where there is none. */
static bool row_fold(struct ptrace_writer *writer, const struct event *event, int nr)
{
	for (struct waiting *at = *writer->segment; at; at = at->next) {
		struct event_change *row = &at->record.event.change;

		if (at->record.event.mm != event->mm || row->cause != event->change.cause || at->record.nr != nr ||
		    (nr < 0 && row->name != event->change.name))
			continue;
		row->folded = (row->folded ? row->folded : 1) + 1;
		row->count += event->change.count;
		usage_add(&row->delta, &event->change.delta);
		row->has_ret = false;
		if (row->stack_id != event->change.stack_id) {
			row->stack_len = 0;
			row->stack_id = 0;
			row->stack_complete = false;
		}
		row->addr = row->len = 0;
		memset(row->args, 0, sizeof(row->args));
		at->record.text_bytes = 0;
		return true;
	}
	return false;
}

static int wait_for_room(struct ptrace_writer *writer, const struct event *event, int nr, const char *text)
{
	struct waiting *waiting;

	if (event->kind == EVENT_CHANGE && row_fold(writer, event, nr))
		return 0;
	waiting = malloc(offsetof(struct waiting, record) + record_bytes(event, text));
	if (!waiting)
		return -ENOMEM;
	waiting->next = NULL;
	record_fill(&waiting->record, event, nr, text);
	*writer->last = waiting;
	writer->last = &waiting->next;
	if (event->kind != EVENT_CHANGE)
		writer->segment = writer->last;
	return 0;
}

bool ptrace_write_flush(struct ptrace_writer *writer)
{
	struct waiting *first;

	while ((first = writer->first)) {
		uint64_t skip;
		struct record *room = ring_room(writer->shared, first->record.bytes, &skip);

		if (!room)
			return false;
		memcpy(room, &first->record, first->record.bytes);
		ring_commit(writer->shared, first->record.bytes, skip);
		writer->first = first->next;
		if (writer->segment == &first->next)
			writer->segment = &writer->first;
		if (!writer->first)
			writer->last = &writer->first;
		free(first);
	}
	return true;
}

int ptrace_write(struct ptrace_writer *writer, const struct event *event, int nr)
{
	struct event copy = *event;
	const char **slot = event_text(&copy), *text = slot ? *slot : NULL;
	uint32_t bytes = record_bytes(event, text);
	struct record *room;
	uint64_t skip;

	if (writer->closed)
		return 0;
	room = !writer->first || ptrace_write_flush(writer) ? ring_room(writer->shared, bytes, &skip) : NULL;
	if (!room)
		return wait_for_room(writer, event, nr, text);
	record_fill(room, event, nr, text);
	ring_commit(writer->shared, bytes, skip);
	return 0;
}
