/* SPDX-License-Identifier: GPL-2.0-only */
#include "model/sym_client.h"

#include "base/clock.h"
#include "base/map.h"
#include "model/sym_debuginfod.h"
#include "model/sym_worker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* How often the reader may die of one object. */
#define STRIKES_MAX 3

/* The reader keeps its own time, of the CPU; this is for one that waits for a file system that never answers. */
#define ANSWER_MS	 60000
#define ANSWER_SERVER_MS 600000 /* where a debuginfod server is asked */

/* Questions that take longer than this are slow, and all of them together may take no longer than that. */
#define SLOW_MS	      1000
#define SLOW_TOTAL_MS 300000

/* Descriptors that the rest of heaptrace needs. */
#define OTHER_FDS 256

struct known {
	int fd;
	char *path;
	unsigned int strikes;
	unsigned int sent; /* the generation of the reader that knows it */
};

struct sym_client {
	int fd;
	pid_t pid;
	unsigned int generation; /* of the reader, from 1 */
	uint32_t next_id, next_query;
	struct map objects; /* by id + 1: struct known */
	size_t objects_max;
	bool failed;
	uint64_t slow_ms, unanswered;
	char packet[SYM_PACKET_MAX];
};

int sym_client_open(struct sym_client **ret_client)
{
	struct sym_client *client = calloc(1, sizeof(*client));
	struct rlimit files = { 1024, 1024 };
	int err;

	if (!client)
		return -ENOMEM;
	err = sym_worker_start(&client->fd, &client->pid);
	if (err) {
		free(client);
		return err;
	}
	getrlimit(RLIMIT_NOFILE, &files);
	client->generation = 1;
	client->objects_max = files.rlim_cur / 2 > OTHER_FDS ? files.rlim_cur - OTHER_FDS : files.rlim_cur / 2;
	if (client->objects_max > SYM_OBJECTS_MAX)
		client->objects_max = SYM_OBJECTS_MAX;
	*ret_client = client;
	return 0;
}

static void known_free(struct known *known)
{
	if (!known)
		return;
	if (known->fd >= 0)
		close(known->fd);
	free(known->path);
	free(known);
}

void sym_client_close(struct sym_client *client)
{
	struct known *known;
	size_t pos = 0;

	if (!client)
		return;
	close(client->fd);
	while (waitpid(client->pid, NULL, 0) < 0 && errno == EINTR)
		;
	while ((known = map_next(&client->objects, &pos, NULL)))
		known_free(known);
	map_free(&client->objects);
	free(client);
}

uint64_t sym_client_unanswered(const struct sym_client *client)
{
	return client->unanswered;
}

bool sym_client_full(const struct sym_client *client)
{
	return client->objects.count >= client->objects_max;
}

int sym_client_add(struct sym_client *client, int fd, const char *path, uint32_t *ret_id)
{
	struct known *known = sym_client_full(client) ? NULL : calloc(1, sizeof(*known));

	if (!known) {
		close(fd);
		return sym_client_full(client) ? -EMFILE : -ENOMEM;
	}
	known->fd = fd;
	known->path = path ? strdup(path) : NULL;
	if ((path && !known->path) || map_put(&client->objects, client->next_id + 1ull, known)) {
		known_free(known);
		return -ENOMEM;
	}
	*ret_id = client->next_id++;
	return 0;
}

static void tell_drop(const struct sym_client *client, uint32_t id)
{
	struct sym_head head = { .kind = SYM_DROP, .id = id };

	(void)!send(client->fd, &head, sizeof(head), MSG_NOSIGNAL);
}

void sym_client_drop(struct sym_client *client, uint32_t id)
{
	struct known *known = map_del(&client->objects, id + 1ull);

	if (known && known->sent == client->generation && !client->failed)
		tell_drop(client, id);
	known_free(known);
}

