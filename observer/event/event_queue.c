/* SPDX-License-Identifier: GPL-2.0-only */
#include "event/event_queue.h"

#include "base/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define STRINGS_MAX 2
/* So much is put before it is handed over without being told to. */
#define BATCH_BYTES (64u << 10)
#define ALIGNMENT   8u
/* Files that are kept open for events at most. */
#define FILES_MAX   128u

/* An event as it lies in the queue. Behind it are its frames: their addresses, then for each whether it is exact; then its
 * strings, each with its NUL. */
struct entry {
	size_t bytes; /* with all that */
	int code_fd;  /* what the event's points to; -1: none */
	struct event event;
};

/* Events that are handed over together: the lock is taken once for hundreds. */
struct batch {
	struct batch *next;
	struct buf entries;
	unsigned int files; /* open for them */
};

struct event_queue {
	size_t bytes_max, batch_bytes;
	int ready_fd; /* an eventfd: something is there, or it is over */
	atomic_bool abandoned;
	atomic_uint files;     /* open for events */
	struct batch *filling; /* the putter's; NULL: none yet */
	/* The taker's. */
	struct batch *done; /* to be given back */
	struct frame *frames;
	size_t frames_room;
	/* Under the lock. */
	pthread_mutex_t lock;
	pthread_cond_t room;
	struct batch *first, **last; /* handed over */
	struct batch *spare;
	size_t bytes; /* handed over */
	bool told;    /* of what is handed over */
	bool ended;
	int result;
};

struct event_queue *event_queue_new(size_t bytes_max)
{
	struct event_queue *queue = calloc(1, sizeof(*queue));

	if (!queue)
		return NULL;
	queue->bytes_max = bytes_max;
	queue->batch_bytes = bytes_max < BATCH_BYTES ? bytes_max : BATCH_BYTES;
	queue->last = &queue->first;
	queue->ready_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (queue->ready_fd < 0) {
		free(queue);
		return NULL;
	}
	pthread_mutex_init(&queue->lock, NULL);
	pthread_cond_init(&queue->room, NULL);
	return queue;
}

/* Has @batch be empty. */
static void batch_clear(struct event_queue *queue, struct batch *batch)
{
	for (size_t at = 0; batch->files;) {
		const struct entry *entry = (const struct entry *)(batch->entries.data + at);

		at += entry->bytes;
		if (entry->code_fd < 0)
			continue;
		close(entry->code_fd);
		atomic_fetch_sub(&queue->files, 1);
		batch->files--;
	}
	buf_reset(&batch->entries);
}

static void batches_free(struct event_queue *queue, struct batch *batch)
{
	while (batch) {
		struct batch *next = batch->next;

		batch_clear(queue, batch);
		buf_free(&batch->entries);
		free(batch);
		batch = next;
	}
}

void event_queue_free(struct event_queue *queue)
{
	if (!queue)
		return;
	close(queue->ready_fd);
	pthread_cond_destroy(&queue->room);
	pthread_mutex_destroy(&queue->lock);
	batches_free(queue, queue->filling);
	batches_free(queue, queue->first);
	batches_free(queue, queue->done);
	batches_free(queue, queue->spare);
	free(queue->frames);
	free(queue);
}

/* The strings of @event that are not static. Their number. */
static unsigned int strings_of(struct event *event, const char ***out)
{
	switch (event->kind) {
	case EVENT_CHANGE:
		out[0] = &event->change.text;
		out[1] = &event->change.name;
		return event->change.cause == CAUSE_KERNEL ? 2 : 1;
	case EVENT_MM_OPEN:
		out[0] = &event->open.image;
		return 1;
	case EVENT_VMA:
		out[0] = &event->vma.path;
		return 1;
	case EVENT_MARK:
		out[0] = &event->mark.name;
		return 1;
	case EVENT_MM_CLOSE:
	case EVENT_SAMPLE:
	case EVENT_PROC_EXIT:
	case EVENT_LOST:
		break;
	}
	return 0;
}

