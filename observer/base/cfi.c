/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/cfi.h"

#include "base/cfi_entry.h"
#include "base/search.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int by_start(const void *a, const void *b)
{
	const struct cfi_fde *left = a, *right = b;

	if (left->start != right->start)
		return left->start < right->start ? -1 : 1;
	return left->offset < right->offset ? -1 : left->offset > right->offset;
}

static int fde_add(struct cfi *cfi, size_t *cap, const struct cfi_fde *fde)
{
	if (cfi->fde_count == *cap) {
		size_t more = *cap ? *cap * 2 : 64;
		struct cfi_fde *fdes = reallocarray(cfi->fdes, more, sizeof(*fdes));

		if (!fdes)
			return -ENOMEM;
		cfi->fdes = fdes;
		*cap = more;
	}
	cfi->fdes[cfi->fde_count++] = *fde;
	return 0;
}

int cfi_init(struct cfi *cfi, const void *data, size_t len, uint64_t addr, bool debug_frame)
{
	struct cfi_entry entry = { 0 };
	struct cfi_cie cie = { .offset = SIZE_MAX };
	size_t pos = 0, cap = 0;
	bool sorted = true;

	*cfi = (struct cfi){ .data = data, .len = len, .addr = addr, .debug_frame = debug_frame };
	if (len > CFI_SECTION_MAX)
		return -EFBIG;
	while (cfi_entry_next(cfi, &pos, &entry)) {
		struct cfi_fde fde;

		if (entry.is_cie || cfi_entry_fde(cfi, &entry, &cie, &fde))
			continue;
		/* What a linker has thrown away keeps an entry that begins at 0. */
		if (!fde.start || !fde.size)
			continue;
		sorted = sorted && (!cfi->fde_count || by_start(&cfi->fdes[cfi->fde_count - 1], &fde) < 0);
		if (fde_add(cfi, &cap, &fde)) {
			cfi_free(cfi);
			return -ENOMEM;
		}
	}
	if (!sorted)
		qsort(cfi->fdes, cfi->fde_count, sizeof(*cfi->fdes), by_start);
	return 0;
}

void cfi_free(struct cfi *cfi)
{
	if (!cfi)
		return;
	free(cfi->fdes);
	cfi->fdes = NULL;
	cfi->fde_count = 0;
}

const struct cfi_fde *cfi_find(const struct cfi *cfi, uint64_t addr)
{
	size_t low = SEARCH_ABOVE(cfi->fdes, cfi->fde_count, start, addr);

	if (!low || addr - cfi->fdes[low - 1].start >= cfi->fdes[low - 1].size)
		return NULL;
	return &cfi->fdes[low - 1];
}

struct wanted {
	uint64_t addr;
	struct cfi_row *out;
};

static int row_take(void *ctx, uint64_t start, uint64_t end, const struct cfi_row *row)
{
	const struct wanted *wanted = ctx;

	if (wanted->addr < start || wanted->addr >= end)
		return 0;
	*wanted->out = *row;
	return 1;
}

int cfi_row_at(const struct cfi *cfi, uint64_t addr, struct cfi_row *out)
{
	const struct cfi_fde *fde = cfi_find(cfi, addr);
	struct wanted wanted = { .addr = addr, .out = out };
	int got;

	if (!fde)
		return -ENOENT;
	got = cfi_rows(cfi, fde, row_take, &wanted);
	return got == 1 ? 0 : got ? got : -EBADMSG;
}
