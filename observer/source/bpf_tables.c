/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/bpf_tables.h"

#include "source/table.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* A file that is to be compiled. Its object stays as it is: one that is mapped is not freed. */
struct job {
	struct job *next;
	struct unwind_file *file;
	struct wire_object *out;
};

struct bpf_tables {
	struct wire_object *objects; /* shared with the programs */
	uint32_t object_count;
	int chunks_fd, known_fd;
	struct map indices; /* serial of a file -> its object */
	/* The compiler's. */
	struct wire_page *chunks[TABLE_CHUNKS]; /* shared with the programs; NULL: not made yet */
	uint32_t page_count;			/* given away */
	/* Between it and the owner. */
	pthread_t compiler;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct job *first, **last; /* to do; the first one is being done */
	struct job *done;
	bool runs, stops;
};

#define CHUNK_BYTES   (TABLE_CHUNK_PAGES * sizeof(struct wire_page))
#define OBJECTS_BYTES (STACK_OBJECTS * sizeof(struct wire_object))

static void *map_share(int fd, size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *memory = mmap(NULL, (bytes + page - 1) / page * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

/* Makes the chunk @number. Replacing an entry of a map of maps waits for all programs that run: they are few and large. */
static int chunk_make(struct bpf_tables *tables, uint32_t number)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "ht_rules", sizeof(uint32_t), sizeof(struct wire_page),
				TABLE_CHUNK_PAGES, &options);
	int err = 0;

	if (fd < 0)
		return fd;
	tables->chunks[number] = map_share(fd, CHUNK_BYTES);
	if (!tables->chunks[number] || bpf_map_update_elem(tables->chunks_fd, &number, &fd, BPF_ANY))
		err = -errno;
	if (err && tables->chunks[number]) {
		munmap(tables->chunks[number], CHUNK_BYTES);
		tables->chunks[number] = NULL;
	}
	close(fd); /* the map of maps holds it */
	return err;
}

struct bpf_tables *bpf_tables_new(struct bpf_kernel_side *side)
{
	struct bpf_tables *tables = calloc(1, sizeof(*tables));
	int err = -ENOMEM;

	if (!tables)
		return NULL;
	tables->last = &tables->first;
	pthread_mutex_init(&tables->lock, NULL);
	pthread_cond_init(&tables->changed, NULL);
	tables->chunks_fd = bpf_kernel_map_fd(side, "chunks");
	tables->known_fd = bpf_kernel_map_fd(side, "known_files");
	tables->objects = map_share(bpf_kernel_map_fd(side, "objects"), OBJECTS_BYTES);
	if (tables->objects)
		err = chunk_make(tables, 0);
	if (!err)
		return tables;
	bpf_tables_free(tables);
	errno = -err;
	return NULL;
}

static void compiler_stop(struct bpf_tables *tables)
{
	if (!tables->runs)
		return;
	pthread_mutex_lock(&tables->lock);
	tables->stops = true;
	pthread_cond_broadcast(&tables->changed);
	pthread_mutex_unlock(&tables->lock);
	pthread_join(tables->compiler, NULL);
}

static void jobs_free(struct job *job)
{
	while (job) {
		struct job *next = job->next;

		job->file->maps--;
		free(job);
		job = next;
	}
}

void bpf_tables_free(struct bpf_tables *tables)
{
	if (!tables)
		return;
	compiler_stop(tables);
	jobs_free(tables->first);
	jobs_free(tables->done);
	pthread_cond_destroy(&tables->changed);
	pthread_mutex_destroy(&tables->lock);
	for (uint32_t i = 0; i < TABLE_CHUNKS; i++)
		if (tables->chunks[i])
			munmap(tables->chunks[i], CHUNK_BYTES);
	if (tables->objects)
		munmap(tables->objects, OBJECTS_BYTES);
	map_free(&tables->indices);
	free(tables);
}

static struct wire_page *page_at(void *ctx, uint32_t number)
{
	struct bpf_tables *tables = ctx;
	uint32_t chunk = number >> TABLE_CHUNK_SHIFT;

	if (chunk >= TABLE_CHUNKS || (!tables->chunks[chunk] && chunk_make(tables, chunk)))
		return NULL;
	return &tables->chunks[chunk][number & (TABLE_CHUNK_PAGES - 1)];
}

