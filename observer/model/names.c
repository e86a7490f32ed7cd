/* SPDX-License-Identifier: GPL-2.0-only */
#include "model/names.h"

#include "base/map.h"
#include "event/memcalls.h"
#include "model/jitmap.h"
#include "model/modules.h"
#include "model/stacks.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

/* When names, or the call chains made of them, take more memory than that, all are forgotten. */
#define NAMES_BYTES_MAX	 ((size_t)256 << 20)
#define STACKS_BYTES_MAX ((size_t)128 << 20)

/* When the names that compilers gave take more than that, no further ones are read. */
#define JIT_BYTES_MAX ((size_t)256 << 20)

/* Processes whose root is remembered. */
#define ROOTS_MAX 65536

struct names_mm {
	struct names *names;
	struct names_mm *next, **link; /* in the list of all */
	pid_t pid;
	bool foreign;
	struct modules *modules;
	struct stacks stacks;
	bool changed; /* code was mapped since the stacks were named */
	bool jit_tried;
	struct jitmap *jit; /* NULL: no code without a file, or none that has names */
};

struct names {
	struct objects *objects;
	struct names_mm *mms;
	struct map roots; /* by process: whether it sees other files than we, for when it is gone */
	size_t stack_bytes, jit_bytes;
	uint64_t serial;
};

/* The values of names.roots. */
static char root_ours, root_foreign;

struct names *names_new(struct sym_client *client)
{
	struct names *names = calloc(1, sizeof(*names));

	if (!names) {
		sym_client_close(client);
		return NULL;
	}
	names->objects = objects_new(client);
	if (!names->objects) {
		free(names);
		return NULL;
	}
	return names;
}

void names_free(struct names *names)
{
	if (!names)
		return;
	map_free(&names->roots);
	objects_free(names->objects);
	free(names);
}

uint64_t names_unanswered(const struct names *names)
{
	return objects_unanswered(names->objects);
}

/* Whether @pid sees other files than we. Of one that is gone, what was known last. */
static bool is_foreign(struct names *names, pid_t pid, const struct names_mm *parent)
{
	int said = mapfile_foreign(pid);
	const char *last;

	if (said >= 0) {
		if (names->roots.count >= ROOTS_MAX)
			map_free(&names->roots);
		(void)map_put(&names->roots, (uint64_t)pid, said ? &root_foreign : &root_ours);
		return said;
	}
	if (parent)
		return parent->foreign;
	last = map_get(&names->roots, (uint64_t)pid);
	return last == &root_foreign;
}

struct names_mm *names_mm_new(struct names *names, const struct names_mm *parent, const struct event *open)
{
	struct names_mm *mm = calloc(1, sizeof(*mm));

	if (!mm)
		return NULL;
	mm->modules = parent ? modules_share(parent->modules) : modules_new();
	if (!mm->modules) {
		free(mm);
		return NULL;
	}
	mm->names = names;
	mm->pid = open->pid;
	mm->foreign = is_foreign(names, open->pid, parent);
	mm->next = names->mms;
	mm->link = &names->mms;
	if (mm->next)
		mm->next->link = &mm->next;
	names->mms = mm;
	return mm;
}

void names_mm_free(struct names_mm *mm)
{
	if (!mm)
		return;
	mm->names->stack_bytes -= stacks_forget(&mm->stacks);
	if (mm->jit)
		mm->names->jit_bytes -= jitmap_bytes(mm->jit);
	jitmap_free(mm->jit);
	modules_release(mm->modules);
	*mm->link = mm->next;
	if (mm->next)
		mm->next->link = mm->link;
	free(mm);
}

static int add_module(struct names_mm *mm, const struct mapfile *map, uint64_t offset)
{
	struct module module = { .start = map->start, .end = map->end, .offset = offset };

	if (!strcmp(map->path, "[vdso]"))
		module.object = objects_vdso(mm->names->objects, map->end - map->start);
	else if (map->path[0] == '/')
		module.object = objects_get(mm->names->objects, map);
	else
		return 0;
	mm->changed = true;
	return module.object ? modules_add(&mm->modules, &module) : -ENOMEM;
}

/* Where a process makes code, what is needed to find its names is opened, while it lives. */
static void note_made_code(struct names_mm *mm)
{
	if (!mm->jit_tried)
		mm->jit = jitmap_new(mm->pid);
	mm->jit_tried = true;
}

