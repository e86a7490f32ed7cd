/* SPDX-License-Identifier: GPL-2.0-only */
/* unpack: the bytes of a section that an ELF file holds compressed (SHF_COMPRESSED). */
#ifndef HEAPTRACE_UNPACK_H
#define HEAPTRACE_UNPACK_H

#include <stddef.h>

/* Unpacks the @size bytes at @data, which begin with an Elf64_Chdr and may be anything. The result is to be freed. 0; -EFBIG where
 * it would be more than @limit bytes; -EBADMSG where it is not sound, or of a kind that libelf does not know; -ENOMEM. */
int section_unpack(const void *data, size_t size, size_t limit, void **ret_data, size_t *ret_size);

#endif
