/* SPDX-License-Identifier: GPL-2.0-only */
/* A map of one small address space, page by page and so simple that it is right; and random calls for it. */
#ifndef HEAPTRACE_VMAP_REFERENCE_H
#define HEAPTRACE_VMAP_REFERENCE_H

#include "vmap_rows.h"

#include <errno.h>
#include <linux/mman.h>
#include <stdlib.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

#define AREA_START  16 /* pages that are mapped at will */
#define AREA_END    112
#define HEAP_START  120
#define HEAP_END    150
#define STACK_LOW   160
#define STACK_START 190
#define STACK_END   192

enum page_what { PAGE_HOLE, PAGE_ANON, PAGE_FILE, PAGE_SHM, PAGE_HEAP, PAGE_STACK };

struct page {
	enum page_what what;
	int prot;
	unsigned int id; /* of the file or the segment */
	unsigned int file_page;
	bool dontfork;
};

struct reference {
	struct page pages[STACK_END];
	unsigned int brk, stack, next_segment;
	uint64_t random;
};

static const char *const reference_paths[] = { "/lib/a", "/lib/b", "/dev/shm/c" };

static inline uint64_t draw(struct reference *ref, uint64_t below)
{
	ref->random ^= ref->random << 13;
	ref->random ^= ref->random >> 7;
	ref->random ^= ref->random << 17;
	return (ref->random >> 11) % below;
}

static inline void reference_start(struct reference *ref, uint64_t seed)
{
	*ref = (struct reference){ .brk = HEAP_START, .stack = STACK_START, .random = seed * 0x9e3779b97f4a7c15 + 1 };
	for (unsigned int at = STACK_START; at < STACK_END; at++)
		ref->pages[at] = (struct page){ .what = PAGE_STACK, .prot = RW };
}

static inline unsigned int count_mapped(const struct reference *ref)
{
	unsigned int count = 0;

	for (unsigned int at = 0; at < STACK_END; at++)
		count += ref->pages[at].what != PAGE_HOLE;
	return count;
}

/* A range in the area, up to 12 pages. */
static inline void draw_range(struct reference *ref, unsigned int *start, unsigned int *end)
{
	unsigned int len = 1 + (unsigned int)draw(ref, 12);

	*start = AREA_START + (unsigned int)draw(ref, AREA_END - AREA_START - len);
	*end = *start + len;
}

static inline bool is_free(const struct reference *ref, unsigned int start, unsigned int end)
{
	for (unsigned int at = start; at < end; at++) {
		if (at >= AREA_END || ref->pages[at].what != PAGE_HOLE)
			return false;
	}
	return true;
}

/* Whether the kernel would hold it as one mapping. */
static inline bool is_one(const struct reference *ref, unsigned int start, unsigned int end)
{
	const struct page *first = &ref->pages[start];

	for (unsigned int at = start; at < end; at++) {
		const struct page *page = &ref->pages[at];

		if (page->what == PAGE_HOLE || page->what != first->what || page->id != first->id ||
		    page->prot != first->prot || page->dontfork != first->dontfork ||
		    page->file_page - first->file_page != (page->what == PAGE_ANON ? 0 : at - start))
			return false;
	}
	return true;
}

static inline bool call_mmap(struct reference *ref, struct event_change *change)
{
	static const int prots[] = { PROT_NONE, PROT_READ, RW };
	bool fixed = draw(ref, 2), file = draw(ref, 2);
	unsigned int start, end, first = (unsigned int)draw(ref, 30), id = (unsigned int)draw(ref, 3);
	int prot = prots[draw(ref, 3)];

	draw_range(ref, &start, &end);
	if (!fixed && !is_free(ref, start, end))
		return false;
	*change = ROW("mmap", pages(start), fixed ? pages(start) : 0, pages(end - start), (uint64_t)prot,
		      (uint64_t)((file ? MAP_PRIVATE : PRIVATE_ANON) | (fixed ? MAP_FIXED : 0)), 3, pages(first));
	change->text = file ? reference_paths[id] : NULL;
	for (unsigned int at = start; at < end; at++)
		ref->pages[at] = (struct page){ .what = file ? PAGE_FILE : PAGE_ANON,
						.prot = prot,
						.id = file ? id : 0,
						.file_page = file ? first + (at - start) : 0 };
	return true;
}