/* What of an event of each kind there is to copy. */
#define BYTES_WITH(member) (offsetof(struct event, member) + sizeof(((struct event *)NULL)->member))
static const size_t kind_bytes[] = {
	[EVENT_CHANGE] = BYTES_WITH(change),	   [EVENT_MM_OPEN] = BYTES_WITH(open),
	[EVENT_MM_CLOSE] = BYTES_WITH(close),	   [EVENT_VMA] = BYTES_WITH(vma),
	[EVENT_MARK] = BYTES_WITH(mark),	   [EVENT_SAMPLE] = BYTES_WITH(sample),
	[EVENT_PROC_EXIT] = BYTES_WITH(proc_exit), [EVENT_LOST] = BYTES_WITH(lost),
};

static unsigned int frames_of(const struct event *event)
{
	return event->kind == EVENT_CHANGE ? event->change.stack_len : 0;
}

static char *string_put(char *at, const char *string)
{
	size_t size = strlen(string) + 1;

	memcpy(at, string, size);
	return at + size;
}

/* A descriptor of the queue's own of the file that @event maps; -1: there is none. */
static int file_put(struct event_queue *queue, const struct event *event)
{
	int fd = -1;

	if (event->code_fd && atomic_load(&queue->files) < FILES_MAX)
		fd = fcntl(*event->code_fd, F_DUPFD_CLOEXEC, 0);
	if (fd >= 0) {
		atomic_fetch_add(&queue->files, 1);
		queue->filling->files++;
	}
	return fd;
}

