/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/unwind_object.h"

#include "base/cfi_entry.h"
#include "base/unpack.h"
#include "source/unwind_arch.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PHDRS_MAX    1024
#define SHDRS_MAX    0xff00 /* SHN_LORESERVE: beyond it headers say elsewhere how many they are */
#define NAMES_MAX    (1u << 20)
#define START_LENGTH 256 /* bytes of the code at an entry point */

/* The sections that are looked for. */
enum { EH_FRAME, DEBUG_FRAME, INIT, FINI, SECTIONS };

#define PLAIN_MAX 64 /* bytes of code of a plain function */

/* Where a section is. */
struct section {
	uint64_t offset, size, addr;
	bool packed;
};

static int bytes_read(const struct object_bytes *bytes, uint64_t offset, void *out, size_t len)
{
	size_t done = 0;

	if (offset > bytes->size || len > bytes->size - offset)
		return -EIO;
	if (bytes->fd < 0) {
		memcpy(out, (const char *)bytes->data + offset, len);
		return 0;
	}
	while (done < len) {
		ssize_t got = pread(bytes->fd, (char *)out + done, len - done, (off_t)(offset + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return -EIO;
		done += (size_t)got;
	}
	return 0;
}

/* A copy of @count things of @size bytes each, to be freed. 0 or -errno. */
static int table_read(const struct object_bytes *bytes, uint64_t offset, size_t count, size_t size, void **ret_table)
{
	void *table;
	int err;

	if (offset > bytes->size || count > (bytes->size - offset) / size)
		return -EIO;
	table = reallocarray(NULL, count, size);
	if (!table)
		return -ENOMEM;
	err = bytes_read(bytes, offset, table, count * size);
	if (err)
		free(table);
	else
		*ret_table = table;
	return err;
}

static int header_read(const struct object_bytes *bytes, Elf64_Ehdr *out)
{
	const struct unwind_arch *arch = unwind_arch_host();

	if (!arch || bytes_read(bytes, 0, out, sizeof(*out)) || memcmp(out->e_ident, ELFMAG, SELFMAG) != 0 ||
	    out->e_ident[EI_CLASS] != ELFCLASS64 || out->e_ident[EI_DATA] != ELFDATA2LSB ||
	    out->e_machine != arch->machine)
		return -ENOEXEC;
	return 0;
}

/* The table of frames has no section header in a stripped file, but a segment that leads to it, and it ends with the segment
 * that it is in at the latest. */
static void frames_by_segment(const struct object_bytes *bytes, const Elf64_Phdr *phdrs, size_t count,
			      const Elf64_Phdr *lead, struct section *out)
{
	uint8_t head[12];
	struct cfi_scan scan = { .data = head, .pos = 4, .end = sizeof(head) };
	uint64_t addr;

	if (bytes_read(bytes, lead->p_offset, head, sizeof(head)) || head[0] != 1)
		return;
	addr = cfi_pointer(&scan, head[1], lead->p_vaddr + 4);
	for (size_t i = 0; i < count && !scan.bad; i++) {
		if (phdrs[i].p_type != PT_LOAD || addr < phdrs[i].p_vaddr ||
		    addr - phdrs[i].p_vaddr >= phdrs[i].p_filesz)
			continue;
		*out = (struct section){ .addr = addr,
					 .offset = phdrs[i].p_offset + (addr - phdrs[i].p_vaddr),
					 .size = phdrs[i].p_filesz - (addr - phdrs[i].p_vaddr) };
	}
}

static int segments_read(const struct object_bytes *bytes, const Elf64_Ehdr *header, struct unwind_object *object,
			 struct section *frames)
{
	Elf64_Phdr *phdrs = NULL;
	int err;

	if (!header->e_phnum || header->e_phnum > PHDRS_MAX || header->e_phentsize != sizeof(*phdrs))
		return -ENOEXEC;
	err = table_read(bytes, header->e_phoff, header->e_phnum, sizeof(*phdrs), (void **)&phdrs);
	if (err)
		return err;
	for (size_t i = 0; i < header->e_phnum; i++) {
		const Elf64_Phdr *phdr = &phdrs[i];

		if (phdr->p_type == PT_GNU_EH_FRAME)
			frames_by_segment(bytes, phdrs, header->e_phnum, phdr, frames);
		if (phdr->p_type == PT_LOAD && phdr->p_flags & PF_X && object->segment_count < OBJECT_SEGMENTS)
			object->segments[object->segment_count++] = (struct object_segment){ .offset = phdr->p_offset,
											     .size = phdr->p_filesz,
											     .addr = phdr->p_vaddr };
	}
	free(phdrs);
	return 0;
}

static void section_take(const Elf64_Shdr *shdr, const char *name, struct section *sections)
{
	static const char *const names[SECTIONS] = {
		[EH_FRAME] = ".eh_frame", [DEBUG_FRAME] = ".debug_frame", [INIT] = ".init", [FINI] = ".fini"
	};

	bool packed = shdr->sh_flags & SHF_COMPRESSED;

	if (shdr->sh_type == SHT_NOBITS)
		return;
	for (int i = 0; i < SECTIONS; i++) {
		/* What is mapped is never packed. */
		if (!strcmp(name, names[i]) && (!packed || i == DEBUG_FRAME))
			sections[i] = (struct section){ .offset = shdr->sh_offset,
							.size = shdr->sh_size,
							.addr = shdr->sh_addr,
							.packed = packed };
	}
}

static int sections_find(const struct object_bytes *bytes, const Elf64_Ehdr *header, struct section *sections)
{
	Elf64_Shdr *shdrs = NULL;
	const Elf64_Shdr *strings;
	char *names = NULL;
	int err;

	if (!header->e_shnum || header->e_shnum > SHDRS_MAX || header->e_shentsize != sizeof(*shdrs) ||
	    header->e_shstrndx >= header->e_shnum)
		return 0;
	err = table_read(bytes, header->e_shoff, header->e_shnum, sizeof(*shdrs), (void **)&shdrs);
	if (err)
		return err;
	strings = &shdrs[header->e_shstrndx];
	if (strings->sh_size && strings->sh_size <= NAMES_MAX)
		err = table_read(bytes, strings->sh_offset, strings->sh_size, 1, (void **)&names);
	if (names) {
		names[strings->sh_size - 1] = '\0';
		for (size_t i = 0; i < header->e_shnum; i++) {
			if (shdrs[i].sh_name < strings->sh_size)
				section_take(&shdrs[i], names + shdrs[i].sh_name, sections);
		}
	}
	free(names);
	free(shdrs);
	return err;
}

/* A copy of what is in @section, to be freed; none, with a size of 0, where it is packed and cannot be unpacked. */
static int section_read(const struct object_bytes *bytes, const struct section *section, void **ret_data,
			size_t *ret_size)
{
	void *data, *unpacked = NULL;
	size_t size = 0;
	int err =
		section->size > CFI_SECTION_MAX ? -EFBIG : table_read(bytes, section->offset, section->size, 1, &data);

	if (err)
		return err;
	if (section->packed) {
		err = section_unpack(data, section->size, CFI_SECTION_MAX, &unpacked, &size);
		free(data);
		if (err == -ENOMEM)
			return err;
	}
	*ret_data = section->packed ? unpacked : data;
	*ret_size = section->packed ? size : section->size;
	return 0;
}

static int frames_read(const struct object_bytes *bytes, const struct section *section, unsigned int which,
		       struct unwind_object *object)
{
	size_t size;
	int err;

	if (!section->size)
		return 0;
	err = section_read(bytes, section, &object->sections[which], &size);
	if (err || !size)
		return err;
	err = cfi_init(&object->frames[which], object->sections[which], size, section->addr, which == DEBUG_FRAME);
	object->bytes += size + object->frames[which].fde_count * sizeof(struct cfi_fde);
	return err;
}

/* Takes the function in @section if it is what the start files of C libraries have there. */
static void plain_read(const struct object_bytes *bytes, const struct section *section, struct object_plain *out)
{
	static const uint8_t landing[] = { 0xf3, 0x0f, 0x1e, 0xfa };	     /* endbr64 */
	static const uint8_t make[] = { 0x48, 0x83, 0xec, 0x08 };	     /* sub $8, %rsp */
	static const uint8_t give_back[] = { 0x48, 0x83, 0xc4, 0x08, 0xc3 }; /* add $8, %rsp; ret */
	const struct unwind_arch *arch = unwind_arch_host();
	uint8_t code[PLAIN_MAX];
	size_t at = 0, size = section->size;

	if (!arch || arch->machine != EM_X86_64 || size > sizeof(code) || size < sizeof(make) + sizeof(give_back) ||
	    bytes_read(bytes, section->offset, code, size))
		return;
	if (!memcmp(code, landing, sizeof(landing)))
		at = sizeof(landing);
	if (size - at < sizeof(make) + sizeof(give_back) || memcmp(code + at, make, sizeof(make)) != 0 ||
	    memcmp(code + size - sizeof(give_back), give_back, sizeof(give_back)) != 0)
		return;
	*out = (struct object_plain){ .start = section->addr,
				      .end = section->addr + size,
				      .made = section->addr + at + sizeof(make),
				      .back = section->addr + size - 1 };
}

int object_read(const struct object_bytes *bytes, struct unwind_object *out)
{
	struct unwind_object object = { .bytes = sizeof(object) };
	struct section sections[SECTIONS] = { 0 };
	Elf64_Ehdr header;
	int err = header_read(bytes, &header);

	if (err)
		return err;
	object.entry = header.e_entry;
	err = segments_read(bytes, &header, &object, &sections[EH_FRAME]);
	/* Section headers are no part of what is mapped: where they cannot be read, the segments do. */
	if (!err && sections_find(bytes, &header, sections) == -ENOMEM)
		err = -ENOMEM;
	for (unsigned int i = 0; i < 2 && !err; i++)
		err = frames_read(bytes, &sections[i], i, &object);
	for (unsigned int i = 0; i < OBJECT_PLAINS && !err; i++)
		plain_read(bytes, &sections[INIT + i], &object.plains[i]);
	if (err)
		object_clear(&object);
	else
		*out = object;
	return err;
}

void object_clear(struct unwind_object *object)
{
	for (int i = 0; i < 2; i++) {
		cfi_free(&object->frames[i]);
		free(object->sections[i]);
		object->sections[i] = NULL;
	}
}

bool object_addr(const struct unwind_object *object, uint64_t offset, uint64_t *ret_addr)
{
	for (unsigned int i = 0; i < object->segment_count; i++) {
		const struct object_segment *segment = &object->segments[i];

		if (offset < segment->offset || offset - segment->offset >= segment->size)
			continue;
		*ret_addr = segment->addr + (offset - segment->offset);
		return true;
	}
	return false;
}

unsigned int object_plain_depth(const struct unwind_object *object, uint64_t addr)
{
	for (unsigned int i = 0; i < OBJECT_PLAINS; i++) {
		const struct object_plain *plain = &object->plains[i];

		if (addr >= plain->start && addr < plain->end)
			return addr >= plain->made && addr < plain->back ? 16 : 8;
	}
	return 0;
}

/* What holds in a plain function. */
static struct cfi_row plain_row(unsigned int depth)
{
	const struct unwind_arch *arch = unwind_arch_host();
	struct cfi_row row = { .cfa = { .kind = CFI_REGISTER, .reg = (uint8_t)arch->sp, .offset = (int32_t)depth } };

	row.ra = (uint8_t)arch->pc;
	row.regs[row.ra] = (struct cfi_rule){ .kind = CFI_AT_CFA, .offset = -8 };
	row.named = 1ull << row.ra;
	return row;
}

int object_row(const struct unwind_object *object, uint64_t addr, struct cfi_row *out, const struct cfi **ret_code)
{
	int err = -ENOENT;

	for (int i = 0; i < 2 && err; i++) {
		if (!object->frames[i].fde_count)
			continue;
		err = cfi_row_at(&object->frames[i], addr, out);
		if (!err)
			*ret_code = &object->frames[i];
	}
	if (err == -ENOENT && object_plain_depth(object, addr)) {
		*out = plain_row(object_plain_depth(object, addr));
		*ret_code = &object->frames[EH_FRAME];
		return 0;
	}
	return err;
}

bool object_begins_function(const struct unwind_object *object, uint64_t addr)
{
	for (int i = 0; i < 2; i++) {
		const struct cfi_fde *fde = cfi_find(&object->frames[i], addr);

		if (fde && fde->start == addr)
			return true;
	}
	return false;
}

bool object_is_start(const struct unwind_object *object, uint64_t addr)
{
	return object->entry && addr >= object->entry && addr - object->entry < START_LENGTH;
}
