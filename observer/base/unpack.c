/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/unpack.h"

#include <elf.h>
#include <errno.h>
#include <libelf.h>
#include <stdlib.h>
#include <string.h>

/* An ELF file with one section, the second, whose bytes follow. libelf is given this one instead of that of the target: the only
 * header that it reads and we have not written is the section's own. */
struct envelope {
	Elf64_Ehdr header;
	Elf64_Shdr sections[2];
};

static void envelope_fill(struct envelope *envelope, size_t size)
{
	*envelope = (struct envelope){
		.header = { .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
			    .e_type = ET_REL,
			    .e_machine = EM_NONE,
			    .e_version = EV_CURRENT,
			    .e_shoff = offsetof(struct envelope, sections),
			    .e_ehsize = sizeof(envelope->header),
			    .e_shentsize = sizeof(envelope->sections[0]),
			    .e_shnum = 2 },
		.sections[1] = { .sh_type = SHT_PROGBITS,
				 .sh_flags = SHF_COMPRESSED,
				 .sh_offset = sizeof(*envelope),
				 .sh_size = size,
				 .sh_addralign = 8 },
	};
}

/* Unpacks the section of the file @elf, which holds @size bytes then. */
static int envelope_open(Elf *elf, size_t size, void **ret_data)
{
	Elf_Scn *scn = elf_getscn(elf, 1);
	Elf_Data *unpacked = scn && elf_compress(scn, 0, 0) >= 0 ? elf_rawdata(scn, NULL) : NULL;
	void *copy;

	if (!unpacked || unpacked->d_size != size)
		return -EBADMSG;
	copy = malloc(size);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, unpacked->d_buf, size);
	*ret_data = copy;
	return 0;
}

int section_unpack(const void *data, size_t size, size_t limit, void **ret_data, size_t *ret_size)
{
	struct envelope *envelope;
	Elf64_Chdr head;
	Elf *elf = NULL;
	int err;

	if (size <= sizeof(head))
		return -EBADMSG;
	memcpy(&head, data, sizeof(head));
	if (head.ch_size > limit)
		return -EFBIG;
	if (!head.ch_size || elf_version(EV_CURRENT) == EV_NONE)
		return -EBADMSG;
	envelope = malloc(sizeof(*envelope) + size);
	if (!envelope)
		return -ENOMEM;
	envelope_fill(envelope, size);
	memcpy(envelope + 1, data, size);
	elf = elf_memory((char *)envelope, sizeof(*envelope) + size);
	err = elf ? envelope_open(elf, head.ch_size, ret_data) : -EBADMSG;
	if (!err)
		*ret_size = head.ch_size;
	elf_end(elf);
	free(envelope);
	return err;
}
