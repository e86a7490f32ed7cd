/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/ptrace_claims.h"

#include "base/procfs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define ENTRIES	     512u
#define NEAR_BYTES   (64u << 10) /* fault_around_bytes of mm/memory.c; also the usual small folios */
#define FAR_BYTES    (2u << 20)	 /* a huge page */
#define SHMEM_DEVS   32
#define GROWTH_BYTES (64u << 20)

static uint64_t page_number(const struct ptrace_mm *mm, uint64_t addr)
{
	return addr / mm->view.page_size;
}

/* Reads up to ENTRIES entries of pagemap from page @first. How many there are; fewer past the end of the address space. */
static size_t entries_read(const struct ptrace_mm *mm, uint64_t first, uint64_t end, uint64_t *out)
{
	size_t want = end - first < ENTRIES ? (size_t)(end - first) : ENTRIES;
	ssize_t got = pread(mm->pagemap_fd, out, want * sizeof(*out), (off_t)(first * sizeof(*out)));

	return got > 0 ? (size_t)got / sizeof(*out) : 0;
}

int claims_look(struct ptrace_mm *mm, uint64_t start, uint64_t end, struct page_counts *change)
{
	uint64_t entries[ENTRIES], page = page_number(mm, start), last = page_number(mm, end);
	size_t got;

	for (; page < last; page += got) {
		got = entries_read(mm, page, last, entries);
		if (!got)
			break;
		if (shadow_look(&mm->shadow, page, entries, got, change))
			return -ENOMEM;
	}
	return 0;
}

void claims_count(const struct ptrace_mm *mm, uint64_t start, uint64_t end, struct page_counts *sum)
{
	uint64_t entries[ENTRIES], page = page_number(mm, start), last = page_number(mm, end);
	size_t got;

	for (; page < last; page += got) {
		got = entries_read(mm, page, last, entries);
		if (!got)
			break;
		shadow_count(&mm->shadow, page, entries, got, sum);
	}
}

bool claims_all_own(const struct ptrace_mm *mm, uint64_t start, uint64_t end, int64_t *ret_pages)
{
	uint64_t entries[ENTRIES], first = page_number(mm, start), last = page_number(mm, end);
	int64_t pages = 0;

	if (last - first > ENTRIES || entries_read(mm, first, last, entries) != last - first)
		return false;
	for (uint64_t i = 0; i < last - first; i++) {
		enum page_state state = shadow_entry(entries[i]);

		if (state == PAGE_FILE || state == PAGE_DOUBTFUL || shadow_entry_swapped(entries[i]))
			return false;
		pages += state == PAGE_ANON;
	}
	*ret_pages = pages;
	return true;
}

enum page_state claims_page(const struct ptrace_mm *mm, uint64_t addr)
{
	uint64_t entry, page = page_number(mm, addr);

	return entries_read(mm, page, page + 1, &entry) ? shadow_entry(entry) : PAGE_NONE;
}

/* The devices whose files are shared memory: the kernel's own, which memfd, shmget and shared anonymous mappings have, and
 * those of every tmpfs. */
struct shmem_devs {
	bool known;
	unsigned int count;
	uint64_t devs[SHMEM_DEVS];
};

