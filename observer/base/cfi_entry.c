/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/cfi_entry.h"

#include <errno.h>
#include <string.h>

#define EXTENDED	 UINT32_MAX /* a length that announces one of 64 bits: nobody writes such tables */
#define AUGMENTATION_MAX 16
#define LEB_MAX		 10  /* bytes that a number of 64 bits takes; nobody pads more */
#define CIE_CODE_MAX	 512 /* they are gone through for each function */

/* DW_EH_PE_*: the low half says how a number is written, the high half what it is relative to. */
#define PE_OMIT	    0xff
#define PE_INDIRECT 0x80
#define PE_PCREL    0x10
#define PE_FORMAT   0x0f
#define PE_RELATIVE 0x70

uint64_t cfi_uint(struct cfi_scan *scan, unsigned int size)
{
	uint64_t value = 0;

	if (scan->bad || size > scan->end - scan->pos) {
		scan->bad = true;
		return 0;
	}
	for (unsigned int i = 0; i < size; i++)
		value |= (uint64_t)scan->data[scan->pos + i] << (8 * i);
	scan->pos += size;
	return value;
}

static uint64_t leb_take(struct cfi_scan *scan, unsigned int *ret_bits, uint8_t *ret_last)
{
	size_t begin = scan->pos;
	uint64_t value = 0;
	unsigned int bits = 0;
	uint8_t byte;

	do {
		byte = (uint8_t)cfi_uint(scan, 1);
		if (scan->pos - begin > LEB_MAX)
			scan->bad = true;
		if (bits < 64)
			value |= (uint64_t)(byte & 0x7f) << bits;
		bits += bits < 64 ? 7 : 0;
	} while (byte & 0x80 && !scan->bad);
	*ret_bits = bits;
	*ret_last = byte;
	return value;
}

uint64_t cfi_uleb(struct cfi_scan *scan)
{
	unsigned int bits;
	uint8_t last;

	return leb_take(scan, &bits, &last);
}

int64_t cfi_sleb(struct cfi_scan *scan)
{
	unsigned int bits;
	uint8_t last;
	uint64_t value = leb_take(scan, &bits, &last);

	if (bits < 64 && last & 0x40)
		value |= ~(uint64_t)0 << bits;
	return (int64_t)value;
}

uint64_t cfi_pointer(struct cfi_scan *scan, uint8_t encoding, uint64_t addr)
{
	uint64_t value = 0;

	switch (encoding & PE_FORMAT) {
	case 0x00: /* absptr */
	case 0x04: /* udata8 */
	case 0x0c: /* sdata8 */
		value = cfi_uint(scan, 8);
		break;
	case 0x01:
		value = cfi_uleb(scan);
		break;
	case 0x02:
		value = cfi_uint(scan, 2);
		break;
	case 0x03:
		value = cfi_uint(scan, 4);
		break;
	case 0x09:
		value = (uint64_t)cfi_sleb(scan);
		break;
	case 0x0a:
		value = (uint64_t)(int16_t)cfi_uint(scan, 2);
		break;
	case 0x0b:
		value = (uint64_t)(int32_t)cfi_uint(scan, 4);
		break;
	default:
		scan->bad = true;
	}
	if ((encoding & PE_RELATIVE) == PE_PCREL)
		value += addr;
	else if (encoding & PE_RELATIVE)
		scan->bad = true;
	return value;
}

bool cfi_entry_next(const struct cfi *cfi, size_t *pos, struct cfi_entry *out)
{
	struct cfi_scan scan = { .data = cfi->data, .pos = *pos, .end = cfi->len };
	uint64_t len = 0, id;
	size_t at;

	/* A length of 0 ends the table of one of the files that were linked; those of others may follow. */
	while (!len && scan.end - scan.pos >= 8)
		len = cfi_uint(&scan, 4);
	at = scan.pos;
	if (!len || len == EXTENDED || len < 4 || len > scan.end - scan.pos)
		return false;
	id = cfi_uint(&scan, 4);
	out->pos = scan.pos;
	out->end = at + len;
	out->is_cie = id == (cfi->debug_frame ? UINT32_MAX : 0);
	/* A CIE is found by its offset, from the section's beginning or back from the field itself. */
	out->cie = cfi->debug_frame ? id : at - id;
	*pos = out->end;
	return true;
}

