/* SPDX-License-Identifier: GPL-2.0-only */
/* btf: a kernel's type information (BTF), cut down to the few types that are wanted of its hundred thousand.
 *
 * What holds by value in a wanted type comes along; what a pointer leads to does not: it becomes a pointer to void. */
#ifndef HEAPTRACE_BTF_H
#define HEAPTRACE_BTF_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BTF_WANT_BUCKETS 256

struct btf_want {
	char *name;
	size_t len;
	uint32_t kind;	 /* BTF_KIND_* */
	uint32_t number; /* the first such type's, 0: there is none */
	uint32_t offset; /* of a variable in its section, in bytes */
	bool placed;	 /* whether that is known */
	int next;	 /* of the same bucket; -1: none */
};

/* Zero-initialise before use. */
struct btf_wants {
	struct btf_want *list;
	unsigned int count, room;
	int buckets[BTF_WANT_BUCKETS]; /* index of the first + 1 */
};

/* Adds the type of @kind with the name of @len bytes at @name. 0 or -ENOMEM. */
int btf_want(struct btf_wants *wants, uint32_t kind, const char *name, size_t len);

/* The number of the wanted type of @kind and @name in the type information that was cut; 0 where it has none such. */
uint32_t btf_wanted(const struct btf_wants *wants, uint32_t kind, const char *name);

/* Whether the type information that was cut tells where the wanted variable @name lies in its section: *@ret_offset, in bytes. */
bool btf_wanted_offset(const struct btf_wants *wants, const char *name, uint32_t *ret_offset);

/* Finds the wanted types in the type information of @size bytes at @data, and adds type information to @out that has the
 * structs, unions and typedefs among them, all of one name, with other numbers. 0; -EBADMSG where @data is none, -ENOMEM. */
int btf_cut(struct btf_wants *wants, const void *data, size_t size, struct buf *out);

/* Frees the list: as new. NULL is legal. */
void btf_wants_free(struct btf_wants *wants);

#endif