static int note_vma(struct names_mm *mm, const struct event *event)
{
	const struct event_vma *vma = &event->vma;
	const struct mapfile map = {
		.pid = event->pid,
		.start = vma->start,
		.end = vma->end,
		.path = vma->path,
		.dev = vma->dev,
		.inode = vma->inode,
		.foreign = mm->foreign,
		.fd = event->code_fd,
	};

	if (!(vma->prot & PROT_EXEC) || vma->start >= vma->end)
		return 0;
	if (!vma->path) {
		note_made_code(mm);
		return 0;
	}
	return add_module(mm, &map, vma->offset);
}

/* What is code in [@start, @end) now. What @event has mapped there may be open. */
static int note_range(struct names_mm *mm, const struct event *event, const struct vmap *vmap, uint64_t start,
		      uint64_t end)
{
	struct vmap_range range = { .end = start };
	const char *mapped = event->change.text;
	int err = 0;

	while (!err && range.end < end && vmap_next(vmap, range.end, &range) && range.start < end) {
		const struct mapfile map = {
			.pid = event->pid,
			.start = range.start,
			.end = range.end,
			.path = range.path,
			.foreign = mm->foreign,
			.fd = mapped && range.path && !strcmp(range.path, mapped) ? event->code_fd : NULL,
		};

		if ((range.prot & PROT_EXEC) && range.path)
			err = add_module(mm, &map, range.offset);
		else if (range.prot & PROT_EXEC)
			note_made_code(mm);
	}
	return err;
}

static int note_change(struct names_mm *mm, const struct event *event, const struct vmap *vmap)
{
	const struct event_change *change = &event->change;
	uint64_t start = change->args[0], bytes = change->args[1];
	unsigned int prot = (unsigned int)change->args[2];

	if (change->cause != CAUSE_SYSCALL || !change->call || !change->has_ret || change->ret < 0 || change->folded)
		return 0;
	if (change->call->id == CALL_MMAP)
		start = (uint64_t)change->ret;
	else if (change->call->id != CALL_MPROTECT && change->call->id != CALL_PKEY_MPROTECT)
		return 0;
	if (!(prot & PROT_EXEC) || !bytes || start + bytes < start)
		return 0;
	return note_range(mm, event, vmap, start, start + bytes);
}

int names_note(struct names_mm *mm, const struct event *event, const struct vmap *vmap)
{
	if (event->kind == EVENT_VMA)
		return note_vma(mm, event);
	return event->kind == EVENT_CHANGE ? note_change(mm, event, vmap) : 0;
}

/* Where one address is. */
struct place {
	struct object_query query; /* object NULL: in none */
	const char *object;	   /* what to call it, NULL = unknown */
	const char *symbol;	   /* of code without a file */
	uint64_t offset;
};

/* What is no object by name. Static. */
static const char *nameless(const struct vmap_range *range)
{
	switch (range->kind) {
	case REGION_HEAP:
		return "[heap]";
	case REGION_STACK:
		return "[stack]";
	case REGION_ANON:
	case REGION_ARENA:
		return "[anon]";
	case REGION_NONE:
	case REGION_FILE:
	case REGION_SHM:
	case REGION_VDSO:
	case REGION_OTHER:
		break;
	}
	return NULL;
}

/* Code that was made at run time. */
static const char *find_jit(struct names_mm *mm, uint64_t addr, uint64_t *ret_offset)
{
	struct names *names = mm->names;
	size_t before;
	const char *name;

	note_made_code(mm);
	if (!mm->jit)
		return NULL;
	before = jitmap_bytes(mm->jit);
	name = jitmap_find(mm->jit, addr, names->jit_bytes < JIT_BYTES_MAX ? SIZE_MAX : 0, ret_offset);
	names->jit_bytes += jitmap_bytes(mm->jit) - before;
	return name;
}

