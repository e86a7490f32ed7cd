/* SPDX-License-Identifier: GPL-2.0-only */
#include "event/event_queue.h"

#include "base/buf.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define STRINGS_MAX 2
/* So much is put before the taker is woken without being told to. */
#define TELL_BYTES  (64u << 10)
#define ALIGNMENT   8u

/* An event as it lies in the queue. Behind it are its frames: their addresses, then for each whether it is exact; then its
 * strings, each with its NUL. */
struct entry {
	size_t bytes; /* with all that */
	struct event event;
};

struct event_queue {
	pthread_mutex_t lock;
	pthread_cond_t room;
	/* Under the lock. */
	struct buf put;
	bool told; /* of what is in it */
	bool ended, abandoned;
	int result;
	/* The taker's. */
	struct buf taken;
	struct frame *frames;
	size_t frames_room;

	size_t bytes_max;
	int ready_fd; /* an eventfd: something is there, or it is over */
};

struct event_queue *event_queue_new(size_t bytes_max)
{
	struct event_queue *queue = calloc(1, sizeof(*queue));

	if (!queue)
		return NULL;
	queue->bytes_max = bytes_max;
	queue->ready_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (queue->ready_fd < 0) {
		free(queue);
		return NULL;
	}
	pthread_mutex_init(&queue->lock, NULL);
	pthread_cond_init(&queue->room, NULL);
	return queue;
}

void event_queue_free(struct event_queue *queue)
{
	if (!queue)
		return;
	close(queue->ready_fd);
	pthread_cond_destroy(&queue->room);
	pthread_mutex_destroy(&queue->lock);
	buf_free(&queue->put);
	buf_free(&queue->taken);
	free(queue->frames);
	free(queue);
}

/* The strings of @event that are not static. Their number. */
static unsigned int strings_of(struct event *event, const char ***out)
{
	switch (event->kind) {
	case EVENT_CHANGE:
		out[0] = &event->change.name; /* an actor's is its own */
		out[1] = &event->change.text;
		return 2;
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

/* Appends a copy of @event to @buf. 0 or -ENOMEM. */
static int entry_put(struct buf *buf, const struct event *event)
{
	unsigned int frames = frames_of(event), count;
	struct entry entry = { .event = *event };
	const char **strings[STRINGS_MAX];
	char *start, *at;

	count = strings_of(&entry.event, strings);
	entry.bytes = sizeof(entry) + frames * (sizeof(uint64_t) + 1);
	for (unsigned int i = 0; i < count; i++)
		entry.bytes += *strings[i] ? strlen(*strings[i]) + 1 : 0;
	entry.bytes = (entry.bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
	start = at = buf_reserve(buf, entry.bytes);
	if (!at)
		return -ENOMEM;
	memcpy(at, &entry, sizeof(entry));
	at += sizeof(entry);
	for (unsigned int i = 0; i < frames; i++, at += sizeof(uint64_t))
		memcpy(at, &event->change.stack[i].addr, sizeof(uint64_t));
	for (unsigned int i = 0; i < frames; i++)
		*at++ = event->change.stack[i].exact ? 1 : 0;
	for (unsigned int i = 0; i < count; i++)
		at = *strings[i] ? string_put(at, *strings[i]) : at;
	memset(at, 0, (size_t)(start + entry.bytes - at));
	buf->len += entry.bytes;
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

int event_queue_put(void *queue_, const struct event *event)
{
	struct event_queue *queue = queue_;
	int err;

	pthread_mutex_lock(&queue->lock);
	while (queue->put.len >= queue->bytes_max && !queue->abandoned) {
		if (!queue->told)
			tell(queue);
		pthread_cond_wait(&queue->room, &queue->lock);
	}
	err = queue->abandoned ? -ECANCELED : entry_put(&queue->put, event);
	if (!queue->told && queue->put.len >= TELL_BYTES)
		tell(queue);
	pthread_mutex_unlock(&queue->lock);
	return err;
}

void event_queue_flush(struct event_queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	if (queue->put.len && !queue->told)
		tell(queue);
	pthread_mutex_unlock(&queue->lock);
}

void event_queue_end(struct event_queue *queue, int result)
{
	pthread_mutex_lock(&queue->lock);
	queue->ended = true;
	queue->result = result;
	tell(queue);
	pthread_mutex_unlock(&queue->lock);
}

void event_queue_abandon(struct event_queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	queue->abandoned = true;
	pthread_cond_signal(&queue->room);
	pthread_mutex_unlock(&queue->lock);
}

/* Waits until the taker is told of something; true where nothing more will be put. */
static bool ready_wait(struct event_queue *queue, int timeout_ms)
{
	struct pollfd poll_fd = { .fd = queue->ready_fd, .events = POLLIN };
	struct buf empty = queue->taken;
	uint64_t times;
	bool ended;

	if (poll(&poll_fd, 1, timeout_ms) > 0)
		(void)!read(queue->ready_fd, &times, sizeof(times));
	pthread_mutex_lock(&queue->lock);
	ended = queue->ended;
	queue->taken = queue->put;
	queue->put = empty;
	queue->told = ended;
	pthread_cond_signal(&queue->room);
	pthread_mutex_unlock(&queue->lock);
	return ended;
}

int event_queue_take(struct event_queue *queue, int timeout_ms, event_fn fn, void *ctx, int *ret_result)
{
	bool ended = ready_wait(queue, timeout_ms);
	size_t at = 0;
	int err = 0;

	while (!err && at < queue->taken.len) {
		struct entry *entry = (struct entry *)(queue->taken.data + at);

		at += entry->bytes;
		err = entry_restore(queue, entry);
		if (!err)
			err = fn(ctx, &entry->event);
	}
	buf_reset(&queue->taken);
	if (err)
		return err;
	if (!ended)
		return at > 0;
	*ret_result = queue->result;
	return -ENODATA;
}
