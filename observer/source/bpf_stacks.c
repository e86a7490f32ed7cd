/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/bpf_stacks.h"

#include "event/memcalls.h"
#include "source/bpf_tables.h"
#include "source/unwind.h"
#include "source/unwind_file.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* Files travel ahead of the row that maps them, on the same thread; few threads are between the two at any time. */
#define PENDING_FILES 64

/* The code of one mm. */
struct code {
	uint64_t mm;
	pid_t pid;
	struct unwind_space *space;
	uint64_t order;	  /* of the last call known that mapped code */
	bool is_changed;  /* the programs know another state */
	bool is_doubtful; /* the process is to be asked what it has mapped */
};

struct pending_file {
	uint32_t tid; /* 0: free */
	uint64_t dev, inode;
};

struct bpf_stacks {
	struct stack_store *store;
	struct bpf_tables *tables;
	struct unwind_cache *cache;
	struct map codes; /* number of the mm -> struct code */
	bool any_changed; /* some code is */
	uint64_t seed, page_size;
	int spaces_fd, sent_fd;
	unsigned int next_file; /* to be overwritten next */
	struct pending_file files[PENDING_FILES];
	struct wire_space space; /* being built */
	struct wire_stack stack; /* of a copy */
};

enum wire_stacks bpf_stacks_mode(enum source_stacks stacks)
{
#ifdef __x86_64__
	switch (stacks) {
	case SOURCE_STACKS_NONE:
		break;
	case SOURCE_STACKS_FP:
		return WIRE_STACKS_FP;
	case SOURCE_STACKS_DWARF:
	case SOURCE_STACKS_AUTO:
		return WIRE_STACKS_CFI;
	}
#else
	(void)stacks;
#endif
	return WIRE_STACKS_NONE;
}

struct bpf_stacks *bpf_stacks_new(struct bpf_kernel_side *side, struct stack_store *store, uint64_t seed)
{
	struct bpf_stacks *stacks = calloc(1, sizeof(*stacks));

	if (!stacks)
		return NULL;
	stacks->store = store;
	stacks->seed = seed;
	stacks->page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	stacks->spaces_fd = bpf_kernel_map_fd(side, "spaces");
	stacks->sent_fd = bpf_kernel_map_fd(side, "sent_stacks");
	stacks->cache = unwind_cache_new();
	stacks->tables = stacks->cache ? bpf_tables_new(side) : NULL;
	if (stacks->tables)
		return stacks;
	bpf_stacks_free(stacks);
	return NULL;
}

static void code_free(struct code *code)
{
	unwind_space_free(code->space);
	free(code);
}

void bpf_stacks_free(struct bpf_stacks *stacks)
{
	size_t at = 0;
	void *value;

	if (!stacks)
		return;
	while ((value = map_next(&stacks->codes, &at, NULL)))
		code_free(value);
	map_free(&stacks->codes);
	bpf_tables_free(stacks->tables);
	unwind_cache_free(stacks->cache);
	free(stacks);
}

static void code_change(struct bpf_stacks *stacks, struct code *code)
{
	code->is_changed = true;
	stacks->any_changed = true;
}

static void code_doubt(struct bpf_stacks *stacks, struct code *code)
{
	code->is_doubtful = true;
	code_change(stacks, code);
}

static void file_note(struct bpf_stacks *stacks, const struct wire_path *path)
{
	struct pending_file *file = &stacks->files[stacks->next_file];

	*file = (struct pending_file){ .tid = path->head.tid,
				       .dev = makedev(path->dev >> 20, path->dev & 0xfffff),
				       .inode = path->inode };
	stacks->next_file = (stacks->next_file + 1) % PENDING_FILES;
}

/* The file noted last for @tid, noted no longer then; all 0 where there is none. */
static struct pending_file file_take(struct bpf_stacks *stacks, uint32_t tid)
{
	for (unsigned int i = 1; i <= PENDING_FILES; i++) {
		struct pending_file *slot = &stacks->files[(stacks->next_file + PENDING_FILES - i) % PENDING_FILES];
		struct pending_file file = *slot;

		if (slot->tid != tid)
			continue;
		slot->tid = 0;
		return file;
	}
	return (struct pending_file){ 0 };
}

