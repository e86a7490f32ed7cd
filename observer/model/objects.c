/* SPDX-License-Identifier: GPL-2.0-only */
#include "model/objects.h"

#include "base/map.h"

#include <errno.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#define VDSO_PATH "[vdso]"

/* Objects without a reference that are kept; one that is used again needs no new reading. */
#define UNUSED_MAX 256

struct object {
	struct objects *objects;
	struct object *next;		/* of the same hash */
	struct object *older, *younger; /* among the unused */
	uint64_t hash;
	struct stat identity; /* st_mode 0: no file was opened */
	uint32_t id;	      /* the client's */
	bool readable;
	unsigned int refs;
	struct map named; /* by offset + 1: struct named */
	size_t bytes;	  /* of those */
	char path[];
};

struct objects {
	struct sym_client *client;
	struct map table; /* by hash: a list of struct object */
	struct object *oldest, *youngest;
	unsigned int unused;
	size_t bytes;
};

struct objects *objects_new(struct sym_client *client)
{
	struct objects *objects = calloc(1, sizeof(*objects));

	if (objects)
		objects->client = client;
	else
		sym_client_close(client);
	return objects;
}

static void forget_names(struct object *object)
{
	struct named *named;
	size_t pos = 0;

	while ((named = map_next(&object->named, &pos, NULL)))
		free(named);
	map_free(&object->named);
	object->objects->bytes -= object->bytes;
	object->bytes = 0;
}

static void object_free(struct object *object)
{
	forget_names(object);
	if (object->readable)
		sym_client_drop(object->objects->client, object->id);
	free(object);
}

void objects_free(struct objects *objects)
{
	struct object *object, *next;
	size_t pos = 0;

	if (!objects)
		return;
	while ((object = map_next(&objects->table, &pos, NULL))) {
		for (; object; object = next) {
			next = object->next;
			object_free(object);
		}
	}
	map_free(&objects->table);
	sym_client_close(objects->client);
	free(objects);
}

static uint64_t hash_of(const struct stat *st, const char *path)
{
	uint64_t hash = 0xcbf29ce484222325ULL;

	for (; *path; path++)
		hash = (hash ^ (unsigned char)*path) * 0x100000001b3ULL;
	return (hash ^ st->st_ino) * 0x9e3779b97f4a7c15ULL ^ st->st_dev;
}

/* A file that was written to is another one. */
static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static void take_from_unused(struct object *object)
{
	struct objects *objects = object->objects;

	*(object->older ? &object->older->younger : &objects->oldest) = object->younger;
	*(object->younger ? &object->younger->older : &objects->youngest) = object->older;
	object->older = object->younger = NULL;
	objects->unused--;
}

static void put_to_unused(struct object *object)
{
	struct objects *objects = object->objects;

	object->older = objects->youngest;
	*(objects->youngest ? &objects->youngest->younger : &objects->oldest) = object;
	objects->youngest = object;
	objects->unused++;
}

/* Takes the oldest unused object out and frees it. */
static void drop_oldest(struct objects *objects)
{
	struct object *object = objects->oldest, *first = map_get(&objects->table, object->hash);

	take_from_unused(object);
	if (first == object) {
		if (object->next)
			(void)map_put(&objects->table, object->hash, object->next);
		else
			map_del(&objects->table, object->hash);
	} else {
		while (first->next != object)
			first = first->next;
		first->next = object->next;
	}
	object_free(object);
}

struct object *object_hold(struct object *object)
{
	if (!object->refs++)
		take_from_unused(object);
	return object;
}

void object_release(struct object *object)
{
	if (!object || --object->refs)
		return;
	put_to_unused(object);
	while (object->objects->unused > UNUSED_MAX)
		drop_oldest(object->objects);
}

/* A new object that is not in the table yet. It takes @fd, which may be -1. */
static struct object *object_new(struct objects *objects, int fd, const struct stat *st, const char *path)
{
	size_t size = strlen(path) + 1;
	struct object *object = calloc(1, sizeof(*object) + size);

	if (!object) {
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	object->objects = objects;
	object->identity = *st;
	object->hash = hash_of(st, path);
	object->refs = 1;
	memcpy(object->path, path, size);
	while (fd >= 0 && objects->client && objects->oldest && sym_client_full(objects->client))
		drop_oldest(objects);
	if (fd >= 0 && objects->client)
		object->readable = !sym_client_add(objects->client, fd, path, &object->id);
	else if (fd >= 0)
		close(fd);
	return object;
}

/* Finds the object in the table, or puts a new one there. Takes @fd. */
static struct object *find_or_add(struct objects *objects, int fd, const struct stat *st, const char *path)
{
	uint64_t hash = hash_of(st, path);
	struct object *object;

	for (object = map_get(&objects->table, hash); object; object = object->next) {
		if (!same_file(&object->identity, st) || strcmp(object->path, path) != 0)
			continue;
		if (fd >= 0)
			close(fd);
		return object_hold(object);
	}
	object = object_new(objects, fd, st, path);
	if (!object)
		return NULL;
	/* object_new() may have dropped others: the list is looked up again. */
	object->next = map_get(&objects->table, hash);
	if (map_put(&objects->table, hash, object)) {
		object_free(object);
		return NULL;
	}
	return object;
}

struct object *objects_get(struct objects *objects, const struct mapfile *map)
{
	struct stat st;
	int fd = objects->client ? mapfile_open(map, &st) : -1;

