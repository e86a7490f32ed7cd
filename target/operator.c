/* SPDX-License-Identifier: GPL-2.0-only */
#include "operator.h"

#include "operator_block.h"

#include <stdatomic.h>
#include <stdint.h>

/* How a block was, or is said to have been, allocated: its tag. Bit 0 is set for the array forms, the bits above are the
 * alignment that new was given, 0 where it was given none. */
#define OP_SCALAR	     ((size_t)0)
#define OP_ARRAY	     ((size_t)1)
#define OP_FORM(kind, align) ((kind) | (size_t)(align) << 1)
#define OP_FORM_ALIGN(form)  ((form) >> 1)

/* A size that delete was not given. */
#define SIZE_UNKNOWN SIZE_MAX

static _Atomic(op_new_handler) new_handler;

int op_init(void)
{
	return opblock_init(true);
}

op_new_handler op_set_new_handler(op_new_handler handler)
{
	return atomic_exchange(&new_handler, handler);
}

op_new_handler op_get_new_handler(void)
{
	return atomic_load(&new_handler);
}

/* [new.delete.single]/3-4: try; call the handler; try again, until there is memory or no handler. */
static void *op_try(size_t size, size_t form)
{
	for (;;) {
		void *ptr = opblock_new(size, OP_FORM_ALIGN(form), form);
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
		opblock_die("operator new: %zu bytes cannot be had\n", size);
	return ptr;
}

/* Dies unless @size and @form, as delete was called, are those of the block. */
static void op_check(const void *ptr, struct opblock block, size_t size, size_t form)
{
	if (size != SIZE_UNKNOWN && size != block.size)
		opblock_die("operator delete: %p has %zu bytes, not %zu\n", ptr, block.size, size);
	if ((block.tag & OP_ARRAY) != (form & OP_ARRAY))
		opblock_die("operator delete: %p is of %s, deleted by %s\n", ptr,
			    block.tag & OP_ARRAY ? "new[]" : "new", form & OP_ARRAY ? "delete[]" : "delete");
	if (OP_FORM_ALIGN(block.tag) != OP_FORM_ALIGN(form))
		opblock_die("operator delete: %p was aligned to %zu, not %zu (0: by default)\n", ptr,
			    OP_FORM_ALIGN(block.tag), OP_FORM_ALIGN(form));
}

static void op_release(void *ptr, size_t size, size_t form)
{
	struct opblock block;

	if (!ptr)
		return;
	if (opblock_delete(ptr, &block) < 0)
		opblock_die("operator delete: %p is no living block\n", ptr);
	op_check(ptr, block, size, form);
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
	struct opblock block;
	int err = opblock_find(ptr, &block);

	if (err == 0)
		*out = block.size;
	return err;
}

size_t op_count(void)
{
	return opblock_count();
}