static inline bool call_munmap(struct reference *ref, struct event_change *change)
{
	unsigned int start, end;

	draw_range(ref, &start, &end);
	*change = ROW("munmap", 0, pages(start), pages(end - start));
	memset(&ref->pages[start], 0, (end - start) * sizeof(ref->pages[0]));
	return true;
}

static inline bool call_mprotect(struct reference *ref, struct event_change *change)
{
	unsigned int start, end, at;
	int prot = draw(ref, 2) ? PROT_READ : RW;

	draw_range(ref, &start, &end);
	for (at = start; at < end && ref->pages[at].what != PAGE_HOLE; at++)
		ref->pages[at].prot = prot;
	*change = ROW("mprotect", at < end ? -ENOMEM : 0, pages(start), pages(end - start), (uint64_t)prot);
	return true;
}

static inline bool call_madvise(struct reference *ref, struct event_change *change)
{
	unsigned int start, end;
	bool dontfork = draw(ref, 2), gap = false;

	draw_range(ref, &start, &end);
	for (unsigned int at = start; at < end; at++) {
		gap |= ref->pages[at].what == PAGE_HOLE;
		ref->pages[at].dontfork = dontfork && ref->pages[at].what != PAGE_HOLE;
	}
	*change = ROW("madvise", gap ? -ENOMEM : 0, pages(start), pages(end - start),
		      dontfork ? MADV_DONTFORK : MADV_DOFORK);
	return true;
}

/* Page @index of what was at @old, of which the last page is continued. */
static inline struct page moved_page(const struct page *old, unsigned int old_count, unsigned int index)
{
	struct page page = old[index < old_count ? index : old_count - 1];

	if (index >= old_count && page.what != PAGE_ANON)
		page.file_page += index - (old_count - 1);
	return page;
}

static inline bool call_mremap(struct reference *ref, struct event_change *change)
{
	unsigned int from, from_end, to, to_end, count;
	struct page old[12];
	uint64_t flags = MREMAP_MAYMOVE;
	bool in_place = draw(ref, 2), keep = draw(ref, 4) == 0;

	draw_range(ref, &from, &from_end);
	draw_range(ref, &to, &to_end);
	count = from_end - from;
	if (in_place) {
		to_end = from + (to_end - to);
		to = from;
		if (to_end > from_end && !is_free(ref, from_end, to_end))
			return false;
		keep = false;
	} else if (keep) {
		to_end = to + count;
		flags |= MREMAP_DONTUNMAP;
	}
	if (to_end > AREA_END || !is_one(ref, from, from_end) || (!in_place && from < to_end && to < from_end))
		return false;
	flags |= in_place ? 0 : MREMAP_FIXED;
	*change = ROW("mremap", pages(to), pages(from), pages(count), pages(to_end - to), flags,
		      in_place ? 0 : pages(to));
	memcpy(old, &ref->pages[from], count * sizeof(old[0]));
	if (!keep)
		memset(&ref->pages[from], 0, count * sizeof(old[0]));
	for (unsigned int at = to; at < to_end; at++)
		ref->pages[at] = moved_page(old, count, at - to);
	return true;
}

static inline bool call_remap_file_pages(struct reference *ref, struct event_change *change)
{
	unsigned int start, end, first = (unsigned int)draw(ref, 30);

	draw_range(ref, &start, &end);
	if (ref->pages[start].what != PAGE_FILE || !is_one(ref, start, end))
		return false;
	*change = ROW("remap_file_pages", 0, pages(start), pages(end - start), 0, first, 0);
	for (unsigned int at = start; at < end; at++)
		ref->pages[at].file_page = first + (at - start);
	return true;
}

static inline bool call_shmat(struct reference *ref, struct event_change *change)
{
	unsigned int start, end, id = ++ref->next_segment;

	draw_range(ref, &start, &end);
	if (!is_free(ref, start, end))
		return false;
	*change = ROW("shmat", pages(start), id, 0, 0);
	for (unsigned int at = start; at < end; at++)
		ref->pages[at] = (struct page){ .what = PAGE_SHM, .prot = RW, .id = id, .file_page = at - start };
	return true;
}

/* Takes away every page of the segment that lies where it was attached. */
static inline bool call_shmdt(struct reference *ref, struct event_change *change)
{
	unsigned int start, end, at, id;

	draw_range(ref, &start, &end);
	for (at = start; at < AREA_END; at++) {
		if (ref->pages[at].what == PAGE_SHM && ref->pages[at].file_page == at - start)
			break;
	}
	if (at == AREA_END)
		return false;
	for (id = ref->pages[at].id; at < AREA_END; at++) {
		const struct page *page = &ref->pages[at];

		if (page->what == PAGE_SHM && page->id == id && page->file_page == at - start)
			ref->pages[at] = (struct page){ .what = PAGE_HOLE };
	}
	*change = ROW("shmdt", 0, pages(start));
	return true;
}

