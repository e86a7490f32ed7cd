/* SPDX-License-Identifier: GPL-2.0-only */
#include "slab.h"

#include "operator_block.h"
#include "slab_lock.h"
#include "slab_region.h"
#include "slab_shard.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#define UNIT 16 /* every block is a multiple of it, and at a multiple of it */

/* Block sizes: four to each doubling up to 512, then as many as fit a page 7, 6, 5, 4, 3 and 2 times. The powers of two
 * are all there, as alignment rests on them. */
static const uint16_t class_bytes[] = { 16,  32,  48,  64,  80,	 96,  112, 128, 160,  192,  224,
					256, 320, 384, 448, 512, 576, 672, 816, 1024, 1360, 2048 };

_Static_assert(sizeof(class_bytes) / sizeof(class_bytes[0]) == SLAB_CLASSES, "each class has its lists in a shard");

static atomic_bool ready;
static pthread_mutex_t init_lock = PTHREAD_MUTEX_INITIALIZER;

/* Filled by slab_init: the class of a size in units; what to multiply a distance in units with, for its quotient by a
 * block's units in the bits from 16 on (exact, as distances are below 256 and blocks have at most 128 units). */
static uint8_t class_of_units[SLAB_SMALL_BYTES / UNIT + 1];
static uint32_t class_reciprocal[SLAB_CLASSES];
static uint16_t class_blocks[SLAB_CLASSES]; /* blocks in a page */

static void fill_tables(void)
{
	for (unsigned int units = 0, class = 0; units < sizeof(class_of_units); units++) {
		class += units * UNIT > class_bytes[class];
		class_of_units[units] = (uint8_t) class;
	}
	for (unsigned int class = 0; class < SLAB_CLASSES; class ++) {
		uint32_t units = class_bytes[class] / UNIT;

		class_reciprocal[class] = (65536 + units - 1) / units;
		class_blocks[class] = (uint16_t)(SLAB_PAGE_BYTES / class_bytes[class]);
	}
}

int slab_init(void)
{
	int err = 0;

	if (atomic_load_explicit(&ready, memory_order_acquire))
		return 0;
	if (sysconf(_SC_PAGESIZE) != (long)SLAB_PAGE_BYTES)
		return -ENOTSUP;
	pthread_mutex_lock(&init_lock);
	if (!atomic_load(&ready)) {
		fill_tables();
		shards_init();
		regions_set_keep(SLAB_KEEP_BYTES / SLAB_PAGE_BYTES);
		err = opblock_init(false);
		if (err == 0)
			err = region_init();
		atomic_store_explicit(&ready, err == 0, memory_order_release);
	}
	pthread_mutex_unlock(&init_lock);
	return err;
}

static void page_init(struct slab_page *page, unsigned int class)
{
	unsigned int blocks = class_blocks[class];

	page->kind = PAGE_SLAB;
	page->class = (uint8_t) class;
	page->used = 0;
	page->listed = false;
	for (unsigned int word = 0; word < 4; word++, blocks -= blocks < 64 ? blocks : 64)
		page->free[word] = blocks >= 64 ? UINT64_MAX : (UINT64_C(1) << blocks) - 1;
}

static void partial_add(struct slab_class *class, struct slab_page *page)
{
	page->listed = true;
	page->prev = NULL;
	page->next = class->partial;
	if (class->partial)
		class->partial->prev = page;
	class->partial = page;
}

static void partial_remove(struct slab_class *class, struct slab_page *page)
{
	page->listed = false;
	if (page->next)
		page->next->prev = page->prev;
	if (page->prev)
		page->prev->next = page->next;
	else
		class->partial = page->next;
}

/* The current page of class @index, which was empty, is not any more, or not the shard's to keep. */
static void empty_clear(struct slab_shard *shard, unsigned int index)
{
	shard->empty &= ~(1U << index);
	shard->regions.reserved--;
}

/* A current page with a free block for @index: a partial one; the empty one of another class; a new one. NULL where there
 * is no memory. */
static struct slab_page *refill(struct slab_shard *shard, unsigned int index)
{
	struct slab_class *class = &shard->classes[index];
	struct slab_page *page = class->partial;

	if (page) {
		partial_remove(class, page);
	} else if (shard->empty) {
		unsigned int other = (unsigned int)__builtin_ctz(shard->empty);

		page = shard->classes[other].current;
		shard->classes[other].current = NULL;
		empty_clear(shard, other);
		page_init(page, index);
	} else {
		page = pages_take(&shard->regions, shard, 1);
		if (!page)
			return NULL;
		page_init(page, index);
	}
	class->current = page;
	return page;
}