/* Which extensions the entries have: "zR", "zPLR", "zRS", ... */
static int augmentation_read(struct cfi_scan *scan, const char *text, size_t len, struct cfi_cie *cie)
{
	uint64_t bytes;
	size_t end;

	if (!len)
		return 0;
	if (text[0] != 'z')
		return -EBADMSG;
	cie->sized = true;
	bytes = cfi_uleb(scan);
	if (scan->bad || bytes > scan->end - scan->pos)
		return -EBADMSG;
	end = scan->pos + bytes;
	for (size_t i = 1; i < len && !scan->bad; i++) {
		uint8_t encoding;

		if (text[i] == 'R') {
			cie->encoding = (uint8_t)cfi_uint(scan, 1);
		} else if (text[i] == 'L') {
			(void)cfi_uint(scan, 1);
		} else if (text[i] == 'P') {
			encoding = (uint8_t)cfi_uint(scan, 1);
			if (encoding != PE_OMIT)
				(void)cfi_pointer(scan, encoding & PE_FORMAT, 0);
		} else if (text[i] == 'S') {
			cie->signal = true;
		} else if (text[i] != 'B' && text[i] != 'G') {
			break; /* not known: the size says where it ends */
		}
	}
	scan->pos = end;
	return scan->bad ? -EBADMSG : 0;
}

static int cie_read(const struct cfi *cfi, size_t offset, struct cfi_cie *cie)
{
	struct cfi_scan scan = { .data = cfi->data, .end = cfi->len };
	struct cfi_entry entry;
	const uint8_t *text, *nul;
	uint8_t version;
	size_t most;

	if (offset >= cfi->len || !cfi_entry_next(cfi, &offset, &entry) || !entry.is_cie)
		return -EBADMSG;
	scan.pos = entry.pos;
	scan.end = entry.end;
	version = (uint8_t)cfi_uint(&scan, 1);
	if (version != 1 && version != 3 && version != 4)
		return -EBADMSG;
	text = scan.data + scan.pos;
	most = scan.end - scan.pos < AUGMENTATION_MAX ? scan.end - scan.pos : AUGMENTATION_MAX;
	nul = memchr(text, '\0', most);
	if (!nul)
		return -EBADMSG;
	scan.pos += (size_t)(nul - text) + 1;
	/* Version 4 says how wide addresses and segment selectors are. */
	if (version == 4 && cfi_uint(&scan, 2) != 8)
		return -EBADMSG;
	cie->code_align = cfi_uleb(&scan);
	cie->data_align = cfi_sleb(&scan);
	cie->ra = (uint8_t)(version == 1 ? cfi_uint(&scan, 1) : cfi_uleb(&scan));
	if (scan.bad || cie->ra >= CFI_REGS)
		return -EBADMSG;
	if (augmentation_read(&scan, (const char *)text, (size_t)(nul - text), cie))
		return -EBADMSG;
	cie->code = scan.pos;
	cie->code_end = scan.end;
	return cie->code_end - cie->code > CIE_CODE_MAX ? -EBADMSG : 0;
}

int cfi_entry_cie(const struct cfi *cfi, size_t offset, struct cfi_cie *cie)
{
	if (cie->offset != offset) {
		*cie = (struct cfi_cie){ .offset = offset };
		cie->err = cie_read(cfi, offset, cie);
	}
	return cie->err;
}

int cfi_entry_fde(const struct cfi *cfi, struct cfi_entry *entry, struct cfi_cie *cie, struct cfi_fde *out)
{
	struct cfi_scan scan = { .data = cfi->data, .pos = entry->pos, .end = entry->end };
	int err = entry->is_cie ? -EBADMSG : cfi_entry_cie(cfi, entry->cie, cie);
	uint64_t size, more;

	if (err)
		return err;
	out->offset = (uint32_t)(entry->pos - 8);
	out->start = cfi_pointer(&scan, cie->encoding, cfi->addr + scan.pos);
	size = cfi_pointer(&scan, cie->encoding & PE_FORMAT, 0);
	out->size = size > UINT32_MAX ? UINT32_MAX : (uint32_t)size;
	more = cie->sized ? cfi_uleb(&scan) : 0;
	if (scan.bad || more > scan.end - scan.pos)
		return -EBADMSG;
	entry->pos = scan.pos + more;
	return 0;
}