static inline bool call_brk(struct reference *ref, struct event_change *change)
{
	ref->brk = HEAP_START + (unsigned int)draw(ref, HEAP_END - HEAP_START);
	for (unsigned int at = HEAP_START; at < HEAP_END; at++)
		ref->pages[at] = (struct page){ .what = at < ref->brk ? PAGE_HEAP : PAGE_HOLE, .prot = RW };
	*change = ROW("brk", pages(ref->brk) - 8, pages(ref->brk) - 8);
	return true;
}

static inline bool call_stack(struct reference *ref, struct event_change *change)
{
	if (draw(ref, 8) || ref->stack == STACK_LOW)
		return false;
	ref->stack--;
	ref->pages[ref->stack] = (struct page){ .what = PAGE_STACK, .prot = RW };
	*change = (struct event_change){ .cause = CAUSE_FAULT,
					 .name = "stack",
					 .addr = pages(ref->stack) + 8,
					 .len = 8,
					 .count = 1,
					 .attributed = true };
	return true;
}

/* Makes a random call that succeeds, or fails half-way, as the kernel would. */
static inline void reference_call(struct reference *ref, struct event_change *change)
{
	static bool (*const calls[])(struct reference *, struct event_change *) = {
		call_mmap,     call_mmap,   call_mmap,	 call_munmap,  call_munmap,
		call_mprotect, call_mremap, call_mremap, call_madvise, call_remap_file_pages,
		call_shmat,    call_shmdt,  call_brk,	 call_stack,
	};
	unsigned int before = count_mapped(ref);

	while (!calls[draw(ref, sizeof(calls) / sizeof(calls[0]))](ref, change))
		;
	change->delta.virt = ((int64_t)count_mapped(ref) - (int64_t)before) * (int64_t)pages(1);
}

static inline enum region_kind page_kind(const struct page *page)
{
	switch (page->what) {
	case PAGE_HOLE:
		break;
	case PAGE_ANON:
		return REGION_ANON;
	case PAGE_FILE:
		return page->id == 2 ? REGION_SHM : REGION_FILE;
	case PAGE_SHM:
		return REGION_SHM;
	case PAGE_HEAP:
		return REGION_HEAP;
	case PAGE_STACK:
		return REGION_STACK;
	}
	return REGION_NONE;
}

/* Every page of the map is as the reference has it; with @forked, as a child's would be. */
static inline void assert_agrees(const struct vmap *vmap, const struct reference *ref, bool forked)
{
	unsigned int mapped = 0;

	for (unsigned int at = 0; at < STACK_END; at++) {
		const struct page *page = &ref->pages[at];
		struct vmap_range range = { .start = 0 };
		bool found = vmap_next(vmap, pages(at), &range) && range.start <= pages(at);
		bool want = page->what != PAGE_HOLE && !(forked && page->dontfork);

		assert_int_equal(found, want);
		if (!want)
			continue;
		mapped++;
		assert_int_equal(range.prot, page->prot);
		assert_int_equal(range.kind, page_kind(page));
		if (page->what == PAGE_FILE)
			assert_string_equal(range.path, reference_paths[page->id]);
		else
			assert_null(range.path);
		if (page->what == PAGE_FILE || page->what == PAGE_SHM)
			assert_int_equal(range.offset + (pages(at) - range.start), pages(page->file_page));
	}
	assert_int_equal(vmap_total_bytes(vmap), pages(mapped));
}

/* The map that goes with a reference that was just started. */
static inline struct vmap *reference_vmap(enum open_how how)
{
	struct event_open open = { .how = how,
				   .start_brk = pages(HEAP_START) - 8,
				   .brk = pages(HEAP_START) - 8,
				   .start_stack = pages(STACK_END) - 64 };
	struct event_vma stack = {
		.start = pages(STACK_START), .end = pages(STACK_END), .prot = RW, .flags = MAP_PRIVATE | MAP_GROWSDOWN
	};
	struct vmap *vmap = vmap_new(&open);

	assert_non_null(vmap);
	assert_int_equal(vmap_seed(vmap, &stack), 0);
	return vmap;
}

#endif