static void find_place(struct names_mm *mm, const struct vmap *vmap, const struct frame *frame, struct place *out)
{
	/* A return address may be the first behind its function. */
	uint64_t addr = frame->addr - (frame->exact || !frame->addr ? 0 : 1);
	const struct module *module = modules_find(mm->modules, addr);
	struct vmap_range range;
	bool mapped = vmap_next(vmap, addr, &range) && range.start <= addr;

	*out = (struct place){ .object = NULL };
	if (mapped && !range.path && (range.prot & PROT_EXEC))
		out->symbol = find_jit(mm, addr, &out->offset);
	if (out->symbol) {
		out->object = "[jit]";
	} else if (module) {
		out->query = (struct object_query){ module->object, module->offset + (addr - module->start) };
		out->object = object_path(module->object);
	} else if (mapped) {
		out->object = nameless(&range);
	}
}

/* Adds the frames of one address at @out. Their number. */
static unsigned int put_frames(const struct frame *raw, const struct place *place, struct frame *out)
{
	const struct named *named = place->query.object ? object_named(place->query.object, place->query.offset) : NULL;
	unsigned int count = named ? named->count : 0;

	for (unsigned int i = 0; i < count; i++) {
		const struct sym_frame *frame = &named->frames[i];

		out[i] = (struct frame){ .addr = raw->addr,
					 .exact = raw->exact,
					 .object = place->object,
					 .symbol = frame->symbol,
					 .offset = frame->offset,
					 .file = frame->file,
					 .line = frame->line,
					 .inlined = frame->inlined };
		/* What was looked up is the byte before a return address. */
		if (!frame->inlined && !raw->exact)
			out[i].offset++;
		else if (frame->offset == SYM_BEFORE)
			out[i].symbol = NULL;
	}
	if (!count)
		out[count++] = (struct frame){ .addr = raw->addr,
					       .exact = raw->exact,
					       .object = place->object,
					       .symbol = place->symbol,
					       .offset = place->offset + (place->symbol && !raw->exact) };
	return count;
}

/* Makes the call chain of @change with names. NULL on lack of memory. */
static struct stack *name_stack(struct names_mm *mm, const struct event_change *change, const struct vmap *vmap)
{
	unsigned int count = change->stack_len < STACK_DEPTH_MAX ? change->stack_len : STACK_DEPTH_MAX, total = 0;
	struct place places[STACK_DEPTH_MAX];
	struct object_query queries[STACK_DEPTH_MAX] = { { NULL, 0 } };
	unsigned int query_count = 0;
	struct stack *stack;

	for (unsigned int i = 0; i < count; i++) {
		find_place(mm, vmap, &change->stack[i], &places[i]);
		if (places[i].query.object)
			queries[query_count++] = places[i].query;
	}
	if (objects_name(mm->names->objects, queries, query_count))
		return NULL;
	for (unsigned int i = 0; i < count; i++) {
		const struct object_query *query = &places[i].query;
		const struct named *named = query->object ? object_named(query->object, query->offset) : NULL;

		total += named && named->count ? named->count : 1;
	}
	stack = stack_new(change->stack, count, total);
	if (!stack)
		return NULL;
	for (unsigned int i = 0; i < count; i++)
		stack->count += put_frames(&change->stack[i], &places[i], stack->frames + stack->count);
	stack->serial = ++mm->names->serial;
	return stack;
}

/* Makes room where too much is remembered: the names go only together with the call chains that point to them. */
static void forget_if_full(struct names *names)
{
	if (objects_bytes(names->objects) < NAMES_BYTES_MAX && names->stack_bytes < STACKS_BYTES_MAX)
		return;
	for (struct names_mm *mm = names->mms; mm; mm = mm->next)
		names->stack_bytes -= stacks_forget(&mm->stacks);
	if (objects_bytes(names->objects) >= NAMES_BYTES_MAX)
		objects_purge(names->objects);
}

int names_stack(struct names_mm *mm, const struct event *event, const struct vmap *vmap, struct event *ret_event)
{
	const struct event_change *change = &event->change;
	struct stack *stack;

	if (mm->changed)
		mm->names->stack_bytes -= stacks_forget(&mm->stacks);
	mm->changed = false;
	stack = stacks_find(&mm->stacks, change);
	if (!stack) {
		forget_if_full(mm->names);
		stack = name_stack(mm, change, vmap);
		if (!stack || stacks_add(&mm->stacks, change, stack))
			return -ENOMEM;
		mm->names->stack_bytes += stack_bytes(stack);
	}
	*ret_event = *event;
	ret_event->change.stack = stack->frames;
	ret_event->change.stack_len = stack->count;
	ret_event->change.stack_id = stack->serial;
	return 0;
}