/* Walks the stack of @copy, as the mappings are known at this point of the stream, and keeps it. */
static int copy_walk(struct bpf_stacks *stacks, struct code *code, const struct wire_stack_copy *copy)
{
	struct unwind_copy piece = { .addr = copy->base, .data = copy->bytes, .len = copy->len };
	struct wire_stack *stack = &stacks->stack;
	struct unwind_regs regs = { .pc = copy->pc, .known = (1u << STACK_REGISTERS) - 1 };
	struct unwind_stack walked;
	int err;

	memcpy(regs.regs, copy->regs, sizeof(copy->regs));
	unwind_walk(code->space, &regs, unwind_copy_read, &piece, &walked);
	memset(stack->exact, 0, sizeof(stack->exact));
	stack->count = walked.count;
	stack->complete = walked.complete;
	stack->id = stacks->seed;
	for (unsigned int i = 0; i < walked.count; i++) {
		stack->frames[i] = walked.frames[i].addr;
		stack->exact[i >> 6] |= (uint64_t)walked.frames[i].exact << (i & 63);
		stack->id = stack_hash(stack->id, stack->frames[i]);
	}
	stack->id = stack_hash(stack->id, stack->complete) & ~STACK_ID_COPY;
	err = stack_store_put(stacks->store, stack, sizeof(*stack));
	return err ? err : stack_store_alias(stacks->store, copy->id, stack->id);
}

static int copy_take(struct bpf_stacks *stacks, const struct wire_stack_copy *copy, size_t size)
{
	struct code *code = map_get(&stacks->codes, copy->head.mm);

	if (size < offsetof(struct wire_stack_copy, bytes) ||
	    copy->len > size - offsetof(struct wire_stack_copy, bytes))
		return -EBADMSG;
	if (!code)
		return 0;
	/* A row that says what was mapped has not come yet, or is lost. */
	if (copy->code_order > code->order) {
		code->order = copy->code_order;
		code_doubt(stacks, code);
	}
	if (code->is_doubtful && !unwind_space_read(code->space))
		code->is_doubtful = false;
	return copy_walk(stacks, code, copy);
}

int bpf_stacks_record(struct bpf_stacks *stacks, const void *record, size_t size)
{
	const struct wire_head *head = record;
	int err;

	if (size < sizeof(*head))
		return 0;
	if (head->kind == WIRE_PATH && size >= offsetof(struct wire_path, text))
		file_note(stacks, record);
	if (head->kind == WIRE_STACK)
		err = stack_store_put(stacks->store, record, size);
	else if (head->kind == WIRE_STACK_COPY)
		err = copy_take(stacks, record, size);
	else
		return 0;
	return err ? err : 1;
}

static int code_open(struct bpf_stacks *stacks, const struct event *event)
{
	struct code *parent = event->open.how == OPEN_FORK ? map_get(&stacks->codes, event->open.parent_mm) : NULL;
	struct code *code;
	int err;

	if (map_get(&stacks->codes, event->mm))
		return 0;
	code = calloc(1, sizeof(*code));
	if (!code)
		return -ENOMEM;
	code->mm = event->mm;
	code->pid = event->pid;
	code->space =
		parent ? unwind_space_fork(parent->space, event->pid) : unwind_space_new(stacks->cache, event->pid);
	err = code->space ? map_put(&stacks->codes, event->mm, code) : -ENOMEM;
	if (err) {
		code_free(code);
		return err;
	}
	/* The programs have given a child what they had of its parent. */
	if (parent) {
		code->order = parent->order;
		code->is_doubtful = parent->is_doubtful;
	}
	if (!parent || parent->is_changed)
		code_change(stacks, code);
	return 0;
}

static void code_close(struct bpf_stacks *stacks, uint64_t mm)
{
	struct code *code = map_del(&stacks->codes, mm);

	if (!code)
		return;
	bpf_map_delete_elem(stacks->spaces_fd, &mm);
	code_free(code);
}

/* What is mapped as code now. Its file is opened at once, as long as the process lives. */
static int map_take(struct bpf_stacks *stacks, struct code *code, const struct unwind_mapping *mapping)
{
	int err = unwind_space_map(code->space, mapping);
	struct unwind_map *map = space_find(code->space, mapping->start);

	code_change(stacks, code);
	if (!err && map)
		(void)space_file(code->space, map);
	return err;
}

