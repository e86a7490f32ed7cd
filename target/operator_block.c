/* SPDX-License-Identifier: GPL-2.0-only */
#include "operator_block.h"

#include "ptrmap.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static struct ptrmap blocks;
static atomic_bool ready;
static pthread_mutex_t init_lock = PTHREAD_MUTEX_INITIALIZER;
static size_t page_bytes;

int opblock_init(bool resident)
{
	int err = 0;

	if (atomic_load_explicit(&ready, memory_order_acquire))
		return 0;
	pthread_mutex_lock(&init_lock);
	if (!atomic_load(&ready)) {
		page_bytes = (size_t)sysconf(_SC_PAGESIZE);
		err = ptrmap_init(&blocks, resident);
		atomic_store_explicit(&ready, err == 0, memory_order_release);
	}
	pthread_mutex_unlock(&init_lock);
	return err;
}

_Noreturn void opblock_die(const char *fmt, ...)
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

size_t opblock_length(size_t size)
{
	if (size > PTRDIFF_MAX - page_bytes)
		return 0;
	return size ? (size + page_bytes - 1) & ~(page_bytes - 1) : page_bytes;
}

/* Gives a range back. To unmap the middle of a mapping makes one more mapping, of which the kernel allows 65530 by
 * default (vm.max_map_count); where it refuses, the pages go back all the same, and only the addresses stay. */
static void range_unmap(void *start, size_t length)
{
	if (munmap(start, length) < 0 && (errno != ENOMEM || madvise(start, length, MADV_DONTNEED) < 0))
		opblock_die("munmap of %p, %zu bytes: error %d\n", start, length, errno);
}

/* A mapping of @length bytes at a multiple of @align (0: of the page), or NULL. */
static void *range_map(size_t length, size_t align)
{
	size_t slack = align > page_bytes ? align - page_bytes : 0;
	size_t head;
	char *base;

	if (slack > PTRDIFF_MAX - length)
		return NULL;
	base = mmap(NULL, length + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (base == MAP_FAILED)
		return NULL;
	if (slack == 0)
		return base;
	head = -(uintptr_t)base & (align - 1);
	if (head)
		range_unmap(base, head);
	if (slack - head)
		range_unmap(base + head + length, slack - head);
	return base + head;
}

void *opblock_new(size_t size, size_t align, size_t tag)
{
	size_t length = opblock_length(size);
	void *ptr;

	if (length == 0 || (align & (align - 1)) != 0)
		return NULL;
	ptr = range_map(length, align);
	if (ptr && ptrmap_insert(&blocks, ptr, (struct ptrmap_value){ .size = size, .info = tag }) < 0) {
		range_unmap(ptr, length);
		return NULL;
	}
	return ptr;
}

int opblock_find(const void *ptr, struct opblock *out)
{
	struct ptrmap_value value;
	int err = ptrmap_find(&blocks, ptr, &value);

	if (err == 0)
		*out = (struct opblock){ .size = value.size, .tag = value.info };
	return err;
}

/* Out of the map before munmap: the moment that the pages are gone, another thread may be given the same address. */
int opblock_delete(void *ptr, struct opblock *out)
{
	struct ptrmap_value value;
	int err = ptrmap_remove(&blocks, ptr, &value);

	if (err < 0)
		return err;
	range_unmap(ptr, opblock_length(value.size));
	*out = (struct opblock){ .size = value.size, .tag = value.info };
	return 0;
}

void *opblock_resize(void *ptr, size_t size)
{
	size_t length = opblock_length(size);
	struct ptrmap_value value;
	void *moved = ptr;
	size_t old;

	if (length == 0 || ptrmap_find(&blocks, ptr, &value) < 0)
		return NULL;
	old = opblock_length(value.size);
	if (length < old)
		range_unmap((char *)ptr + length, old - length);
	if (length > old && mremap(ptr, old, length, 0) == MAP_FAILED) {
		/* As in delete: the old address is another's from the moment of the move on. */
		ptrmap_remove(&blocks, ptr, &value);
		moved = mremap(ptr, old, length, MREMAP_MAYMOVE);
		if (moved != MAP_FAILED)
			value.size = size;
		if (ptrmap_insert(&blocks, moved == MAP_FAILED ? ptr : moved, value) < 0)
			opblock_die("no memory to record the block at %p\n", ptr);
		return moved == MAP_FAILED ? NULL : moved;
	}
	value.size = size;
	ptrmap_update(&blocks, ptr, value);
	return moved;
}

size_t opblock_count(void)
{
	return ptrmap_count(&blocks);
}

void opblock_lock_all(void)
{
	pthread_mutex_lock(&init_lock);
	if (atomic_load(&ready))
		ptrmap_lock_all(&blocks);
}

void opblock_unlock_all(void)
{
	if (atomic_load(&ready))
		ptrmap_unlock_all(&blocks);
	pthread_mutex_unlock(&init_lock);
}
