/* SPDX-License-Identifier: GPL-2.0-only */
#include "slab_region.h"

#include "operator_block.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#define WORDS	   4
#define DATA_PAGES (REGION_PAGES - REGION_HEADER_PAGES)
/* A run is looked for in so many regions before a new one is mapped: a bound on time, paid for in addresses only. */
#define TRIES_MAX  16

#define GROUP_PAGES 64 /* pages whose descriptors share a header page, and whose bits share a word */

/* The registry: one bit for each possible region, in leaves of a page that come as they are needed and stay.
 *
 * An address has at most 47 bits unless the program asks for more by a hint to mmap, which this one does not. */
#define ADDRESS_BITS 47
#define REGION_SHIFT 20
#define LEAF_SHIFT   15 /* regions in a leaf: 2^15 bits are 4 KiB, for 32 GiB of addresses */
#define ROOT_LEAVES  ((size_t)1 << (ADDRESS_BITS - REGION_SHIFT - LEAF_SHIFT))

struct leaf {
	_Atomic uint64_t bits[(1 << LEAF_SHIFT) / 64];
};

static _Atomic(struct leaf *) registry[ROOT_LEAVES];

static atomic_size_t keep_base; /* pages */

static void *map_pages(size_t bytes)
{
	void *ptr = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return ptr == MAP_FAILED ? NULL : ptr;
}

/* The leaf for region @number, or NULL. */
static inline struct leaf *leaf_find(uintptr_t number)
{
	size_t index = number >> LEAF_SHIFT;

	return index < ROOT_LEAVES ? atomic_load_explicit(&registry[index], memory_order_acquire) : NULL;
}

/* The same; made where it is missing. NULL where there is no memory. */
static struct leaf *leaf_make(uintptr_t number)
{
	size_t index = number >> LEAF_SHIFT;
	struct leaf *leaf = leaf_find(number), *expected = NULL;

	if (leaf || index >= ROOT_LEAVES)
		return leaf;
	leaf = map_pages(sizeof(struct leaf));
	if (leaf && !atomic_compare_exchange_strong(&registry[index], &expected, leaf)) {
		munmap(leaf, sizeof(struct leaf));
		leaf = expected;
	}
	return leaf;
}

/* Sets or clears the bit of the region at @address. 0 or -ENOMEM (only when setting). */
static int registry_set(const void *address, bool present)
{
	uintptr_t number = (uintptr_t)address >> REGION_SHIFT;
	struct leaf *leaf = leaf_make(number);
	size_t bit = number & ((1 << LEAF_SHIFT) - 1);

	if (!leaf)
		return -ENOMEM;
	if (present)
		atomic_fetch_or_explicit(&leaf->bits[bit / 64], UINT64_C(1) << bit % 64, memory_order_release);
	else
		atomic_fetch_and_explicit(&leaf->bits[bit / 64], ~(UINT64_C(1) << bit % 64), memory_order_release);
	return 0;
}

/* The leaf of where mmap places things now is made at once, so that it is not made in mid-experiment. */
int region_init(void)
{
	void *probe = map_pages(SLAB_PAGE_BYTES);
	int err;

	if (!probe)
		return -errno;
	err = registry_set(probe, false);
	munmap(probe, SLAB_PAGE_BYTES);
	return err;
}

struct region *region_of(const void *ptr)
{
	uintptr_t number = (uintptr_t)ptr >> REGION_SHIFT;
	const struct leaf *leaf = leaf_find(number);
	size_t bit = number & ((1 << LEAF_SHIFT) - 1);

	if (!leaf || !(atomic_load_explicit(&leaf->bits[bit / 64], memory_order_acquire) >> bit % 64 & 1))
		return NULL;
	return (struct region *)(number << REGION_SHIFT);
}

static bool bit_is_set(const uint64_t *words, unsigned int bit)
{
	return words[bit / 64] >> bit % 64 & 1;
}

/* Sets or clears @count bits from @first on. The number of bits that this changed. */
static unsigned int bits_assign(uint64_t *words, unsigned int first, unsigned int count, bool value)
{
	unsigned int changed = 0;

	for (unsigned int bit = first; bit < first + count; bit++) {
		uint64_t mask = UINT64_C(1) << bit % 64, before = words[bit / 64];

		words[bit / 64] = value ? before | mask : before & ~mask;
		changed += words[bit / 64] != before;
	}
	return changed;
}

