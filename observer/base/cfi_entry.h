/* SPDX-License-Identifier: GPL-2.0-only */
/* cfi_entry: the entries of a section of call frame information, CIEs (what functions have in common) and FDEs (one for each
 * function), and the numbers in them. */
#ifndef HEAPTRACE_CFI_ENTRY_H
#define HEAPTRACE_CFI_ENTRY_H

#include "base/cfi.h"

/* Bytes that are read one after the other. A read past the end gives 0 and sets @bad for good. */
struct cfi_scan {
	const uint8_t *data;
	size_t pos, end;
	bool bad;
};

/* The bytes of one entry behind its length: from @pos to @end. */
struct cfi_entry {
	size_t pos, end;
	size_t cie; /* of an FDE: where its CIE begins */
	bool is_cie;
};

struct cfi_cie {
	size_t offset; /* where it begins in the section; SIZE_MAX: nothing was read yet */
	int err;       /* of reading it: 0 or -EBADMSG */
	uint64_t code_align;
	int64_t data_align;
	uint8_t ra;
	uint8_t encoding; /* of the addresses in its FDEs, DW_EH_PE_* */
	bool sized;	  /* its FDEs have a size for what extensions put there ('z') */
	bool signal;
	size_t code, code_end; /* its instructions */
};

/* The next @size bytes, at most 8, as a little-endian number. */
uint64_t cfi_uint(struct cfi_scan *scan, unsigned int size);

/* Numbers of variable length (LEB128), without and with a sign. What does not fit in 64 bits is cut off; one of more than ten
 * bytes sets scan->bad. */
uint64_t cfi_uleb(struct cfi_scan *scan);
int64_t cfi_sleb(struct cfi_scan *scan);

/* An address that is encoded as @encoding (DW_EH_PE_*) says; @addr is what its first byte was linked for. Sets scan->bad for
 * encodings that no address of code has. */
uint64_t cfi_pointer(struct cfi_scan *scan, uint8_t encoding, uint64_t addr);

/* Steps to the next entry of the section: true with @out filled and *@pos behind it, false at the end. */
bool cfi_entry_next(const struct cfi *cfi, size_t *pos, struct cfi_entry *out);

/* Reads the CIE at @offset into @cie, if it does not hold that one already. 0 or -EBADMSG. */
int cfi_entry_cie(const struct cfi *cfi, size_t offset, struct cfi_cie *cie);

/* Reads which addresses the FDE @entry is for; @cie keeps the last CIE from call to call. entry->pos is then at the FDE's
 * instructions. 0 or -EBADMSG. */
int cfi_entry_fde(const struct cfi *cfi, struct cfi_entry *entry, struct cfi_cie *cie, struct cfi_fde *out);

#endif
