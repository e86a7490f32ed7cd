/* SPDX-License-Identifier: GPL-2.0-only */
/* allocators: the functions by which programs allocate and free, in one table, and what belongs to them. */
#ifndef HEAPTRACE_ALLOCATORS_H
#define HEAPTRACE_ALLOCATORS_H

#include <stdbool.h>

/* Whether @symbol, demangled, NULL if unknown, is a function that a program calls to allocate or to free, or one behind it. */
bool allocator_is_function(const char *symbol);

/* Whether the object @path, NULL if unknown, acts on its callers' behalf: the C and C++ libraries, the loader, allocators. */
bool allocator_is_runtime(const char *path);

/* Whether @symbol is of a container or the like of C++ or Rust, which is compiled into the program and is not its own. */
bool allocator_is_template(const char *symbol);

#endif