/* Has the programs recognise @file, unless its code lies in several segments: then only the loader can tell them apart.
 * Where this fails, they wait for the loader. */
static void file_publish(struct bpf_tables *tables, const struct unwind_file *file, uint32_t index)
{
	const struct object_segment *segment = &file->object.segments[0];
	struct wire_known known = { .shift = segment->offset - segment->addr, .object = index };
	struct wire_file key = { 0 };

	if (file->object.segment_count != 1)
		return;
	if (file->inode)
		key = (struct wire_file){ .inode = file->inode,
					  .size = file->size,
					  .mtime_s = file->mtime_ns / 1000000000,
					  .mtime_ns = (uint32_t)(file->mtime_ns % 1000000000),
					  .dev = (uint32_t)(major(file->dev) << 20 | minor(file->dev)) };
	bpf_map_update_elem(tables->known_fd, &key, &known, BPF_ANY);
}

/* Compiles @file and hands it to the programs as @out, the state last. Where that is too much for them it stays unknown, so that
 * stacks are copied. */
static void object_publish(struct bpf_tables *tables, const struct unwind_file *file, struct wire_object *out)
{
	struct wire_object object = { .state = OBJECT_BARE };
	struct table *table = NULL;
	int err = file->usable ? table_compile(&file->object, &table) : -ENODATA;

	if (!err)
		err = table_write(table, tables->page_count, page_at, tables, &object);
	if (!err)
		tables->page_count += table_pages(table);
	table_free(table);
	if (err && err != -ENODATA)
		return;
	memcpy((char *)out + sizeof(out->state), (char *)&object + sizeof(object.state),
	       sizeof(object) - sizeof(object.state));
	__atomic_store_n(&out->state, object.state, __ATOMIC_RELEASE);
}

static void *compiler_run(void *ctx)
{
	struct bpf_tables *tables = ctx;
	struct job *job;

	pthread_mutex_lock(&tables->lock);
	while (!tables->stops) {
		job = tables->first;
		if (!job) {
			pthread_cond_wait(&tables->changed, &tables->lock);
			continue;
		}
		pthread_mutex_unlock(&tables->lock);
		object_publish(tables, job->file, job->out);
		if (job->out->state == OBJECT_READY)
			file_publish(tables, job->file, (uint32_t)(job->out - tables->objects));
		pthread_mutex_lock(&tables->lock);
		tables->first = job->next;
		if (!tables->first)
			tables->last = &tables->first;
		job->next = tables->done;
		tables->done = job;
		pthread_cond_broadcast(&tables->changed);
	}
	pthread_mutex_unlock(&tables->lock);
	return NULL;
}

/* Has the compiler hand over @file as @out. 0 or -errno. */
static int job_give(struct bpf_tables *tables, struct unwind_file *file, struct wire_object *out)
{
	struct job *job = malloc(sizeof(*job)), *done;
	int err = job ? 0 : -ENOMEM;

	if (!err && !tables->runs) {
		err = -pthread_create(&tables->compiler, NULL, compiler_run, tables);
		tables->runs = !err;
	}
	if (err) {
		free(job);
		return err;
	}
	*job = (struct job){ .file = file, .out = out };
	file->maps++;
	pthread_mutex_lock(&tables->lock);
	*tables->last = job;
	tables->last = &job->next;
	done = tables->done;
	tables->done = NULL;
	pthread_cond_broadcast(&tables->changed);
	pthread_mutex_unlock(&tables->lock);
	jobs_free(done);
	return 0;
}

void bpf_tables_finish(struct bpf_tables *tables)
{
	pthread_mutex_lock(&tables->lock);
	while (tables->first)
		pthread_cond_wait(&tables->changed, &tables->lock);
	pthread_mutex_unlock(&tables->lock);
}

int bpf_tables_index(struct bpf_tables *tables, struct unwind_file *file)
{
	struct wire_object *object = map_get(&tables->indices, file->serial);
	int err;

	if (object)
		return (int)(object - tables->objects);
	if (tables->object_count == STACK_OBJECTS)
		return -ENOSPC;
	object = &tables->objects[tables->object_count];
	if (map_put(&tables->indices, file->serial, object))
		return -ENOMEM;
	err = job_give(tables, file, object);
	if (err) {
		map_del(&tables->indices, file->serial);
		return err;
	}
	return (int)tables->object_count++;
}
