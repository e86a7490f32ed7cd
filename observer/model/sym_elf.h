/* SPDX-License-Identifier: GPL-2.0-only */
/* sym_elf: what of an ELF file the reading of symbols needs: where its file offsets are in its address space, and which
 * other files belong to it. The file is hostile. */
#ifndef HEAPTRACE_SYM_ELF_H
#define HEAPTRACE_SYM_ELF_H

#include <gelf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sections that are read as a whole may be no larger than that: those of the largest programs are a third of it. */
#define SYM_SECTION_MAX ((size_t)1 << 30)

#define SYM_BUILD_ID_MAX 64

struct sym_segment {
	uint64_t offset, vaddr, size; /* of what is in the file */
};

struct sym_elf {
	Elf *elf;
	int fd; /* owned */
	struct sym_segment *segments;
	unsigned int segment_count;
	uint8_t build_id[SYM_BUILD_ID_MAX];
	unsigned int build_id_len; /* 0: it has none */
};

/* Opens the ELF file behind @fd, which is @out's from then on, also on failure. 0, -ENOEXEC where it is none, -ENOMEM. */
int sym_elf_open(int fd, struct sym_elf *out);

/* Closes it; legal for one that failed to open, and once more. */
void sym_elf_close(struct sym_elf *elf);

/* The address at which the byte @offset of the file is meant to be. False where it is loaded nowhere. */
bool sym_elf_vaddr(const struct sym_elf *elf, uint64_t offset, uint64_t *ret_vaddr);

/* The section called @name, with its header. NULL where there is none. */
Elf_Scn *sym_elf_section(Elf *elf, const char *name, GElf_Shdr *ret_shdr);

/* The content of @scn, decompressed if need be, NULL where it is too large or broken. It belongs to the Elf. */
Elf_Data *sym_elf_data(Elf_Scn *scn, GElf_Shdr *shdr);

/* The file name and CRC of .gnu_debuglink. False where there is none that is good. */
bool sym_elf_debuglink(const struct sym_elf *elf, const char **ret_name, uint32_t *ret_crc);

#endif
