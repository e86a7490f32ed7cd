/* SPDX-License-Identifier: GPL-2.0-only */
/* operator: the contract of C++'s operator new and operator delete ([new.delete], C++17), in C, over mmap.
 *
 * - new never returns NULL: it calls the new-handler and tries again for as long as one is set. With none set it says
 *   so on stderr in one line and aborts, where C++ would throw bad_alloc. The nothrow forms return NULL instead.
 * - A size of 0 gives a pointer that no other living block has; it may be deleted, not dereferenced.
 * - Each block is a mapping of its own: delete unmaps it at once. Default alignment is the page; greater alignments
 *   are had by mapping more and unmapping both ends.
 * - delete of NULL does nothing. The unsized forms look the size up (ptrmap). A pointer that is no living block (never
 *   allocated, or deleted before), a size that is not the one asked for, an alignment that is not the one asked for,
 *   and delete for new[] (or the other way round) are errors of the caller: one line on stderr, then abort.
 *
 * All functions may be called from several threads at once, after op_init. */
#ifndef TARGET_OPERATOR_H
#define TARGET_OPERATOR_H

#include <stddef.h>

typedef void (*op_new_handler)(void);

/* Makes the map of sizes ready; further calls do nothing. 0 or -errno. Not for two threads at once. */
int op_init(void);

/* Sets the function that new calls where memory is short (NULL: none) and returns the one before. It is to make memory
 * available, set another handler or NULL, or not return. */
op_new_handler op_set_new_handler(op_new_handler handler);

/* The handler in force, or NULL. */
op_new_handler op_get_new_handler(void);

/* operator new and new[]: @size bytes at an address that is a multiple of the page size. Never NULL. */
void *op_new(size_t size) __attribute__((returns_nonnull, warn_unused_result));
void *op_new_array(size_t size) __attribute__((returns_nonnull, warn_unused_result));

/* The same at a multiple of @align, a power of two; any other @align is refused as if there were no memory. */
void *op_new_aligned(size_t size, size_t align) __attribute__((returns_nonnull, warn_unused_result));
void *op_new_array_aligned(size_t size, size_t align) __attribute__((returns_nonnull, warn_unused_result));

/* The forms with std::nothrow: NULL where there is no memory and no (further) new-handler. */
void *op_new_nothrow(size_t size) __attribute__((warn_unused_result));
void *op_new_array_nothrow(size_t size) __attribute__((warn_unused_result));
void *op_new_aligned_nothrow(size_t size, size_t align) __attribute__((warn_unused_result));
void *op_new_array_aligned_nothrow(size_t size, size_t align) __attribute__((warn_unused_result));

/* operator delete and delete[]; also what C++ calls for the nothrow forms. */
void op_delete(void *ptr);
void op_delete_array(void *ptr);

/* The sized forms: @size as it was given to new. */
void op_delete_sized(void *ptr, size_t size);
void op_delete_array_sized(void *ptr, size_t size);

/* The aligned forms: @align as it was given to new; an aligned new needs one of these. */
void op_delete_aligned(void *ptr, size_t align);
void op_delete_array_aligned(void *ptr, size_t align);
void op_delete_sized_aligned(void *ptr, size_t size, size_t align);
void op_delete_array_sized_aligned(void *ptr, size_t size, size_t align);

/* The size that the living block @ptr was asked for in @out. 0, or -ENOENT with @out untouched. */
int op_size(const void *ptr, size_t *out);

/* Number of living blocks. */
size_t op_count(void);

#endif
