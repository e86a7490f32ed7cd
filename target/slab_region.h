/* SPDX-License-Identifier: GPL-2.0-only */
/* slab_region: pages for the slab allocator, in regions of 1 MiB at multiples of 1 MiB:
 *
 *	page 0        1        2        3        4 ... 255
 *	[ descriptors of pages                ][ data ... ]
 *	  0-63     64-127   128-191  192-255
 *
 * The descriptors of the four header pages themselves are not needed; in the place of the first stands the region's own
 * record. A header page whose 64 pages are all free is given back like a data page.
 *
 * A page is in use, or free; a free one is clean (given back) or kept (still resident). All functions but region_of and
 * regions_set_keep are called with the shard's lock held. */
#ifndef TARGET_SLAB_REGION_H
#define TARGET_SLAB_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SLAB_PAGE_BYTES	    ((size_t)4096)
#define REGION_BYTES	    ((size_t)1 << 20)
#define REGION_PAGES	    256
#define REGION_HEADER_PAGES 4U

enum page_kind { PAGE_FREE, PAGE_SLAB, PAGE_RUN };

/* One page. A PAGE_SLAB that is neither full nor its class's current page is in the class's list of partial pages. */
struct slab_page {
	uint64_t free[4]; /* PAGE_SLAB: one bit for each block, set where it is free */
	struct slab_page *next, *prev;
	uint16_t used;	/* PAGE_SLAB: blocks in use */
	uint16_t pages; /* PAGE_RUN: length of the run that starts here */
	uint8_t kind;	/* enum page_kind */
	uint8_t class;
	bool listed;
};

#define PAGE_DESCRIPTOR_BYTES ((size_t)64) /* 64 of them fill a page */
_Static_assert(sizeof(struct slab_page) <= PAGE_DESCRIPTOR_BYTES, "descriptors overlap");

enum region_queue { QUEUE_FREE, QUEUE_KEPT, REGION_QUEUES }; /* regions with a free page, with a kept page */

struct region {
	struct slab_shard *shard;
	struct {
		struct region *next, *prev;
	} links[REGION_QUEUES];
	uint64_t free[4]; /* one bit for each page; header pages never are */
	uint64_t kept[4];
	unsigned int free_pages; /* clean and kept ones */
};

_Static_assert(sizeof(struct region) <= REGION_HEADER_PAGES * sizeof(struct slab_page),
	       "it stands where no descriptors are needed");

/* The regions of a shard; its counts are of pages. Zeroed, it is empty. */
struct region_list {
	bool keeps_idle; /* pages may be kept although none is in use */
	struct region *first[REGION_QUEUES];
	struct region *spare; /* the one region of which nothing is in use, but pages are kept; or NULL */
	size_t used;
	size_t kept;
	size_t reserved; /* the owner's: pages in use that hold nothing, which it keeps by itself */
};

/* Makes the registry of regions ready. 0 or -errno. */
int region_init(void);

/* The region that @ptr lies in, or NULL where it lies in none. Takes no lock. */
struct region *region_of(const void *ptr);

/* The descriptor of page @index, and the page and the region of a descriptor. */
static inline struct slab_page *region_page(struct region *region, unsigned int index)
{
	return (struct slab_page *)((char *)region + (size_t)index * PAGE_DESCRIPTOR_BYTES);
}

static inline unsigned int region_index(const struct slab_page *page)
{
	return (unsigned int)(((uintptr_t)page & (REGION_BYTES - 1)) / PAGE_DESCRIPTOR_BYTES);
}

static inline struct region *region_of_page(const struct slab_page *page)
{
	return (struct region *)((uintptr_t)page & ~(REGION_BYTES - 1));
}

/* The address of the memory that @page describes. */
static inline char *page_address(const struct slab_page *page)
{
	return (char *)region_of_page(page) + region_index(page) * SLAB_PAGE_BYTES;
}

/* How much each list may keep from the next pages_give on: @pages, and one for each REGION_KEEP_PART pages that are in
 * use; with @pages 0 nothing. Where nothing is in use, only those lists do that keep pages idle. */
void regions_set_keep(size_t pages);
#define REGION_KEEP_PART 64

/* @count pages in a row, kept ones if there are such. Maps a further region for @shard where none has room. Their
 * descriptors are zeroed; the caller sets the kinds. The first one's descriptor, or NULL. */
struct slab_page *pages_take(struct region_list *list, struct slab_shard *shard, unsigned int count);

/* Frees @count pages from @page on: keeps them where the limit allows it, else gives them back at once; and what is kept
 * beyond the limit, which falls with the pages in use. Unmaps the region where nothing of it is left. */
void pages_give(struct region_list *list, struct slab_page *page, unsigned int count);

/* Whether @count more pages may be kept; with 0, whether what is kept and reserved is within the limit. */
bool pages_may_keep(const struct region_list *list, size_t count);

/* Whether one more page of those in use may be reserved. */
bool pages_may_reserve(const struct region_list *list);

/* Gives back kept pages until @left are left, and the regions that are empty then. The number of pages. */
size_t regions_trim(struct region_list *list, size_t left);

#endif
