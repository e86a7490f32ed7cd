/* SPDX-License-Identifier: GPL-2.0-only */
#include "model/modules.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct modules {
	unsigned int refs;
	unsigned int count, size;
	struct module *list;
};

struct modules *modules_new(void)
{
	struct modules *modules = calloc(1, sizeof(*modules));

	if (modules)
		modules->refs = 1;
	return modules;
}

struct modules *modules_share(struct modules *modules)
{
	modules->refs++;
	return modules;
}

void modules_release(struct modules *modules)
{
	if (!modules || --modules->refs)
		return;
	for (unsigned int i = 0; i < modules->count; i++)
		object_release(modules->list[i].object);
	free(modules->list);
	free(modules);
}

static struct modules *copy_of(const struct modules *from)
{
	struct modules *copy = modules_new();

	if (!copy)
		return NULL;
	copy->list = calloc(from->count + 1, sizeof(*copy->list));
	if (!copy->list) {
		free(copy);
		return NULL;
	}
	copy->size = from->count + 1;
	for (; copy->count < from->count; copy->count++) {
		copy->list[copy->count] = from->list[copy->count];
		object_hold(copy->list[copy->count].object);
	}
	return copy;
}

static void forget_older_half(struct modules *modules)
{
	unsigned int half = modules->count / 2;

	for (unsigned int i = 0; i < half; i++)
		object_release(modules->list[i].object);
	memmove(modules->list, modules->list + half, (modules->count - half) * sizeof(*modules->list));
	modules->count -= half;
}

static int reserve_one(struct modules *modules)
{
	unsigned int size = modules->size ? modules->size * 2 : 16;
	struct module *more;

	if (modules->count >= MODULES_MAX)
		forget_older_half(modules);
	if (modules->count < modules->size)
		return 0;
	more = reallocarray(modules->list, size, sizeof(*more));
	if (!more)
		return -ENOMEM;
	modules->list = more;
	modules->size = size;
	return 0;
}

int modules_add(struct modules **modules, const struct module *module)
{
	struct modules *own = (*modules)->refs > 1 ? copy_of(*modules) : *modules;

	if (own && own != *modules) {
		modules_release(*modules);
		*modules = own;
	}
	if (!own || reserve_one(own)) {
		object_release(module->object);
		return -ENOMEM;
	}
	own->list[own->count++] = *module;
	return 0;
}

const struct module *modules_find(const struct modules *modules, uint64_t addr)
{
	for (unsigned int i = modules->count; i--;) {
		const struct module *module = &modules->list[i];

		if (addr >= module->start && addr < module->end)
			return module;
	}
	return NULL;
}
