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
 * A page is in use, or free; a free one is clean (given back) or kept (still resident). All functions but region_of are
 * called with the shard's lock held. */
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

_Static_assert(sizeof(struct slab_page) <= 64, "64 descriptors fill a page");

struct region {
	struct slab_shard *shard;
	struct region *next, *prev;
	uint64_t used[4]; /* one bit for each page; header pages are always in use */
	uint64_t kept[4];
	unsigned int free_pages; /* clean and kept ones */
};

_Static_assert(sizeof(struct region) <= REGION_HEADER_PAGES * sizeof(struct slab_page),
	       "it stands where no descriptors are needed");

/* The regions of a shard that have a free page; full ones are in no list. */
struct region_list {
	struct region *first;
	size_t kept_pages;
	size_t keep_pages; /* limit of kept_pages, with what the owner keeps by itself */
};

/* Makes the registry of regions ready. 0 or -errno. */
int region_init(void);

/* The region that @ptr lies in, or NULL where it lies in none. Takes no lock. */
struct region *region_of(const void *ptr);

/* The descriptor of page @index, and the page of a descriptor. */
struct slab_page *region_page(struct region *region, unsigned int index);
unsigned int region_index(const struct slab_page *page);

/* The address of the memory that @page describes. */
char *page_address(const struct slab_page *page);

/* @count pages in a row; for one page, a kept one if there is any. Maps a further region for @shard where none has room.
 * Their descriptors are zeroed; the caller sets the kinds. The first one's descriptor, or NULL. */
struct slab_page *pages_take(struct region_list *list, struct slab_shard *shard, unsigned int count);

/* Frees @count pages from @page on: keeps them where the limit allows it beside @reserved pages that the owner keeps by
 * itself, else gives them back at once; unmaps the region where nothing of it is left. */
void pages_give(struct region_list *list, struct slab_page *page, unsigned int count, size_t reserved);

/* Gives back all kept pages, and the regions that are empty then. The number of pages. */
size_t regions_trim(struct region_list *list);

#endif