/* The first of @count bits in a row that are set, or -1. */
static int bits_find(const uint64_t *words, unsigned int count)
{
	unsigned int run = 0;

	for (unsigned int bit = 0; bit < WORDS * 64;) {
		uint64_t rest = words[bit / 64] >> bit % 64;

		if (rest & 1) {
			bit++;
			if (++run == count)
				return (int)(bit - count);
		} else {
			run = 0;
			bit = rest ? bit + (unsigned int)__builtin_ctzll(rest) : (bit | 63) + 1;
		}
	}
	return -1;
}

/* How many bits are set from @first on, at most @max. */
static unsigned int bits_run(const uint64_t *words, unsigned int first, unsigned int max)
{
	unsigned int run = 0;

	while (run < max && first + run < WORDS * 64 && bit_is_set(words, first + run))
		run++;
	return run;
}

/* 1 MiB at a multiple of 1 MiB: from twice as much, of which the rest goes back. */
static struct region *region_map(void)
{
	char *base = map_pages(2 * REGION_BYTES - SLAB_PAGE_BYTES);
	size_t head, tail;

	if (!base)
		return NULL;
	head = -(uintptr_t)base & (REGION_BYTES - 1);
	tail = REGION_BYTES - SLAB_PAGE_BYTES - head;
	if ((head && munmap(base, head) < 0) || (tail && munmap(base + head + REGION_BYTES, tail) < 0)) {
		munmap(base, 2 * REGION_BYTES - SLAB_PAGE_BYTES);
		return NULL;
	}
	return (struct region *)(base + head);
}

static void queue_add(struct region_list *list, enum region_queue queue, struct region *region)
{
	struct region *next = list->first[queue];

	region->links[queue].prev = NULL;
	region->links[queue].next = next;
	if (next)
		next->links[queue].prev = region;
	list->first[queue] = region;
}

static void queue_remove(struct region_list *list, enum region_queue queue, struct region *region)
{
	struct region *next = region->links[queue].next, *prev = region->links[queue].prev;

	if (next)
		next->links[queue].prev = prev;
	if (prev)
		prev->links[queue].next = next;
	else
		list->first[queue] = next;
}

static bool keeps_a_page(const struct region *region)
{
	return (region->kept[0] | region->kept[1] | region->kept[2] | region->kept[3]) != 0;
}

static void keep_pages(struct region_list *list, struct region *region, unsigned int first, unsigned int count)
{
	if (!keeps_a_page(region))
		queue_add(list, QUEUE_KEPT, region);
	list->kept += bits_assign(region->kept, first, count, true);
}

/* They are not kept any more, as far as they were. */
static void unkeep_pages(struct region_list *list, struct region *region, unsigned int first, unsigned int count)
{
	unsigned int changed = bits_assign(region->kept, first, count, false);

	list->kept -= changed;
	if (changed && !keeps_a_page(region))
		queue_remove(list, QUEUE_KEPT, region);
}

static struct region *region_new(struct region_list *list, struct slab_shard *shard)
{
	struct region *region = region_map();

	if (!region)
		return NULL;
	region->shard = shard;
	region->free_pages = DATA_PAGES;
	bits_assign(region->free, REGION_HEADER_PAGES, DATA_PAGES, true);
	if (registry_set(region, true) < 0) {
		munmap(region, REGION_BYTES);
		return NULL;
	}
	queue_add(list, QUEUE_FREE, region);
	return region;
}

static void region_unmap(struct region_list *list, struct region *region)
{
	unkeep_pages(list, region, 0, REGION_PAGES);
	queue_remove(list, QUEUE_FREE, region);
	if (list->spare == region)
		list->spare = NULL;
	registry_set(region, false);
	if (munmap(region, REGION_BYTES) < 0)
		opblock_die("slab: munmap of %p: error %d\n", (void *)region, errno);
}

static struct slab_page *region_take(struct region_list *list, struct region *region, unsigned int first,
				     unsigned int count)
{
	struct slab_page *page = region_page(region, first);

	unkeep_pages(list, region, first, count);
	bits_assign(region->free, first, count, false);
	list->used += count;
	region->free_pages -= count;
	if (region->free_pages == 0)
		queue_remove(list, QUEUE_FREE, region);
	if (list->spare == region)
		list->spare = NULL;
	memset(page, 0, (size_t)count * PAGE_DESCRIPTOR_BYTES);
	return page;
}

