/* SPDX-License-Identifier: GPL-2.0-only */
#include "model/sym_elf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SEGMENTS_MAX 4096
#define SECTIONS_MAX 65536

static void read_segments(struct sym_elf *elf)
{
	size_t count = 0;

	if (elf_getphdrnum(elf->elf, &count) || !count)
		return;
	if (count > SEGMENTS_MAX)
		count = SEGMENTS_MAX;
	elf->segments = calloc(count, sizeof(*elf->segments));
	if (!elf->segments)
		return;
	for (size_t i = 0; i < count; i++) {
		GElf_Phdr phdr;

		if (!gelf_getphdr(elf->elf, (int)i, &phdr) || phdr.p_type != PT_LOAD || !phdr.p_filesz)
			continue;
		elf->segments[elf->segment_count++] = (struct sym_segment){
			.offset = phdr.p_offset,
			.vaddr = phdr.p_vaddr,
			.size = phdr.p_filesz,
		};
	}
}

Elf_Data *sym_elf_data(Elf_Scn *scn, GElf_Shdr *shdr)
{
	if (shdr->sh_type == SHT_NOBITS || shdr->sh_size > SYM_SECTION_MAX)
		return NULL;
	if (shdr->sh_flags & SHF_COMPRESSED) {
		GElf_Chdr chdr;

		if (!gelf_getchdr(scn, &chdr) || chdr.ch_size > SYM_SECTION_MAX || elf_compress(scn, 0, 0) < 0 ||
		    !gelf_getshdr(scn, shdr))
			return NULL;
	}
	return elf_getdata(scn, NULL);
}

Elf_Scn *sym_elf_section(Elf *elf, const char *name, GElf_Shdr *ret_shdr)
{
	Elf_Scn *scn = NULL;
	size_t names;

	if (elf_getshdrstrndx(elf, &names))
		return NULL;
	for (unsigned int i = 0; i < SECTIONS_MAX && (scn = elf_nextscn(elf, scn)); i++) {
		const char *found;

		if (!gelf_getshdr(scn, ret_shdr))
			continue;
		found = elf_strptr(elf, names, ret_shdr->sh_name);
		if (found && !strcmp(found, name))
			return scn;
	}
	return NULL;
}

static bool is_build_id(const GElf_Nhdr *nhdr, const char *name)
{
	return nhdr->n_type == NT_GNU_BUILD_ID && nhdr->n_namesz == sizeof("GNU") &&
	       !memcmp(name, "GNU", sizeof("GNU")) && nhdr->n_descsz && nhdr->n_descsz <= SYM_BUILD_ID_MAX;
}

static bool find_build_id(struct sym_elf *elf, Elf_Data *data)
{
	size_t at = 0, name, desc;
	GElf_Nhdr nhdr;

	while (data && at < data->d_size && (at = gelf_getnote(data, at, &nhdr, &name, &desc)) > 0) {
		if (!is_build_id(&nhdr, (const char *)data->d_buf + name))
			continue;
		elf->build_id_len = nhdr.n_descsz;
		memcpy(elf->build_id, (const char *)data->d_buf + desc, nhdr.n_descsz);
		return true;
	}
	return false;
}

/* By the sections, or, where those were cut off, by the segments. */
static void read_build_id(struct sym_elf *elf)
{
	Elf_Scn *scn = NULL;
	GElf_Shdr shdr;
	GElf_Phdr phdr;
	size_t count = 0;

	for (unsigned int i = 0; i < SECTIONS_MAX && (scn = elf_nextscn(elf->elf, scn)); i++) {
		if (gelf_getshdr(scn, &shdr) && shdr.sh_type == SHT_NOTE &&
		    find_build_id(elf, sym_elf_data(scn, &shdr)))
			return;
	}
	if (elf_getphdrnum(elf->elf, &count))
		return;
	for (size_t i = 0; i < count && i < SEGMENTS_MAX; i++) {
		if (!gelf_getphdr(elf->elf, (int)i, &phdr) || phdr.p_type != PT_NOTE || phdr.p_filesz > SYM_SECTION_MAX)
			continue;
		if (find_build_id(elf, elf_getdata_rawchunk(elf->elf, (int64_t)phdr.p_offset, phdr.p_filesz,
							    phdr.p_align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR)))
			return;
	}
}

int sym_elf_open(int fd, struct sym_elf *out)
{
	GElf_Ehdr ehdr;

	*out = (struct sym_elf){ .fd = fd };
	if (elf_version(EV_CURRENT) == EV_NONE)
		return -ENOEXEC;
	out->elf = elf_begin(fd, ELF_C_READ_MMAP_PRIVATE, NULL);
	if (!out->elf || elf_kind(out->elf) != ELF_K_ELF || !gelf_getehdr(out->elf, &ehdr) ||
	    (ehdr.e_type != ET_EXEC && ehdr.e_type != ET_DYN)) {
		sym_elf_close(out);
		return -ENOEXEC;
	}
	read_segments(out);
	read_build_id(out);
	return 0;
}

void sym_elf_close(struct sym_elf *elf)
{
	if (elf->elf)
		elf_end(elf->elf);
	if (elf->fd >= 0)
		close(elf->fd);
	free(elf->segments);
	*elf = (struct sym_elf){ .fd = -1 };
}

bool sym_elf_vaddr(const struct sym_elf *elf, uint64_t offset, uint64_t *ret_vaddr)
{
	for (unsigned int i = 0; i < elf->segment_count; i++) {
		const struct sym_segment *segment = &elf->segments[i];

		if (offset < segment->offset || offset - segment->offset >= segment->size)
			continue;
		*ret_vaddr = segment->vaddr + (offset - segment->offset);
		return true;
	}
	return false;
}

/* A name, its NUL, padding to four bytes, and the CRC. */
bool sym_elf_debuglink(const struct sym_elf *elf, const char **ret_name, uint32_t *ret_crc)
{
	GElf_Shdr shdr;
	Elf_Scn *scn = sym_elf_section(elf->elf, ".gnu_debuglink", &shdr);
	Elf_Data *data = scn ? sym_elf_data(scn, &shdr) : NULL;
	const char *name;
	size_t len;

	if (!data || !data->d_buf || data->d_size < 8)
		return false;
	name = data->d_buf;
	len = strnlen(name, data->d_size);
	if (!len || len > 255 || memchr(name, '/', len) || ((len + 4) & ~(size_t)3) + 4 > data->d_size)
		return false;
	*ret_name = name;
	memcpy(ret_crc, name + ((len + 4) & ~(size_t)3), sizeof(*ret_crc));
	return true;
}
