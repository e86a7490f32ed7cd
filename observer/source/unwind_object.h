/* SPDX-License-Identifier: GPL-2.0-only */
/* unwind_object: what unwinding needs of an ELF file: where its segments are, where it begins to run, and its call frame
 * information. */
#ifndef HEAPTRACE_UNWIND_OBJECT_H
#define HEAPTRACE_UNWIND_OBJECT_H

#include "base/cfi.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OBJECT_SEGMENTS 16

/* The bytes of an ELF file: those of @fd, or where that is -1, @data. */
struct object_bytes {
	int fd;
	const void *data;
	uint64_t size;
};

struct object_segment {
	uint64_t offset, size; /* in the file */
	uint64_t addr;	       /* that it was linked for */
};

/* A function of the C library's start files that is written in assembler and not described: it makes room for one word,
 * calls others, and takes the room back. */
struct object_plain {
	uint64_t start, end; /* of its code; equal: there is none */
	uint64_t made, back; /* from where to where the room is there */
};

#define OBJECT_PLAINS 2 /* _init and _fini */

struct unwind_object {
	struct object_segment segments[OBJECT_SEGMENTS]; /* executable ones */
	unsigned int segment_count;
	uint64_t entry;
	struct object_plain plains[OBJECT_PLAINS];
	struct cfi frames[2]; /* .eh_frame and .debug_frame; len is 0 where there is none */
	void *sections[2];    /* their bytes */
	size_t bytes;	      /* of memory that all this takes */
};

/* Reads it. 0; -ENOEXEC where it is no ELF file of this machine's architecture; -EFBIG where its tables are beyond all measure;
 * -EIO; -ENOMEM. A file without call frame information is read all the same. */
int object_read(const struct object_bytes *bytes, struct unwind_object *out);

/* Frees what it holds. */
void object_clear(struct unwind_object *object);

/* Turns an offset in the file into the address that it was linked for. False where no code is there. */
bool object_addr(const struct unwind_object *object, uint64_t offset, uint64_t *ret_addr);

/* What holds at @addr, from the first of the two sections that says something. As cfi_row_at(); *@ret_code is the section that
 * expressions in @out lie in. */
int object_row(const struct unwind_object *object, uint64_t addr, struct cfi_row *out, const struct cfi **ret_code);

/* Whether a function begins at @addr, by its frame information. */
bool object_begins_function(const struct unwind_object *object, uint64_t addr);

/* The bytes from the stack pointer to the CFA at @addr in one of the plain functions; 0 where it is in none of them. */
unsigned int object_plain_depth(const struct unwind_object *object, uint64_t addr);

/* Whether @addr is in the piece of assembler at which the kernel starts the program or its loader: it is not always described. */
bool object_is_start(const struct unwind_object *object, uint64_t addr);

#endif