/* The lowest free block of @page, which has one. */
static inline __attribute__((always_inline)) char *page_pop(struct slab_page *page)
{
	unsigned int word = 0;
	unsigned int bit;

	while (page->free[word] == 0)
		word++;
	bit = (unsigned int)__builtin_ctzll(page->free[word]);
	page->free[word] &= page->free[word] - 1;
	page->used++;
	return page_address(page) + (size_t)(word * 64 + bit) * class_bytes[page->class];
}

/* The class's current page, if it has a free block. */
static inline struct slab_page *current_page(const struct slab_shard *shard, unsigned int index)
{
	struct slab_page *page = shard->classes[index].current;

	return page && page->used < class_blocks[index] ? page : NULL;
}

static inline void *take_block(struct slab_shard *shard, struct slab_page *page, unsigned int index)
{
	if (page->used == 0 && shard->empty & 1U << index)
		empty_clear(shard, index);
	return page_pop(page);
}

/* The rest of small_alloc where the current page has no block. */
static __attribute__((noinline)) void *small_alloc_slow(struct slab_shard *shard, unsigned int index, bool taken)
{
	struct slab_page *page = NULL;
	void *ptr;

	if (!shard->classes[index].partial && !shard->empty) {
		shard = shard_for_page(shard, taken);
		page = current_page(shard, index);
	}
	if (!page)
		page = refill(shard, index);
	ptr = page ? take_block(shard, page, index) : NULL;
	slab_lock_end(&shard->lock, taken);
	return ptr;
}

static void *small_alloc(unsigned int index)
{
	bool taken = !SLAB_SINGLE_THREADED;
	struct slab_shard *shard = shard_lock_mine(taken);
	struct slab_page *page = current_page(shard, index);
	void *ptr;

	if (!page)
		return small_alloc_slow(shard, index, taken);
	ptr = take_block(shard, page, index);
	slab_lock_end(&shard->lock, taken);
	return ptr;
}

static void *run_alloc(size_t size)
{
	unsigned int count = (unsigned int)((size + SLAB_PAGE_BYTES - 1) / SLAB_PAGE_BYTES);
	bool taken = !SLAB_SINGLE_THREADED;
	struct slab_shard *shard = shard_lock_mine(taken);
	struct slab_page *page;

	if (shard->regions.kept < count)
		shard = shard_for_page(shard, taken);
	page = pages_take(&shard->regions, shard, count);
	if (page) {
		page->kind = PAGE_RUN;
		page->pages = (uint16_t)count;
	}
	slab_lock_end(&shard->lock, taken);
	return page ? page_address(page) : NULL;
}

void *slab_alloc(size_t size, size_t align)
{
	if (align > UNIT && size <= SLAB_SMALL_BYTES && align <= SLAB_SMALL_BYTES) {
		/* A block of a power of two is at a multiple of it. */
		size_t need = size > align ? size : align;

		size = (size_t)1 << (64 - __builtin_clzll(need - 1));
	}
	if (size <= SLAB_SMALL_BYTES && align <= SLAB_SMALL_BYTES)
		return small_alloc(class_of_units[(size + UNIT - 1) / UNIT]);
	if (size <= SLAB_RUN_BYTES && align <= SLAB_PAGE_BYTES)
		return run_alloc(size ? size : 1);
	return opblock_new(size, align, 0);
}

void *slab_zalloc(size_t size, size_t align)
{
	void *ptr = slab_alloc(size, align);

	if (ptr && region_of(ptr))
		memset(ptr, 0, size);
	return ptr;
}

static _Noreturn void die_no_block(const void *ptr)
{
	opblock_die("slab: %p is no living block\n", ptr);
}

/* Gives back a class's current page that is empty. */
static void give_empty(struct slab_shard *shard)
{
	unsigned int index = (unsigned int)__builtin_ctz(shard->empty);

	empty_clear(shard, index);
	pages_give(&shard->regions, shard->classes[index].current, 1);
	shard->classes[index].current = NULL;
}

/* Gives pages back; and empty ones of classes, where these are too many for what is in use now. errno stays. */
static __attribute__((noinline)) void give(struct slab_shard *shard, struct slab_page *page, unsigned int count)
{
	int saved_errno = errno;

	pages_give(&shard->regions, page, count);
	while (shard->empty && !pages_may_keep(&shard->regions, 0))
		give_empty(shard);
	errno = saved_errno;
}

/* @page has become empty: it stays as its class's current page while the limit allows, else it goes. */
static void page_emptied(struct slab_shard *shard, struct slab_class *class, struct slab_page *page)
{
	if (page == class->current) {
		if (pages_may_reserve(&shard->regions)) {
			shard->empty |= 1U << page->class;
			shard->regions.reserved++;
			return;
		}
		class->current = NULL;
	} else if (page->listed) {
		partial_remove(class, page);
	}
	give(shard, page, 1);
}

