/* SPDX-License-Identifier: GPL-2.0-only */
#include "slab_region.h"

#include "operator_block.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#define WORDS		 4
#define DATA_PAGES	 (REGION_PAGES - REGION_HEADER_PAGES)
#define DESCRIPTOR_BYTES 64
/* A run is looked for in so many regions before a new one is mapped: a bound on time, paid for in addresses only. */
#define TRIES_MAX	 16

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

static void *map_pages(size_t bytes)
{
	void *ptr = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return ptr == MAP_FAILED ? NULL : ptr;
}

/* The leaf for @region; made where it is missing and @make says so. */
static struct leaf *leaf_of(uintptr_t number, bool make)
{
	size_t index = number >> LEAF_SHIFT;
	struct leaf *leaf, *expected = NULL;

	if (index >= ROOT_LEAVES)
		return NULL;
	leaf = atomic_load_explicit(&registry[index], memory_order_acquire);
	if (leaf || !make)
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
	struct leaf *leaf = leaf_of(number, true);
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
	const struct leaf *leaf = leaf_of(number, false);
	size_t bit = number & ((1 << LEAF_SHIFT) - 1);

	if (!leaf || !(atomic_load_explicit(&leaf->bits[bit / 64], memory_order_acquire) >> bit % 64 & 1))
		return NULL;
	return (struct region *)(number << REGION_SHIFT);
}

struct slab_page *region_page(struct region *region, unsigned int index)
{
	return (struct slab_page *)((char *)region + (size_t)index * DESCRIPTOR_BYTES);
}

unsigned int region_index(const struct slab_page *page)
{
	return (unsigned int)(((uintptr_t)page & (REGION_BYTES - 1)) / DESCRIPTOR_BYTES);
}

static struct region *region_of_page(const struct slab_page *page)
{
	return (struct region *)((uintptr_t)page & ~(REGION_BYTES - 1));
}

char *page_address(const struct slab_page *page)
{
	return (char *)region_of_page(page) + region_index(page) * SLAB_PAGE_BYTES;
}

static bool bit_is_set(const uint64_t *words, unsigned int bit)
{
	return words[bit / 64] >> bit % 64 & 1;
}

/* Sets or clears @count bits from @first on. */
static void bits_assign(uint64_t *words, unsigned int first, unsigned int count, bool value)
{
	for (unsigned int bit = first; bit < first + count; bit++) {
		uint64_t mask = UINT64_C(1) << bit % 64;

		words[bit / 64] = value ? words[bit / 64] | mask : words[bit / 64] & ~mask;
	}
}

static unsigned int bits_count(const uint64_t *words, unsigned int first, unsigned int count)
{
	unsigned int sum = 0;

	for (unsigned int bit = first; bit < first + count; bit++)
		sum += bit_is_set(words, bit);
	return sum;
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

static void list_add(struct region_list *list, struct region *region)
{
	region->prev = NULL;
	region->next = list->first;
	if (list->first)
		list->first->prev = region;
	list->first = region;
}

static void list_remove(struct region_list *list, struct region *region)
{
	if (region->next)
		region->next->prev = region->prev;
	if (region->prev)
		region->prev->next = region->next;
	else
		list->first = region->next;
}

static struct region *region_new(struct region_list *list, struct slab_shard *shard)
{
	struct region *region = region_map();

	if (!region)
		return NULL;
	region->shard = shard;
	region->free_pages = DATA_PAGES;
	bits_assign(region->used, 0, REGION_HEADER_PAGES, true);
	if (registry_set(region, true) < 0) {
		munmap(region, REGION_BYTES);
		return NULL;
	}
	list_add(list, region);
	return region;
}

/* The first of @count free pages in a row, or -1. */
static int region_find(const struct region *region, unsigned int count)
{
	unsigned int run = 0;

	for (unsigned int bit = REGION_HEADER_PAGES; bit < REGION_PAGES; bit++) {
		if (bit % 64 == 0 && region->used[bit / 64] == UINT64_MAX) {
			run = 0;
			bit += 63;
			continue;
		}
		run = bit_is_set(region->used, bit) ? 0 : run + 1;
		if (run == count)
			return (int)(bit + 1 - count);
	}
	return -1;
}

static int region_find_kept(const struct region *region)
{
	for (int word = 0; word < WORDS; word++)
		if (region->kept[word])
			return word * 64 + __builtin_ctzll(region->kept[word]);
	return -1;
}

static struct slab_page *region_take(struct region_list *list, struct region *region, unsigned int first,
				     unsigned int count)
{
	struct slab_page *page = region_page(region, first);

	list->kept_pages -= bits_count(region->kept, first, count);
	bits_assign(region->kept, first, count, false);
	bits_assign(region->used, first, count, true);
	region->free_pages -= count;
	if (region->free_pages == 0)
		list_remove(list, region);
	memset(page, 0, (size_t)count * DESCRIPTOR_BYTES);
	return page;
}

struct slab_page *pages_take(struct region_list *list, struct slab_shard *shard, unsigned int count)
{
	struct region *region = list->first;

	/* A region moves to the front when it keeps a page, so the first ones have them. */
	for (int tries = 0; region && tries < TRIES_MAX; region = region->next, tries++) {
		int first = -1;

		if (region->free_pages < count)
			continue;
		if (count == 1)
			first = region_find_kept(region);
		if (first < 0)
			first = region_find(region, count);
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
		if (group > 0 && region->used[group] == 0 && region->kept[group] == 0)
			(void)madvise(base + group * SLAB_PAGE_BYTES, SLAB_PAGE_BYTES, MADV_DONTNEED);
}

static bool region_is_empty(const struct region *region)
{
	return region->free_pages == DATA_PAGES && region_find_kept(region) < 0;
}

static void region_unmap(struct region_list *list, struct region *region)
{
	list_remove(list, region);
	registry_set(region, false);
	if (munmap(region, REGION_BYTES) < 0)
		opblock_die("slab: munmap of %p: error %d\n", (void *)region, errno);
}

void pages_give(struct region_list *list, struct slab_page *page, unsigned int count, size_t reserved)
{
	struct region *region = region_of_page(page);
	unsigned int first = region_index(page);

	bits_assign(region->used, first, count, false);
	if (region->free_pages > 0)
		list_remove(list, region);
	list_add(list, region);
	region->free_pages += count;
	page->kind = PAGE_FREE;
	if (list->kept_pages + reserved + count <= list->keep_pages) {
		bits_assign(region->kept, first, count, true);
		list->kept_pages += count;
	} else if (region_is_empty(region)) {
		region_unmap(list, region);
	} else {
		region_drop(region, first, count);
	}
}

size_t regions_trim(struct region_list *list)
{
	struct region *region = list->first;
	size_t dropped = 0;

	while (region) {
		struct region *next = region->next;

		for (int bit; (bit = region_find_kept(region)) >= 0; dropped++) {
			bits_assign(region->kept, (unsigned int)bit, 1, false);
			region_drop(region, (unsigned int)bit, 1);
		}
		if (region_is_empty(region))
			region_unmap(list, region);
		region = next;
	}
	list->kept_pages = 0;
	return dropped;
}