/* Appends a copy of @event to what is being filled. 0 or -ENOMEM. */
static int entry_put(struct event_queue *queue, const struct event *event)
{
	size_t frames = frames_of(event), bytes = sizeof(struct entry) + frames * (sizeof(uint64_t) + 1);
	const char **strings[STRINGS_MAX];
	unsigned int count = strings_of((struct event *)event, strings); /* to be read only */
	struct entry *entry;
	char *at;

	for (unsigned int i = 0; i < count; i++)
		bytes += *strings[i] ? strlen(*strings[i]) + 1 : 0;
	bytes = (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
	entry = (struct entry *)buf_reserve(&queue->filling->entries, bytes);
	if (!entry)
		return -ENOMEM;
	entry->bytes = bytes;
	entry->code_fd = file_put(queue, event);
	memcpy(&entry->event, event, kind_bytes[event->kind]);
	at = (char *)(entry + 1);
	for (size_t i = 0; i < frames; i++, at += sizeof(uint64_t))
		memcpy(at, &event->change.stack[i].addr, sizeof(uint64_t));
	for (size_t i = 0; i < frames; i++)
		*at++ = event->change.stack[i].exact ? 1 : 0;
	for (unsigned int i = 0; i < count; i++)
		at = *strings[i] ? string_put(at, *strings[i]) : at;
	queue->filling->entries.len += bytes;
	return 0;
}

/* Has the event of @entry point to what lies behind it. 0 or -ENOMEM. */
static int entry_restore(struct event_queue *queue, struct entry *entry)
{
	unsigned int frames = frames_of(&entry->event), count;
	const char *at = (const char *)(entry + 1), *exact = at + frames * sizeof(uint64_t);
	const char **strings[STRINGS_MAX];

	if (frames > queue->frames_room) {
		struct frame *wider = reallocarray(queue->frames, frames, sizeof(*wider));

		if (!wider)
			return -ENOMEM;
		queue->frames = wider;
		queue->frames_room = frames;
	}
	for (unsigned int i = 0; i < frames; i++) {
		queue->frames[i] = (struct frame){ .exact = exact[i] != 0 };
		memcpy(&queue->frames[i].addr, at + i * sizeof(uint64_t), sizeof(uint64_t));
	}
	if (frames)
		entry->event.change.stack = queue->frames;
	entry->event.code_fd = entry->code_fd < 0 ? NULL : &entry->code_fd;
	at = exact + frames;
	count = strings_of(&entry->event, strings);
	for (unsigned int i = 0; i < count; i++) {
		if (!*strings[i])
			continue;
		*strings[i] = at;
		at += strlen(at) + 1;
	}
	return 0;
}

/* Wakes the taker, with the lock held. */
static void tell(struct event_queue *queue)
{
	const uint64_t one = 1;

	queue->told = true;
	while (write(queue->ready_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

/* Hands over what was put; waits while the queue is full. */
static void hand_over(struct event_queue *queue)
{
	struct batch *batch = queue->filling;

	pthread_mutex_lock(&queue->lock);
	while (queue->bytes >= queue->bytes_max && !atomic_load(&queue->abandoned))
		pthread_cond_wait(&queue->room, &queue->lock);
	*queue->last = batch;
	queue->last = &batch->next;
	queue->bytes += batch->entries.len;
	queue->filling = queue->spare;
	if (queue->filling) {
		queue->spare = queue->filling->next;
		queue->filling->next = NULL;
	}
	if (!queue->told)
		tell(queue);
	pthread_mutex_unlock(&queue->lock);
}

int event_queue_put(void *queue_, const struct event *event)
{
	struct event_queue *queue = queue_;

	if (atomic_load_explicit(&queue->abandoned, memory_order_relaxed))
		return -ECANCELED;
	if (!queue->filling)
		queue->filling = calloc(1, sizeof(*queue->filling));
	if (!queue->filling || entry_put(queue, event))
		return -ENOMEM;
	if (queue->filling->entries.len >= queue->batch_bytes)
		hand_over(queue);
	return 0;
}

void event_queue_flush(struct event_queue *queue)
{
	if (queue->filling && queue->filling->entries.len)
		hand_over(queue);
}

void event_queue_end(struct event_queue *queue, int result)
{
	event_queue_flush(queue);
	pthread_mutex_lock(&queue->lock);
	queue->ended = true;
	queue->result = result;
	tell(queue);
	pthread_mutex_unlock(&queue->lock);
}

void event_queue_abandon(struct event_queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	atomic_store(&queue->abandoned, true);
	pthread_cond_signal(&queue->room);
	pthread_mutex_unlock(&queue->lock);
}

/* Waits until the taker is told of something, and takes all that is handed over; *@ret_ended: nothing more will be. */
static struct batch *batches_take(struct event_queue *queue, int timeout_ms, bool *ret_ended)
{
	struct pollfd poll_fd = { .fd = queue->ready_fd, .events = POLLIN };
	struct batch *first;
	uint64_t times;

	if (poll(&poll_fd, 1, timeout_ms) > 0)
		(void)!read(queue->ready_fd, &times, sizeof(times));
	pthread_mutex_lock(&queue->lock);
	while (queue->done) {
		struct batch *batch = queue->done;

		queue->done = batch->next;
		batch->next = queue->spare;
		queue->spare = batch;
	}
	first = queue->first;
	queue->first = NULL;
	queue->last = &queue->first;
	queue->bytes = 0;
	*ret_ended = queue->told = queue->ended;
	pthread_cond_signal(&queue->room);
	pthread_mutex_unlock(&queue->lock);
	return first;
}

static int batch_deliver(struct event_queue *queue, const struct batch *batch, event_fn fn, void *ctx)
{
	int err = 0;

	for (size_t at = 0; !err && at < batch->entries.len;) {
		struct entry *entry = (struct entry *)(batch->entries.data + at);

		at += entry->bytes;
		err = entry_restore(queue, entry);
		if (!err)
			err = fn(ctx, &entry->event);
	}
	return err;
}

int event_queue_take(struct event_queue *queue, int timeout_ms, event_fn fn, void *ctx, int *ret_result)
{
	bool ended;
	struct batch *batch = batches_take(queue, timeout_ms, &ended), *next;
	int err = 0, any = batch != NULL;

	for (; batch; batch = next) {
		next = batch->next;
		if (!err)
			err = batch_deliver(queue, batch, fn, ctx);
		batch_clear(queue, batch);
		batch->next = queue->done;
		queue->done = batch;
	}
	if (err || !ended)
		return err ? err : any;
	*ret_result = queue->result;
	return -ENODATA;
}