/* Tells the reader of an object that it does not know yet. 0 or -errno. */
static int introduce(struct sym_client *client, uint32_t id, struct known *known)
{
	struct sym_head head = { .kind = SYM_OBJECT, .id = id };
	const char *path = known->path ? known->path : "";
	struct iovec parts[] = { { &head, sizeof(head) }, { (void *)path, strlen(path) } };
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { .header = {
			      .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
	struct msghdr msg = {
		.msg_iov = parts, .msg_iovlen = 2, .msg_control = &control, .msg_controllen = sizeof(control)
	};

	if (known->sent == client->generation)
		return 0;
	if (parts[1].iov_len > SYM_PACKET_MAX - sizeof(head))
		parts[1].iov_len = 0;
	memcpy(CMSG_DATA(&control.header), &known->fd, sizeof(int));
	if (sendmsg(client->fd, &msg, MSG_NOSIGNAL) < 0)
		return -errno;
	known->sent = client->generation;
	return 0;
}

static struct known *usable(const struct sym_client *client, const struct sym_item *item)
{
	struct known *known = map_get(&client->objects, item->object + 1ull);

	return known && known->strikes < STRIKES_MAX ? known : NULL;
}

static int ask(struct sym_client *client, uint32_t query, const struct sym_item *items, unsigned int count)
{
	struct sym_head head = { .kind = SYM_FIND, .id = query, .count = count };
	struct iovec parts[] = { { &head, sizeof(head) }, { (void *)items, count * sizeof(*items) } };
	struct msghdr msg = { .msg_iov = parts, .msg_iovlen = 2 };

	for (unsigned int i = 0; i < count; i++) {
		struct known *known = usable(client, &items[i]);
		int err = known ? introduce(client, items[i].object, known) : 0;

		if (err)
			return err;
	}
	return sendmsg(client->fd, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Waits for a packet. Its length, or -errno; -EPIPE where the reader is gone for good. */
static ssize_t receive(struct sym_client *client)
{
	struct pollfd poll_fd = { .fd = client->fd, .events = POLLIN };
	ssize_t got;
	int ready;

	do
		ready = poll(&poll_fd, 1, sym_debuginfod_wanted() ? ANSWER_SERVER_MS : ANSWER_MS);
	while (ready < 0 && errno == EINTR);
	if (ready <= 0)
		return ready ? -errno : -ETIMEDOUT;
	do
		got = recv(client->fd, client->packet, sizeof(client->packet), 0);
	while (got < 0 && errno == EINTR);
	if (got <= 0)
		return got ? -errno : -EPIPE;
	return got;
}

struct query {
	uint32_t id;
	const struct sym_item *items;
	unsigned int count, answered;
	sym_answer_fn fn;
	void *ctx;
	unsigned int first; /* index of the first item for @fn */
};

/* Takes an answer. 0, -EBADMSG. */
static int take(struct sym_client *client, size_t len, struct query *query)
{
	struct sym_frame frames[SYM_FRAMES_MAX];
	struct sym_head head;
	size_t pos = sizeof(head);
	int count;

	memcpy(&head, client->packet, sizeof(head));
	/* A new reader may find a question that its predecessor died before. */
	if (head.kind == SYM_FOUND && head.id != query->id)
		return 0;
	if (head.kind != SYM_FOUND || head.first != query->answered || head.count > query->count - query->answered)
		return -EBADMSG;
	for (unsigned int i = 0; i < head.count; i++) {
		count = sym_wire_take(client->packet, len, &pos, frames);
		if (count < 0)
			return count;
		/* The reader was not told of an object that it may not have. */
		if (!usable(client, &query->items[query->answered]))
			client->unanswered++;
		query->fn(query->ctx, query->first + query->answered, frames, (unsigned int)count);
		query->answered++;
	}
	return 0;
}

/* Asks once. 0; -ECHILD where the reader died of it, answered items left out; or -errno. */
static int try_query(struct sym_client *client, struct query *query)
{
	struct sym_head head;
	int err;

	query->id = client->next_query++;
	err = ask(client, query->id, query->items, query->count);
	while (!err && query->answered < query->count) {
		ssize_t got = receive(client);

		if (got < (ssize_t)sizeof(head))
			return got < 0 ? (int)got : -EBADMSG;
		memcpy(&head, client->packet, sizeof(head));
		if (head.kind == SYM_DIED) {
			client->generation++;
			return -ECHILD;
		}
		err = take(client, (size_t)got, query);
	}
	return err;
}

static uint64_t now_ms(void)
{
	return clock_ns(CLOCK_MONOTONIC) / 1000000;
}

/* Asks for each item alone, so that only the one is lost that the reader dies of. 0 or -errno. */
static int query_one_by_one(struct sym_client *client, struct query *all)
{
	for (unsigned int i = all->answered; i < all->count; i++) {
		struct query one = { .items = &all->items[i], .count = 1, .fn = all->fn, .ctx = all->ctx, .first = i };
		struct known *known = usable(client, one.items);
		int err = known ? try_query(client, &one) : 0;

		if (err && err != -ECHILD)
			return err;
		if (err || !known) {
			all->fn(all->ctx, i, NULL, 0);
			client->unanswered++;
		}
		/* Whichever reader there is now, it may have been told of it. */
		if (err && ++known->strikes == STRIKES_MAX)
			tell_drop(client, all->items[i].object);
		all->answered++;
	}
	return 0;
}

int sym_client_find(struct sym_client *client, const struct sym_item *items, unsigned int count, sym_answer_fn fn,
		    void *ctx)
{
	struct query query = { .items = items, .count = count, .fn = fn, .ctx = ctx };
	uint64_t begin = now_ms(), took;
	int err;

	if (client->failed || !count) {
		client->unanswered += count;
		return client->failed ? -EPIPE : 0;
	}
	err = try_query(client, &query);
	if (err == -ECHILD)
		err = query_one_by_one(client, &query);
	took = now_ms() - begin;
	if (took > SLOW_MS && !sym_debuginfod_wanted())
		client->slow_ms += took;
	if (!err && client->slow_ms < SLOW_TOTAL_MS)
		return 0;
	/* Out of step with the reader: nothing that it says can be told apart any more. Or it takes too much time. */
	if (err)
		client->unanswered += count - query.answered;
	client->failed = true;
	kill(client->pid, SIGKILL);
	return err;
}
