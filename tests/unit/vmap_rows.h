/* SPDX-License-Identifier: GPL-2.0-only */
/* Rows as a source would make them, and a map as a string, for the tests of vmap. */
#ifndef HEAPTRACE_VMAP_ROWS_H
#define HEAPTRACE_VMAP_ROWS_H

#include "event/memcalls.h"
#include "model/vmap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define RW	     (PROT_READ | PROT_WRITE)
#define PRIVATE_ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define SHARED_ANON  (MAP_SHARED | MAP_ANONYMOUS)

/* A syscall that returned @ret_; the arguments follow. */
#define ROW(name_, ret_, ...)                                   \
	((struct event_change){ .cause = CAUSE_SYSCALL,         \
				.name = (name_),                \
				.call = memcall_by_name(name_), \
				.args = { __VA_ARGS__ },        \
				.ret = (int64_t)(ret_),         \
				.has_ret = true,                \
				.count = 1,                     \
				.attributed = true })

/* Addresses in the tests are counted in pages, so that they hold for every page size. */
static inline uint64_t pages(uint64_t count)
{
	return count * (uint64_t)sysconf(_SC_PAGESIZE);
}

static inline void apply(struct vmap *vmap, const struct event_change *change, struct region *region)
{
	struct region unused;

	assert_int_equal(vmap_apply(vmap, 1, change, region ? region : &unused), 0);
}

static inline int setup(void **state)
{
	const struct event_open open = { .how = OPEN_EXEC };

	*state = vmap_new(&open);
	return *state ? 0 : -1;
}

static inline int teardown(void **state)
{
	vmap_free(*state);
	return 0;
}

static inline void map_at(struct vmap *vmap, uint64_t page, uint64_t count, uint64_t prot, uint64_t flags)
{
	struct event_change change = ROW("mmap", pages(page), pages(page), pages(count), prot, flags, -1ULL, 0);

	apply(vmap, &change, NULL);
}

static inline void map_file(struct vmap *vmap, uint64_t page, uint64_t count, const char *path, uint64_t offset_pages)
{
	struct event_change change =
		ROW("mmap", pages(page), 0, pages(count), PROT_READ, MAP_PRIVATE, 3, pages(offset_pages));

	change.text = path;
	apply(vmap, &change, NULL);
}

static inline void unmap(struct vmap *vmap, uint64_t page, uint64_t count)
{
	struct event_change change = ROW("munmap", 0, pages(page), pages(count));

	apply(vmap, &change, NULL);
}

static inline void remap(struct vmap *vmap, uint64_t from, uint64_t old, uint64_t new, uint64_t flags, uint64_t to)
{
	struct event_change change = ROW("mremap", pages(to), pages(from), pages(old), pages(new), flags,
					 flags & MREMAP_FIXED ? pages(to) : 0);

	apply(vmap, &change, NULL);
}

static inline void protect(struct vmap *vmap, uint64_t page, uint64_t count, uint64_t prot)
{
	struct event_change change = ROW("mprotect", 0, pages(page), pages(count), prot);

	apply(vmap, &change, NULL);
}

static inline void brk_to(struct vmap *vmap, uint64_t byte, int64_t virt, struct region *region)
{
	struct event_change change = ROW("brk", byte, byte);

	change.delta.virt = virt;
	apply(vmap, &change, region);
}

static inline void fault(struct vmap *vmap, uint64_t byte, uint64_t len, int64_t virt, struct region *region)
{
	struct event_change change = { .cause = CAUSE_FAULT,
				       .name = virt ? "stack" : "minor",
				       .addr = byte,
				       .len = len,
				       .count = 1,
				       .delta = { .virt = virt },
				       .attributed = true };

	apply(vmap, &change, region);
}

/* The map as text, one piece a line: pages, protection, kind, path and offset in pages. */
static inline void dump(const struct vmap *vmap, char *text, size_t size)
{
	struct vmap_range range;
	size_t used = 0;

	text[0] = '\0';
	for (uint64_t at = 0; vmap_next(vmap, at, &range) && used < size; at = range.end) {
		used += (size_t)snprintf(text + used, size - used, "%lu-%lu %c%c%c%c %s", range.start / pages(1),
					 range.end / pages(1), range.prot & PROT_READ ? 'r' : '-',
					 range.prot & PROT_WRITE ? 'w' : '-', range.prot & PROT_EXEC ? 'x' : '-',
					 range.shared ? 's' : 'p', region_kind_name(range.kind));
		if (range.path && used < size)
			used += (size_t)snprintf(text + used, size - used, " %s+%lu", range.path,
						 range.offset / pages(1));
		if (used < size)
			used += (size_t)snprintf(text + used, size - used, "\n");
	}
}

static inline void assert_map_at(const struct vmap *vmap, const char *want, const char *file, int line)
{
	char text[8192];

	dump(vmap, text, sizeof(text));
	_assert_string_equal(text, want, file, line);
}

#define assert_map(vmap, want) assert_map_at(vmap, want, __FILE__, __LINE__)

static inline void assert_region_at(const struct region *region, enum region_kind kind, uint64_t start_page,
				    uint64_t end_page, const char *file, int line)
{
	_assert_int_equal(region->kind, kind, file, line);
	_assert_int_equal(region->start, pages(start_page), file, line);
	_assert_int_equal(region->end, pages(end_page), file, line);
}

#define assert_region(region, kind, start_page, end_page) \
	assert_region_at(region, kind, start_page, end_page, __FILE__, __LINE__)

#endif
