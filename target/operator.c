/* SPDX-License-Identifier: GPL-2.0-only */
#include "operator.h"

#include "ptrmap.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* How a block was, or is said to have been, allocated. Kept beside the size in ptrmap_value.info: bit 0 is set for the
 * array forms, the bits above are the alignment that new was given, 0 where it was given none. */
#define OP_SCALAR	     ((size_t)0)
#define OP_ARRAY	     ((size_t)1)
#define OP_FORM(kind, align) ((kind) | (size_t)(align) << 1)
#define OP_FORM_ALIGN(form)  ((form) >> 1)

/* A size that delete was not given. */
#define SIZE_UNKNOWN SIZE_MAX

static struct ptrmap blocks;
static bool ready;
static size_t page_bytes;
static _Atomic(op_new_handler) new_handler;

int op_init(void)
{
	int err;

	if (ready)
		return 0;
	page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	err = ptrmap_init(&blocks);
	ready = err == 0;
	return err;
}

op_new_handler op_set_new_handler(op_new_handler handler)
{
	return atomic_exchange(&new_handler, handler);
}

op_new_handler op_get_new_handler(void)
{
	return atomic_load(&new_handler);
}

/* One line and abort. snprintf into the stack and write(2): the heap may be what is broken. */
static _Noreturn __attribute__((format(printf, 1, 2))) void op_die(const char *fmt, ...)
{
	char line[192];
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	if (len > 0 && write(STDERR_FILENO, line, (size_t)len < sizeof(line) ? (size_t)len : sizeof(line) - 1) < 0)
		abort(); /* the line is lost, the end is the same */
	abort();
}

/* The length of the mapping of a block: whole pages, at least one. 0 where the size cannot be had. */
static size_t block_length(size_t size)
{
	if (size > PTRDIFF_MAX - page_bytes)
		return 0;
	return size ? (size + page_bytes - 1) & ~(page_bytes - 1) : page_bytes;
}

/* A mapping of @length bytes at a multiple of @align (0: of the page), or NULL. */
static void *block_map(size_t length, size_t align)
{
	size_t slack = align > page_bytes ? align - page_bytes : 0;
	size_t head, tail;
	char *base;

	if (slack > PTRDIFF_MAX - length)
		return NULL;
	base = mmap(NULL, length + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (base == MAP_FAILED)
		return NULL;
	if (slack == 0)
		return base;
	head = -(uintptr_t)base & (align - 1);
	tail = slack - head;
	if (head && munmap(base, head) < 0)
		goto fail;
	if (tail && munmap(base + head + length, tail) < 0)
		goto fail;
	return base + head;
fail:
	/* Splitting a mapping can meet the limit on their number; unmapping the whole, where it is whole, does not. */
	munmap(base, length + slack);
	return NULL;
}

/* One attempt, without the handler. */
static void *block_new(size_t size, size_t form)
{
	size_t align = OP_FORM_ALIGN(form);
	size_t length = block_length(size);
	void *ptr;

	if (length == 0 || (align & (align - 1)) != 0)
		return NULL;
	ptr = block_map(length, align);
	if (ptr && ptrmap_insert(&blocks, ptr, (struct ptrmap_value){ .size = size, .info = form }) < 0) {
		munmap(ptr, length);
		return NULL;
	}
	return ptr;
}

/* [new.delete.single]/3-4: try; call the handler; try again, until there is memory or no handler. */
static void *op_try(size_t size, size_t form)
{
	for (;;) {
		void *ptr = block_new(size, form);
		op_new_handler handler;

		if (ptr)
			return ptr;
		handler = op_get_new_handler();
		if (!handler)
			return NULL;
		handler();
	}
}

static void *op_must(size_t size, size_t form)
{
	void *ptr = op_try(size, form);

	if (!ptr)
		op_die("operator new: %zu bytes cannot be had\n", size);
	return ptr;
}

/* Dies unless @size and @form, as delete was called, are those of the block. */
static void op_check(const void *ptr, struct ptrmap_value block, size_t size, size_t form)
{
	if (size != SIZE_UNKNOWN && size != block.size)
		op_die("operator delete: %p has %zu bytes, not %zu\n", ptr, block.size, size);
	if ((block.info & OP_ARRAY) != (form & OP_ARRAY))
		op_die("operator delete: %p is of %s, deleted by %s\n", ptr, block.info & OP_ARRAY ? "new[]" : "new",
		       form & OP_ARRAY ? "delete[]" : "delete");
	if (OP_FORM_ALIGN(block.info) != OP_FORM_ALIGN(form))
		op_die("operator delete: %p was aligned to %zu, not %zu (0: by default)\n", ptr,
		       OP_FORM_ALIGN(block.info), OP_FORM_ALIGN(form));
}

/* Out of the map before munmap: the moment that the pages are gone, another thread's new may get the same address. */
static void op_release(void *ptr, size_t size, size_t form)
{
	struct ptrmap_value block;

	if (!ptr)
		return;
	if (ptrmap_remove(&blocks, ptr, &block) < 0)
		op_die("operator delete: %p is no living block\n", ptr);
	op_check(ptr, block, size, form);
	if (munmap(ptr, block_length(block.size)) < 0)
		op_die("operator delete: munmap of %p, %zu bytes: error %d\n", ptr, block.size, errno);
}

void *op_new(size_t size)
{
	return op_must(size, OP_SCALAR);
}

void *op_new_array(size_t size)
{
	return op_must(size, OP_ARRAY);
}

void *op_new_aligned(size_t size, size_t align)
{
	return op_must(size, OP_FORM(OP_SCALAR, align));
}

void *op_new_array_aligned(size_t size, size_t align)
{
	return op_must(size, OP_FORM(OP_ARRAY, align));
}

void *op_new_nothrow(size_t size)
{
	return op_try(size, OP_SCALAR);
}

void *op_new_array_nothrow(size_t size)
{
	return op_try(size, OP_ARRAY);
}

void *op_new_aligned_nothrow(size_t size, size_t align)
{
	return op_try(size, OP_FORM(OP_SCALAR, align));
}

void *op_new_array_aligned_nothrow(size_t size, size_t align)
{
	return op_try(size, OP_FORM(OP_ARRAY, align));
}

void op_delete(void *ptr)
{
	op_release(ptr, SIZE_UNKNOWN, OP_SCALAR);
}

void op_delete_array(void *ptr)
{
	op_release(ptr, SIZE_UNKNOWN, OP_ARRAY);
}

void op_delete_sized(void *ptr, size_t size)
{
	op_release(ptr, size, OP_SCALAR);
}

void op_delete_array_sized(void *ptr, size_t size)
{
	op_release(ptr, size, OP_ARRAY);
}

void op_delete_aligned(void *ptr, size_t align)
{
	op_release(ptr, SIZE_UNKNOWN, OP_FORM(OP_SCALAR, align));
}

void op_delete_array_aligned(void *ptr, size_t align)
{
	op_release(ptr, SIZE_UNKNOWN, OP_FORM(OP_ARRAY, align));
}

void op_delete_sized_aligned(void *ptr, size_t size, size_t align)
{
	op_release(ptr, size, OP_FORM(OP_SCALAR, align));
}

void op_delete_array_sized_aligned(void *ptr, size_t size, size_t align)
{
	op_release(ptr, size, OP_FORM(OP_ARRAY, align));
}

int op_size(const void *ptr, size_t *out)
{
	struct ptrmap_value block;
	int err = ptrmap_find(&blocks, ptr, &block);

	if (err == 0)
		*out = block.size;
	return err;
}

size_t op_count(void)
{
	return ptrmap_count(&blocks);
}