static int vma_take(struct bpf_stacks *stacks, struct code *code, const struct event_vma *vma)
{
	struct unwind_mapping mapping = { .start = vma->start,
					  .end = vma->end,
					  .offset = vma->offset,
					  .prot = vma->prot,
					  .dev = makedev(vma->dev >> 20, vma->dev & 0xfffff),
					  .inode = vma->inode,
					  .path = vma->path };

	if (!(vma->prot & PROT_EXEC))
		return 0;
	return map_take(stacks, code, &mapping);
}

static int mmap_take(struct bpf_stacks *stacks, struct code *code, const struct event *event)
{
	const struct event_change *change = &event->change;
	uint64_t start = (uint64_t)change->ret, len = change->args[1];
	struct pending_file file = { 0 };
	struct unwind_mapping mapping;

	if (!(change->args[3] & MAP_ANONYMOUS))
		file = file_take(stacks, (uint32_t)event->tid);
	len = (len + stacks->page_size - 1) & ~(stacks->page_size - 1);
	if (len > UINT64_MAX - start)
		return 0;
	mapping = (struct unwind_mapping){ .start = start,
					   .end = start + len,
					   .offset = change->args[5],
					   .prot = (uint32_t)change->args[2],
					   .dev = file.dev,
					   .inode = file.inode,
					   .path = change->text };
	if (!(mapping.prot & PROT_EXEC) && !unwind_space_has(code->space, mapping.start, mapping.end))
		return 0;
	return map_take(stacks, code, &mapping);
}

/* What a call that succeeded did to the code of its mm. */
static int call_take(struct bpf_stacks *stacks, struct code *code, const struct event *event)
{
	const struct event_change *change = &event->change;
	uint64_t start = change->args[0], end = start + change->args[1];
	const char *name = change->call->name;
	bool has = end > start && unwind_space_has(code->space, start, end);

	if (!strcmp(name, "mmap"))
		return mmap_take(stacks, code, event);
	if (!strcmp(name, "munmap") && has) {
		code_change(stacks, code);
		return unwind_space_unmap(code->space, start, end);
	}
	/* Seldom enough to ask. */
	if ((!strcmp(name, "mremap") && has) || (!strcmp(name, "mprotect") && change->args[2] & PROT_EXEC && !has))
		code_doubt(stacks, code);
	return 0;
}

int bpf_stacks_event(struct bpf_stacks *stacks, const struct event *event)
{
	const struct event_change *change = &event->change;
	struct code *code;

	if (event->kind == EVENT_MM_OPEN)
		return code_open(stacks, event);
	if (event->kind == EVENT_MM_CLOSE) {
		code_close(stacks, event->mm);
		return 0;
	}
	code = map_get(&stacks->codes, event->mm);
	if (code && event->kind == EVENT_VMA)
		return vma_take(stacks, code, &event->vma);
	if (!code || event->kind != EVENT_CHANGE || change->cause != CAUSE_SYSCALL || !change->call)
		return 0;
	if (!(change->call->flags & (MEMCALL_MAP | MEMCALL_PROT)) || (change->ret < 0 && change->ret >= -4095))
		return 0;
	if (change->folded) {
		code_doubt(stacks, code);
		return 0;
	}
	return call_take(stacks, code, event);
}

void bpf_stacks_order(struct bpf_stacks *stacks, uint64_t mm, uint64_t code_order)
{
	struct code *code = map_get(&stacks->codes, mm);

	if (code && code_order > code->order)
		code->order = code_order;
}

static void file_expect(struct bpf_stacks *stacks, const char *path)
{
	struct unwind_map map = { .kind = UNWIND_FILE };
	struct unwind_file *file;
	struct stat status;

	if (stat(path, &status))
		return;
	map.path = (char *)path;
	map.dev = status.st_dev;
	map.inode = status.st_ino;
	file = file_get(stacks->cache, getpid(), &map);
	if (file)
		(void)bpf_tables_index(stacks->tables, file);
}

/* Most programs have the C library and the loader that this one has. */
static int library_expect(struct dl_phdr_info *info, size_t size, void *ctx)
{
	(void)size;
	if (strstr(info->dlpi_name, "/libc.so") || strstr(info->dlpi_name, "/ld-linux"))
		file_expect(ctx, info->dlpi_name);
	return 0;
}