static void shmem_devs_find(struct shmem_devs *devs)
{
	struct buf text = { 0 };
	struct stat status;
	int fd = memfd_create("heaptrace", MFD_CLOEXEC);
	char *line, *rest;

	devs->known = true;
	if (fd >= 0) {
		if (!fstat(fd, &status))
			devs->devs[devs->count++] = status.st_dev;
		close(fd);
	}
	if (procfs_read(getpid(), "mountinfo", &text))
		goto out;
	for (line = strtok_r(text.data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		const char *type = strstr(line, " - ");
		unsigned int major, minor;

		if (!type || (strncmp(type, " - tmpfs ", 9) != 0 && strncmp(type, " - devtmpfs ", 12) != 0))
			continue;
		if (sscanf(line, "%*d %*d %u:%u", &major, &minor) == 2 && devs->count < SHMEM_DEVS)
			devs->devs[devs->count++] = makedev(major, minor);
	}
out:
	buf_free(&text);
}

struct finding {
	uint64_t addr;
	uint64_t dev;
	bool found;
};

static int map_find(void *ctx, const struct procfs_map *map)
{
	struct finding *finding = ctx;

	if (finding->addr >= map->end)
		return 0;
	finding->found = finding->addr >= map->start && map->inode;
	finding->dev = map->dev;
	return 1;
}

static bool is_shmem(const struct ptrace_mm *mm, uint64_t addr)
{
	static struct shmem_devs devs;
	struct finding finding = { .addr = addr };

	if (!devs.known)
		shmem_devs_find(&devs);
	procfs_maps(mm->fd_tid, map_find, &finding);
	for (unsigned int i = 0; finding.found && i < devs.count; i++) {
		if (devs.devs[i] == finding.dev)
			return true;
	}
	return false;
}

int64_t claims_shmem_part(const struct ptrace_mm *mm, uint64_t addr, int64_t bytes, const struct usage *delta)
{
	if (!bytes || !delta->shmem)
		return 0;
	if (!delta->file)
		return bytes;
	return is_shmem(mm, addr) ? bytes : 0;
}

/* Whether a run lies so near below a mapping that grows that it may have made it grow. The stack has 128 MiB and more to
 * itself, so that other memory is not near. */
static bool runs_are_near(const struct ptrace_mm *mm, int64_t change)
{
	uint64_t limit = change > (int64_t)GROWTH_BYTES ? (uint64_t)change : GROWTH_BYTES;

	for (size_t i = 0; i < mm->run_count; i++) {
		if (growing_is_near(&mm->growing, mm->runs[i].start, limit))
			return true;
	}
	return false;
}

/* A run is of faults that are over: what they have made grow is theirs, whatever else has happened to VIRT meanwhile. */
static void growth_claim(struct ptrace_mm *mm, const struct usage *delta, struct claim *claims)
{
	if ((mm->tasks < 2 && delta->virt <= 0) || !runs_are_near(mm, delta->virt))
		return;
	growing_look(&mm->growing, mm->maps_fd, mm->fd_tid);
	for (size_t i = 0; i < mm->run_count; i++) {
		claims[i].delta.virt = growing_claim(&mm->growing, mm->runs[i].start);
		claims[i].grew = claims[i].delta.virt > 0;
	}
}

static int64_t run_bytes(const struct ptrace_run *run)
{
	return (int64_t)(run->end - run->start);
}

/* All runs touched new anonymous pages, one page a fault, and nothing else happened: the sums tell it. */
static bool all_anonymous(const struct ptrace_mm *mm, const struct usage *delta)
{
	int64_t bytes = 0;

	if (delta->file || delta->shmem || delta->swap)
		return false;
	for (size_t i = 0; i < mm->run_count; i++)
		bytes += run_bytes(&mm->runs[i]);
	return bytes == delta->anon;
}

static int anonymous_claim(struct ptrace_mm *mm, struct claim *claims)
{
	for (size_t i = 0; i < mm->run_count; i++) {
		struct ptrace_run *run = &mm->runs[i];
		uint64_t first = page_number(mm, run->start);

		claims[i].delta.anon = run_bytes(run);
		if (shadow_set(&mm->shadow, first, page_number(mm, run->end) - first, PAGE_ANON))
			return -ENOMEM;
	}
	return 0;
}

/* Looks at the pages around each run, @reach bytes at either side at most, in aligned pieces of that size. */
static int runs_look(struct ptrace_mm *mm, uint64_t reach, struct claim *claims)
{
	for (size_t i = 0; i < mm->run_count; i++) {
		uint64_t start = mm->runs[i].start & ~(reach - 1), end = (mm->runs[i].end + reach - 1) & ~(reach - 1);

		if (claims_look(mm, start, end, &claims[i].pages))
			return -ENOMEM;
	}
	return 0;
}

static struct page_counts pages_sum(const struct ptrace_mm *mm, const struct claim *claims)
{
	struct page_counts sum = { 0 };

	for (size_t i = 0; i < mm->run_count; i++) {
		sum.anon += claims[i].pages.anon;
		sum.file += claims[i].pages.file;
		sum.doubtful += claims[i].pages.doubtful;
	}
	return sum;
}

/* Whether the pages explain the change, doubtful ones being either all anonymous or all the zero page. */
static bool pages_agree(const struct ptrace_mm *mm, const struct claim *claims, const struct usage *delta)
{
	struct page_counts sum = pages_sum(mm, claims);
	int64_t size = (int64_t)mm->view.page_size;

	return sum.file * size == delta->file + delta->shmem &&
	       (sum.anon * size == delta->anon || (sum.anon + sum.doubtful) * size == delta->anon);
}

/* Settles the doubt the way that comes nearer to the change, and turns pages into bytes. */
static void pages_claim(struct ptrace_mm *mm, const struct usage *delta, struct claim *claims)
{
	struct page_counts sum = pages_sum(mm, claims);
	int64_t size = (int64_t)mm->view.page_size;
	bool anon = llabs(delta->anon - (sum.anon + sum.doubtful) * size) < llabs(delta->anon - sum.anon * size);

	for (size_t i = 0; i < mm->run_count; i++) {
		const struct ptrace_run *run = &mm->runs[i];
		const struct page_counts *pages = &claims[i].pages;
		int64_t file = pages->file * size;

		claims[i].delta.anon = (pages->anon + (anon ? pages->doubtful : 0)) * size;
		claims[i].delta.shmem = claims_shmem_part(mm, run->start, file, delta);
		claims[i].delta.file = file - claims[i].delta.shmem;
		if (sum.doubtful)
			shadow_decide(&mm->shadow, page_number(mm, run->start & ~(uint64_t)(FAR_BYTES - 1)),
				      (run_bytes(run) + 2 * (int64_t)FAR_BYTES) / size, anon ? PAGE_ANON : PAGE_NONE);
	}
}

int claims_make(struct ptrace_mm *mm, const struct usage *delta, enum claim_trust trust, struct claim *claims)
{
	struct usage pages = *delta;
	bool none, anonymous;
	int err;

	pages.virt = 0;
	none = usage_is_zero(&pages);
	anonymous = all_anonymous(mm, &pages);
	if (trust == CLAIM_SURE && !none && !anonymous)
		return -EAGAIN;
	memset(claims, 0, mm->run_count * sizeof(*claims));
	growth_claim(mm, delta, claims);
	if (none)
		return 0;
	if (anonymous)
		return anonymous_claim(mm, claims);
	err = runs_look(mm, mm->view.page_size, claims);
	/* Pages beside those of the runs came by the same faults, unless they came since. */
	if (!err && trust != CLAIM_ROUGH && !pages_agree(mm, claims, &pages))
		err = runs_look(mm, NEAR_BYTES, claims);
	if (!err && trust != CLAIM_ROUGH && !pages_agree(mm, claims, &pages))
		err = runs_look(mm, FAR_BYTES, claims);
	if (err)
		return err;
	pages_claim(mm, &pages, claims);
	if (trust == CLAIM_ALONE && mm->run_count == 1) {
		int64_t grown = claims[0].delta.virt;

		claims[0].delta = pages;
		claims[0].delta.virt = grown;
	}
	return 0;
}