struct slab_page *pages_take(struct region_list *list, struct slab_shard *shard, unsigned int count)
{
	struct region *region;
	int first, tries = 0;

	for (region = list->first[QUEUE_KEPT]; region && tries < TRIES_MAX;
	     region = region->links[QUEUE_KEPT].next, tries++) {
		first = bits_find(region->kept, count);
		if (first >= 0)
			return region_take(list, region, (unsigned int)first, count);
	}
	tries = 0;
	for (region = list->first[QUEUE_FREE]; region && tries < TRIES_MAX;
	     region = region->links[QUEUE_FREE].next, tries++) {
		first = region->free_pages < count ? -1 : bits_find(region->free, count);
		if (first >= 0)
			return region_take(list, region, (unsigned int)first, count);
	}
	region = region_new(list, shard);
	return region ? region_take(list, region, REGION_HEADER_PAGES, count) : NULL;
}

/* Gives back the pages' memory, and that of descriptors that are of no use any more. */
static void region_drop(struct region *region, unsigned int first, unsigned int count)
{
	char *base = (char *)region;

	if (madvise(base + first * SLAB_PAGE_BYTES, count * SLAB_PAGE_BYTES, MADV_DONTNEED) < 0)
		opblock_die("slab: madvise of %p: error %d\n", (void *)(base + first * SLAB_PAGE_BYTES), errno);
	for (unsigned int group = first / GROUP_PAGES; group <= (first + count - 1) / GROUP_PAGES; group++)
		if (group > 0 && region->free[group] == UINT64_MAX && region->kept[group] == 0)
			(void)madvise(base + group * SLAB_PAGE_BYTES, SLAB_PAGE_BYTES, MADV_DONTNEED);
}

void regions_set_keep(size_t pages)
{
	atomic_store_explicit(&keep_base, pages, memory_order_relaxed);
}

/* What may be kept or reserved, where @reserved is. A part of what is in use comes on top: it makes busy programs fast, and
 * falls to nothing as they free. */
static size_t keep_limit(const struct region_list *list, size_t reserved)
{
	size_t base = atomic_load_explicit(&keep_base, memory_order_relaxed);
	bool idle = list->used == reserved;

	return base == 0 || (idle && !list->keeps_idle) ? 0 : base + list->used / REGION_KEEP_PART;
}

bool pages_may_keep(const struct region_list *list, size_t count)
{
	return list->kept + list->reserved + count <= keep_limit(list, list->reserved);
}

bool pages_may_reserve(const struct region_list *list)
{
	return list->kept + list->reserved + 1 <= keep_limit(list, list->reserved + 1);
}

/* Nothing of @region is in use any more. One such region may stay for its kept pages. */
static void region_emptied(struct region_list *list, struct region *region)
{
	if (!keeps_a_page(region)) {
		region_unmap(list, region);
		return;
	}
	if (list->spare)
		region_unmap(list, list->spare);
	list->spare = region;
}

void pages_give(struct region_list *list, struct slab_page *page, unsigned int count)
{
	struct region *region = region_of_page(page);
	unsigned int first = region_index(page);
	size_t limit;

	page->kind = PAGE_FREE;
	bits_assign(region->free, first, count, true);
	if (region->free_pages == 0)
		queue_add(list, QUEUE_FREE, region);
	region->free_pages += count;
	list->used -= count;
	limit = keep_limit(list, list->reserved);
	if (pages_may_keep(list, count))
		keep_pages(list, region, first, count);
	else if (region->free_pages < DATA_PAGES || keeps_a_page(region))
		region_drop(region, first, count);
	if (region->free_pages == DATA_PAGES)
		region_emptied(list, region);
	regions_trim(list, limit > list->reserved ? limit - list->reserved : 0);
}

size_t regions_trim(struct region_list *list, size_t left)
{
	size_t dropped = 0;

	while (list->kept > left) {
		struct region *region = list->first[QUEUE_KEPT];
		unsigned int first = (unsigned int)bits_find(region->kept, 1);
		unsigned int count = bits_run(region->kept, first, (unsigned int)(list->kept - left));

		dropped += count;
		unkeep_pages(list, region, first, count);
		if (region->free_pages == DATA_PAGES && !keeps_a_page(region))
			region_unmap(list, region);
		else
			region_drop(region, first, count);
	}
	return dropped;
}