static void small_free(struct slab_shard *shard, struct slab_page *page, void *ptr)
{
	struct slab_class *class = &shard->classes[page->class];
	unsigned int offset = (unsigned int)((uintptr_t)ptr & (SLAB_PAGE_BYTES - 1));
	unsigned int block = offset / UNIT * class_reciprocal[page->class] >> 16;
	uint64_t mask = UINT64_C(1) << block % 64;

	if (block * class_bytes[page->class] != offset || block >= class_blocks[page->class] ||
	    page->free[block / 64] & mask)
		die_no_block(ptr);
	page->free[block / 64] |= mask;
	page->used--;
	if (page->used == 0)
		page_emptied(shard, class, page);
	else if (page != class->current && !page->listed)
		partial_add(class, page);
}

/* The descriptor of the page that @ptr, which is in @region, lies in. */
static struct slab_page *page_of(struct region *region, const void *ptr)
{
	return region_page(region, (unsigned int)(((uintptr_t)ptr & (REGION_BYTES - 1)) / SLAB_PAGE_BYTES));
}

static void region_free(struct region *region, void *ptr)
{
	struct slab_shard *shard = region->shard;
	bool taken = slab_lock_begin(&shard->lock);
	struct slab_page *page = page_of(region, ptr);

	if ((uintptr_t)ptr % REGION_BYTES < REGION_HEADER_PAGES * SLAB_PAGE_BYTES)
		die_no_block(ptr);
	switch ((enum page_kind)page->kind) {
	case PAGE_SLAB:
		small_free(shard, page, ptr);
		break;
	case PAGE_RUN:
		if (ptr != page_address(page))
			die_no_block(ptr);
		give(shard, page, page->pages);
		break;
	case PAGE_FREE:
		die_no_block(ptr);
	}
	slab_lock_end(&shard->lock, taken);
}

static __attribute__((noinline)) void large_free(void *ptr)
{
	int saved_errno = errno;
	struct opblock block;

	if (opblock_delete(ptr, &block) < 0)
		die_no_block(ptr);
	errno = saved_errno;
}

void slab_free(void *ptr)
{
	struct region *region = region_of(ptr);

	if (region)
		region_free(region, ptr);
	else if (ptr)
		large_free(ptr);
}

size_t slab_size(const void *ptr)
{
	struct region *region = region_of(ptr);
	struct opblock block;

	if (region) {
		/* Set before the block was handed out, and as long as it lives. */
		const struct slab_page *page = page_of(region, ptr);

		if (page->kind == PAGE_SLAB)
			return class_bytes[page->class];
		if (page->kind == PAGE_RUN)
			return page->pages * SLAB_PAGE_BYTES;
	} else if (opblock_find(ptr, &block) == 0) {
		return opblock_length(block.size);
	}
	die_no_block(ptr);
}

/* The bytes that slab_alloc would make of @size, where no alignment is asked for. */
static size_t rounded_size(size_t size)
{
	if (size <= SLAB_SMALL_BYTES)
		return class_bytes[class_of_units[(size + UNIT - 1) / UNIT]];
	return size <= PTRDIFF_MAX ? (size + SLAB_PAGE_BYTES - 1) & ~(SLAB_PAGE_BYTES - 1) : size;
}

void *slab_realloc(void *ptr, size_t size)
{
	size_t old = slab_size(ptr);
	void *moved;

	if (old > SLAB_RUN_BYTES && size > SLAB_RUN_BYTES) {
		moved = opblock_resize(ptr, size);
		if (moved)
			return moved;
		/* The program may have split the mapping, by mprotect for one; bytes can be moved all the same. */
	} else if (rounded_size(size) == old) {
		return ptr;
	}
	moved = slab_alloc(size, 0);
	if (!moved)
		return NULL;
	memcpy(moved, ptr, old < size ? old : size);
	slab_free(ptr);
	return moved;
}

int slab_trim(void)
{
	size_t dropped = 0;

	for (unsigned int i = 0; i < SLAB_SHARDS; i++) {
		struct slab_shard *shard = shard_at(i);
		bool taken = slab_lock_begin(&shard->lock);

		for (; shard->empty; dropped++)
			give_empty(shard);
		dropped += regions_trim(&shard->regions, 0);
		slab_lock_end(&shard->lock, taken);
	}
	return dropped > 0;
}

void slab_set_keep(size_t bytes)
{
	regions_set_keep(bytes / SLAB_PAGE_BYTES);
}

void slab_lock_all(void)
{
	pthread_mutex_lock(&init_lock);
	for (unsigned int i = 0; i < SLAB_SHARDS; i++)
		slab_lock_take(&shard_at(i)->lock);
	opblock_lock_all();
}

void slab_unlock_all(void)
{
	opblock_unlock_all();
	for (unsigned int i = SLAB_SHARDS; i-- > 0;)
		slab_lock_release(&shard_at(i)->lock);
	pthread_mutex_unlock(&init_lock);
}
