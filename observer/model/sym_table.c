/* SPDX-License-Identifier: GPL-2.0-only */
#include "model/sym_table.h"

#include "base/search.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SECTIONS_MAX 65536u
#define NAME_MAX_LEN 65535u

/* Symbols may overlap (aliases, assembler code): so many before an address are tried. */
#define OVERLAP_MAX 16

struct section {
	uint64_t end; /* 0: holds no code */
};

/* The section headers that symbols refer to, by index. NULL on lack of memory. */
static struct section *read_sections(Elf *elf, size_t *ret_count)
{
	struct section *sections;
	size_t count = 0;

	if (elf_getshdrnum(elf, &count) || count > SECTIONS_MAX)
		count = 0;
	sections = calloc(count + 1, sizeof(*sections));
	for (size_t i = 0; sections && i < count; i++) {
		GElf_Shdr shdr;

		if (gelf_getshdr(elf_getscn(elf, i), &shdr) && (shdr.sh_flags & SHF_EXECINSTR))
			sections[i].end = shdr.sh_addr + shdr.sh_size;
	}
	*ret_count = count;
	return sections;
}

/* A size is better than none, a function better than a label, few underscores (brk, not __brk), a global name, a short
 * one (mmap, not mmap64). */
static uint32_t rank_of(const GElf_Sym *sym, const char *name)
{
	size_t underscores = strspn(name, "_"), len = strlen(name);
	unsigned int bind = GELF_ST_BIND(sym->st_info);
	uint32_t rank = len < NAME_MAX_LEN ? (uint32_t)len : NAME_MAX_LEN;

	rank |= bind == STB_GLOBAL ? 0 : bind == STB_WEAK ? 1u << 16 : 2u << 16;
	rank |= (uint32_t)(underscores < 3 ? underscores : 3) << 20;
	rank |= GELF_ST_TYPE(sym->st_info) == STT_NOTYPE ? 1u << 24 : 0;
	rank |= sym->st_size ? 0 : 1u << 25;
	return rank;
}

static bool wanted(const GElf_Sym *sym, const struct section *sections, size_t section_count)
{
	unsigned int type = GELF_ST_TYPE(sym->st_info);

	if (sym->st_shndx == SHN_UNDEF || !sym->st_name)
		return false;
	if (type == STT_FUNC || type == STT_GNU_IFUNC)
		return true;
	return type == STT_NOTYPE && sym->st_shndx < section_count && sections[sym->st_shndx].end;
}

static int append(struct sym_table *table, const struct sym_entry *entry)
{
	if (table->count == table->size) {
		size_t size = table->size ? table->size * 2 : 1024;
		struct sym_entry *more = reallocarray(table->entries, size, sizeof(*more));

		if (!more)
			return -ENOMEM;
		table->entries = more;
		table->size = size;
	}
	table->entries[table->count++] = *entry;
	return 0;
}

struct sections {
	const struct section *list;
	size_t count;
};

static int add_section(struct sym_table *table, Elf *elf, Elf_Scn *scn, GElf_Shdr *shdr,
		       const struct sections *sections)
{
	Elf_Data *data = sym_elf_data(scn, shdr);
	GElf_Sym sym;
	size_t link = shdr->sh_link;
	size_t entry_size = gelf_fsize(elf, ELF_T_SYM, 1, EV_CURRENT);
	size_t count = data && entry_size ? data->d_size / entry_size : 0;

	for (size_t i = 0; i < count && table->count < SYM_TABLE_MAX; i++) {
		struct sym_entry entry;

		if (!gelf_getsym(data, (int)i, &sym) || !wanted(&sym, sections->list, sections->count))
			continue;
		entry = (struct sym_entry){ .start = sym.st_value, .end = sym.st_value + sym.st_size };
		entry.name = elf_strptr(elf, link, sym.st_name);
		if (!entry.name || !*entry.name || *entry.name == '$' || entry.end < entry.start)
			continue;
		entry.rank = rank_of(&sym, entry.name);
		/* Without a size it reaches to the next symbol, which sym_table_finish() knows, or its section's end. */
		if (!sym.st_size && sym.st_shndx < sections->count && sections->list[sym.st_shndx].end > entry.start)
			entry.end = sections->list[sym.st_shndx].end;
		if (append(table, &entry))
			return -ENOMEM;
	}
	table->has_symtab |= shdr->sh_type == SHT_SYMTAB && count > 1;
	return 0;
}

int sym_table_add(struct sym_table *table, Elf *elf)
{
	struct sections sections;
	struct section *list = read_sections(elf, &sections.count);
	Elf_Scn *scn = NULL;
	int err = list ? 0 : -ENOMEM;

	sections.list = list;
	for (unsigned int i = 0; !err && i < SECTIONS_MAX && (scn = elf_nextscn(elf, scn)); i++) {
		GElf_Shdr shdr;

		if (gelf_getshdr(scn, &shdr) && (shdr.sh_type == SHT_SYMTAB || shdr.sh_type == SHT_DYNSYM))
			err = add_section(table, elf, scn, &shdr, &sections);
	}
	free(list);
	return err;
}

static int compare(const void *a, const void *b)
{
	const struct sym_entry *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return (x->rank > y->rank) - (x->rank < y->rank);
}

#define RANK_NO_SIZE (1u << 25)

void sym_table_finish(struct sym_table *table)
{
	size_t kept = 0;

	if (table->count)
		qsort(table->entries, table->count, sizeof(*table->entries), compare);
	for (size_t i = 0; i < table->count; i++) {
		if (kept && table->entries[kept - 1].start == table->entries[i].start)
			continue;
		table->entries[kept++] = table->entries[i];
	}
	table->count = kept;
	for (size_t i = 0; i + 1 < kept; i++) {
		struct sym_entry *entry = &table->entries[i];

		if ((entry->rank & RANK_NO_SIZE) && entry->end > table->entries[i + 1].start)
			entry->end = table->entries[i + 1].start;
	}
}

const struct sym_entry *sym_table_find(const struct sym_table *table, uint64_t vaddr)
{
	size_t low = SEARCH_ABOVE(table->entries, table->count, start, vaddr);

	for (unsigned int i = 0; low && i < OVERLAP_MAX; i++) {
		const struct sym_entry *entry = &table->entries[--low];

		if (vaddr < entry->end)
			return entry;
	}
	return NULL;
}

void sym_table_free(struct sym_table *table)
{
	free(table->entries);
	*table = (struct sym_table){ 0 };
}
