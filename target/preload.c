/* SPDX-License-Identifier: GPL-2.0-only */
/* The malloc family. Where C leaves a choice, it is made as in glibc, which programs are used to. */
#include "preload.h"

#include "operator_block.h"
#include "slab.h"
#include "slab_region.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum backend { BACKEND_UNKNOWN, BACKEND_SLAB, BACKEND_OPERATOR };

static atomic_int backend;

/* A setting that means nothing: to go on with another allocator than the one asked for would be worse. */
static _Noreturn void refuse(const char *name, const char *value, const char *expected)
{
	char line[256];
	int len = snprintf(line, sizeof(line), "libheaptrace-alloc: %s=%.64s: expected %s\n", name, value, expected);

	if (write(STDERR_FILENO, line, (size_t)len) < 0)
		_exit(3);
	_exit(2);
}

static void read_keep(void)
{
	const char *value = getenv("HEAPTRACE_SLAB_KEEP");
	char *end;
	unsigned long long bytes;

	if (!value)
		return;
	errno = 0;
	bytes = strtoull(value, &end, 10);
	if (*value < '0' || *value > '9' || *end || errno || bytes > SIZE_MAX)
		refuse("HEAPTRACE_SLAB_KEEP", value, "a number of bytes");
	slab_set_keep((size_t)bytes);
}

/* The allocator to use. The loader allocates before the C library has its environment: until then it is the slab, and
 * nothing is settled. Two threads that come here at once settle the same. */
static enum backend choose(void)
{
	int saved_errno = errno;
	enum backend chosen = slab_init() == 0 ? BACKEND_SLAB : BACKEND_OPERATOR;
	const char *name;

	if (chosen == BACKEND_OPERATOR && opblock_init(false) < 0)
		opblock_die("libheaptrace-alloc: no memory to begin with\n");
	if (!environ)
		return chosen;
	name = getenv("HEAPTRACE_ALLOC");
	if (name && strcmp(name, "operator") == 0)
		chosen = BACKEND_OPERATOR;
	else if (name && strcmp(name, "slab") != 0)
		refuse("HEAPTRACE_ALLOC", name, "slab or operator");
	read_keep();
	atomic_store_explicit(&backend, chosen, memory_order_release);
	errno = saved_errno;
	return chosen;
}

static enum backend current(void)
{
	enum backend chosen = (enum backend)atomic_load_explicit(&backend, memory_order_acquire);

	return chosen == BACKEND_UNKNOWN ? choose() : chosen;
}

void *preload_alloc(size_t size, size_t align)
{
	void *ptr = NULL;

	switch (current()) {
	case BACKEND_SLAB:
		ptr = slab_alloc(size, align);
		break;
	case BACKEND_OPERATOR:
		ptr = opblock_new(size, align, 0);
		break;
	case BACKEND_UNKNOWN:
		break;
	}
	if (!ptr)
		errno = ENOMEM;
	return ptr;
}

void preload_free(void *ptr)
{
	slab_free(ptr); /* an operator's block is a large block to it */
}

static bool is_power_of_two(size_t value)
{
	return value && (value & (value - 1)) == 0;
}

PRELOAD_EXPORT void *malloc(size_t size)
{
	return preload_alloc(size, 0);
}

PRELOAD_EXPORT void free(void *ptr)
{
	preload_free(ptr);
}

/* C23. */
PRELOAD_EXPORT void free_sized(void *ptr, size_t size);
PRELOAD_EXPORT void free_sized(void *ptr, size_t size)
{
	(void)size;
	preload_free(ptr);
}

PRELOAD_EXPORT void free_aligned_sized(void *ptr, size_t align, size_t size);
PRELOAD_EXPORT void free_aligned_sized(void *ptr, size_t align, size_t size)
{
	(void)align;
	(void)size;
	preload_free(ptr);
}

PRELOAD_EXPORT void *calloc(size_t nmemb, size_t size)
{
	size_t bytes;
	void *ptr;

	if (__builtin_mul_overflow(nmemb, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	ptr = preload_alloc(bytes, 0);
	if (ptr && region_of(ptr)) /* a mapping of its own is zeroed */
		memset(ptr, 0, bytes);
	return ptr;
}

/* A block of operator's stays one, of whatever size; all else is the slab's to decide. */
static void *resize(void *ptr, size_t size)
{
	struct opblock block;
	void *moved;

	if (current() != BACKEND_OPERATOR || opblock_find(ptr, &block) < 0)
		return slab_realloc(ptr, size);
	moved = opblock_resize(ptr, size);
	if (moved)
		return moved;
	moved = opblock_new(size, 0, 0);
	if (moved) {
		memcpy(moved, ptr, block.size < size ? block.size : size);
		slab_free(ptr);
	}
	return moved;
}

PRELOAD_EXPORT void *realloc(void *ptr, size_t size)
{
	int saved_errno = errno;
	void *moved;

	if (!ptr)
		return preload_alloc(size, 0);
	if (size == 0) {
		preload_free(ptr);
		return NULL;
	}
	moved = resize(ptr, size);
	errno = moved ? saved_errno : ENOMEM;
	return moved;
}

PRELOAD_EXPORT void *reallocarray(void *ptr, size_t nmemb, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(nmemb, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(ptr, bytes);
}

PRELOAD_EXPORT int posix_memalign(void **memptr, size_t alignment, size_t size)
{
	int saved_errno = errno;
	void *block;

	if (!is_power_of_two(alignment) || alignment % sizeof(void *) != 0)
		return EINVAL;
	block = preload_alloc(size, alignment);
	errno = saved_errno;
	if (!block)
		return ENOMEM;
	*memptr = block;
	return 0;
}

PRELOAD_EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
	if (!is_power_of_two(alignment)) {
		errno = EINVAL;
		return NULL;
	}
	return preload_alloc(size, alignment);
}

/* glibc: an alignment that is no power of two stands for the next one. */
PRELOAD_EXPORT void *memalign(size_t alignment, size_t size)
{
	size_t power = 16;

	while (power < alignment && power)
		power *= 2;
	if (!power) {
		errno = EINVAL;
		return NULL;
	}
	return preload_alloc(size, power);
}

PRELOAD_EXPORT void *valloc(size_t size)
{
	return preload_alloc(size, (size_t)sysconf(_SC_PAGESIZE));
}

PRELOAD_EXPORT void *pvalloc(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (size > PTRDIFF_MAX) {
		errno = ENOMEM;
		return NULL;
	}
	return preload_alloc(size ? (size + page - 1) & ~(page - 1) : page, page);
}

PRELOAD_EXPORT size_t malloc_usable_size(void *ptr)
{
	return ptr ? slab_size(ptr) : 0;
}

PRELOAD_EXPORT int malloc_trim(size_t pad)
{
	(void)pad;
	return slab_trim();
}

/* A child must not inherit a lock that a thread held which it has not inherited. */
__attribute__((constructor)) static void watch_forks(void)
{
	current();
	pthread_atfork(slab_lock_all, slab_unlock_all, slab_unlock_all);
}
