/* SPDX-License-Identifier: GPL-2.0-only */
/* preload: libheaptrace-alloc.so, which any program can be run on: LD_PRELOAD=.../libheaptrace-alloc.so PROGRAM.
 *
 * HEAPTRACE_ALLOC=slab (default) or operator chooses the allocator, HEAPTRACE_SLAB_KEEP=BYTES how much of empty pages the
 * slab allocator may keep (4096 by default, 0 for none). Blocks of both allocators are told apart by their addresses, so
 * a block can be freed whatever allocates now. */
#ifndef TARGET_PRELOAD_H
#define TARGET_PRELOAD_H

#include <stddef.h>

/* The names that programs are to find here; all others are the library's own (-fvisibility=hidden). */
#define PRELOAD_EXPORT __attribute__((visibility("default")))

/* @size bytes at a multiple of @align (a power of two; 0: 16), as the chosen allocator does it. NULL with errno ENOMEM. */
void *preload_alloc(size_t size, size_t align);

/* Gives back a block of either allocator; NULL is legal. errno stays. Ends the process where @ptr is no living block. */
void preload_free(void *ptr);

#endif