/* The program as execvp(3) would find it. */
static void program_expect(struct bpf_stacks *stacks, const char *program)
{
	const char *folders = strchr(program, '/') ? NULL : getenv("PATH");
	char path[PATH_MAX];

	if (!folders)
		file_expect(stacks, program);
	while (folders && *folders) {
		size_t len = strcspn(folders, ":");

		if (snprintf(path, sizeof(path), "%.*s/%s", (int)len, folders, program) < (int)sizeof(path) &&
		    !access(path, X_OK)) {
			file_expect(stacks, path);
			return;
		}
		folders += len + (folders[len] == ':');
	}
}

void bpf_stacks_expect(struct bpf_stacks *stacks, const char *program)
{
	struct unwind_file *vdso = file_vdso(stacks->cache);

	if (vdso)
		(void)bpf_tables_index(stacks->tables, vdso);
	dl_iterate_phdr(library_expect, stacks);
	if (program)
		program_expect(stacks, program);
	bpf_tables_finish(stacks->tables);
}

/* What to take from an address in @map to have its object's own. False where no code of the object is there. */
static bool bias_find(const struct unwind_map *map, uint64_t *ret_bias)
{
	const struct unwind_object *object = &map->file->object;
	uint64_t end = map->offset + (map->end - map->start);

	for (unsigned int i = 0; i < object->segment_count; i++) {
		const struct object_segment *segment = &object->segments[i];

		if (segment->offset >= end || segment->offset + segment->size <= map->offset)
			continue;
		*ret_bias = map->start - map->offset + segment->offset - segment->addr;
		return true;
	}
	return false;
}

/* Adds @map to the space being built. */
static void mapping_add(struct bpf_stacks *stacks, struct code *code, struct unwind_map *map)
{
	struct wire_space *space = &stacks->space;
	struct wire_mapping mapping = { .start = map->start, .end = map->end };
	int index;

	space_file(code->space, map);
	if (map->kind == UNWIND_MADE)
		return;
	index = map->file && bias_find(map, &mapping.bias) ? bpf_tables_index(stacks->tables, map->file) : -ENOENT;
	if (index < 0 || space->count == SPACE_MAPPINGS) {
		space->more = 1;
		return;
	}
	mapping.object = (uint32_t)index;
	space->mappings[space->count++] = mapping;
}

/* Hands the code of one mm to the programs. */
static int code_publish(struct bpf_stacks *stacks, struct code *code)
{
	struct wire_space *space = &stacks->space;

	code->is_changed = false;
	/* What the programs have made themselves is as good, unless they did not know all files. */
	if (!bpf_map_lookup_elem(stacks->spaces_fd, &code->mm, space) &&
	    (space->code_order > code->order || (space->code_order == code->order && !space->more)))
		return 0;
	if (code->is_doubtful) {
		unwind_space_read(code->space); /* as far as the process still is: what was known stays, otherwise */
		code->is_doubtful = false;
	}
	space->count = 0;
	space->more = 0;
	space->code_order = code->order;
	for (size_t i = 0; i < code->space->count; i++)
		mapping_add(stacks, code, &code->space->maps[i]);
	for (uint32_t i = space->count; i < SPACE_MAPPINGS; i++)
		space->mappings[i] = (struct wire_mapping){ .start = SPACE_NO_START };
	if (bpf_map_update_elem(stacks->spaces_fd, &code->mm, space, BPF_ANY) && errno == ENOMEM)
		return -ENOMEM;
	return 0;
}

/* Has the programs send every stack again, so that what has been kept for long can go. */
static void stacks_turn(struct bpf_stacks *stacks)
{
	uint64_t id;

	while (!bpf_map_get_next_key(stacks->sent_fd, NULL, &id))
		if (bpf_map_delete_elem(stacks->sent_fd, &id))
			break;
	stack_store_turn(stacks->store);
}

int bpf_stacks_settle(struct bpf_stacks *stacks)
{
	struct code *code;
	size_t at = 0;
	int err = 0;

	if (stack_store_full(stacks->store))
		stacks_turn(stacks);
	if (!stacks->any_changed)
		return 0;
	stacks->any_changed = false;
	while (!err && (code = map_next(&stacks->codes, &at, NULL)))
		if (code->is_changed)
			err = code_publish(stacks, code);
	return err;
}