	if (fd < 0)
		st = (struct stat){ .st_dev = map->dev, .st_ino = map->inode };
	return find_or_add(objects, fd, &st, map->path);
}

/* Our own vDSO in a file without a name; -1 where that cannot be had, or is not of @bytes: a process of another kind has
 * another. */
static int vdso_file(uint64_t bytes)
{
	const char *image = (const char *)getauxval(AT_SYSINFO_EHDR);
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), ours = 0;
	int fd;

	if (image) {
		const ElfW(Ehdr) *head = (const void *)image;

		/* Its last part are the section headers. */
		ours = (head->e_shoff + (uint64_t)head->e_shnum * head->e_shentsize + page - 1) & ~(page - 1);
	}
	if (!ours || ours != bytes)
		return -1;
	fd = memfd_create("vdso", MFD_CLOEXEC);
	if (fd >= 0 && write(fd, image, bytes) != (ssize_t)bytes) {
		close(fd);
		return -1;
	}
	return fd;
}

struct object *objects_vdso(struct objects *objects, uint64_t bytes)
{
	/* st_size keeps that of another kind of process apart, whose vDSO is not ours. */
	struct stat st = { .st_size = (off_t)bytes };

	return find_or_add(objects, objects->client ? vdso_file(bytes) : -1, &st, VDSO_PATH);
}

const char *object_path(const struct object *object)
{
	return object->path;
}

const struct named *object_named(const struct object *object, uint64_t offset)
{
	return map_get(&object->named, offset + 1);
}

static char *copy_string(char **at, const char *str)
{
	char *copy = *at;
	size_t size = strlen(str) + 1;

	memcpy(copy, str, size);
	*at += size;
	return copy;
}

/* Frames and their strings in one block. */
static struct named *named_new(const struct sym_frame *frames, unsigned int count, size_t *ret_bytes)
{
	size_t bytes = sizeof(struct named) + count * sizeof(*frames);
	struct named *named;
	char *at;

	for (unsigned int i = 0; i < count; i++) {
		bytes += frames[i].symbol ? strlen(frames[i].symbol) + 1 : 0;
		bytes += frames[i].file ? strlen(frames[i].file) + 1 : 0;
	}
	named = malloc(bytes);
	if (!named)
		return NULL;
	named->count = count;
	at = (char *)&named->frames[count];
	for (unsigned int i = 0; i < count; i++) {
		named->frames[i] = frames[i];
		if (frames[i].symbol)
			named->frames[i].symbol = copy_string(&at, frames[i].symbol);
		if (frames[i].file)
			named->frames[i].file = copy_string(&at, frames[i].file);
	}
	*ret_bytes = bytes;
	return named;
}

/* One packet's worth of questions. */
struct batch {
	struct objects *objects;
	struct object *whose[SYM_ITEMS_MAX];
	struct sym_item items[SYM_ITEMS_MAX];
	unsigned int count;
	int err;
};

static void on_answer(void *ctx, unsigned int index, const struct sym_frame *frames, unsigned int count)
{
	struct batch *batch = ctx;
	struct object *object = batch->whose[index];
	size_t bytes = 0;
	struct named *named;

	if (object_named(object, batch->items[index].offset))
		return;
	named = named_new(frames, count, &bytes);
	if (!named || map_put(&object->named, batch->items[index].offset + 1, named)) {
		free(named);
		batch->err = -ENOMEM;
		return;
	}
	object->bytes += bytes;
	batch->objects->bytes += bytes;
}

/* Asks; what gets no answer is noted as having no names. */
static int batch_ask(struct batch *batch)
{
	if (!batch->count || !sym_client_find(batch->objects->client, batch->items, batch->count, on_answer, batch))
		return batch->err;
	for (unsigned int i = 0; i < batch->count; i++)
		on_answer(batch, i, NULL, 0);
	return batch->err;
}

int objects_name(struct objects *objects, const struct object_query *queries, unsigned int count)
{
	struct batch batch = { .objects = objects };
	int err = 0;

	for (unsigned int i = 0; i < count && !err; i++) {
		struct object *object = queries[i].object;

		if (!object->readable || object_named(object, queries[i].offset))
			continue;
		batch.whose[batch.count] = object;
		batch.items[batch.count++] = (struct sym_item){ .object = object->id, .offset = queries[i].offset };
		if (batch.count == SYM_ITEMS_MAX) {
			err = batch_ask(&batch);
			batch.count = 0;
		}
	}
	return err ? err : batch_ask(&batch);
}

uint64_t objects_unanswered(const struct objects *objects)
{
	return objects->client ? sym_client_unanswered(objects->client) : 0;
}

size_t objects_bytes(const struct objects *objects)
{
	return objects->bytes;
}

void objects_purge(struct objects *objects)
{
	struct object *object;
	size_t pos = 0;

	while ((object = map_next(&objects->table, &pos, NULL))) {
		for (; object; object = object->next)
			forget_names(object);
	}
}
