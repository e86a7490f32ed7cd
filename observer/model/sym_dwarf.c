/* SPDX-License-Identifier: GPL-2.0-only */
/* From an address to its unit, by an index of all units; from there to its function, by an index of the unit, which is
 * made when its first address is asked for; from there into the functions inlined at the address. Searching the whole
 * tree of a unit for each address, as dwarf_getscopes() does, would take milliseconds each in C++. */
#include "model/sym_dwarf.h"

#include "base/map.h"
#include "model/sym_ranges.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>

/* Sections that are packed are unpacked as a whole. */
#define UNPACKED_MAX ((uint64_t)1 << 30)

#define UNITS_MAX     262144
#define TREE_DIES_MAX 8000000u
#define TREE_DEPTH    64
#define PIECES_MAX    65536
#define SIBLINGS_MAX  65536

struct unit {
	struct sym_ranges functions;
	Dwarf_Files *files;
	size_t file_count;
};

struct sym_dwarf {
	Dwarf *dwarf;
	struct sym_ranges units; /* to the offset of the unit's DIE */
	struct map unit_map;	 /* by that offset: struct unit */
};

/* Whether the section is one of where variables are, or of macros: a fifth of what there is, and nothing that we ask for. */
static bool is_of_no_use(const char *name)
{
	static const char *const names[] = { ".debug_loc", ".debug_loclists", ".debug_macro", ".debug_macinfo" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

/* Has libdw, which unpacks all sections when it opens a file, leave out what is of no use. False where what is left is too much. */
static bool sections_prepare(Elf *elf)
{
	Elf_Scn *scn = NULL;
	uint64_t sum = 0;
	size_t names;

	if (elf_getshdrstrndx(elf, &names))
		return false;
	while ((scn = elf_nextscn(elf, scn))) {
		const char *name;
		GElf_Shdr shdr;
		GElf_Chdr chdr;

		if (!gelf_getshdr(scn, &shdr) || !(shdr.sh_flags & SHF_COMPRESSED) || !gelf_getchdr(scn, &chdr))
			continue;
		name = elf_strptr(elf, names, shdr.sh_name);
		if (name && is_of_no_use(name)) {
			shdr.sh_type = SHT_NOBITS;
			gelf_update_shdr(scn, &shdr);
			continue;
		}
		if (chdr.ch_size > UNPACKED_MAX - sum)
			return false;
		sum += chdr.ch_size;
	}
	return true;
}

/* Adds the pieces of code that @die has to @ranges. */
static void add_pieces(struct sym_ranges *ranges, Dwarf_Die *die)
{
	Dwarf_Addr base = 0, low, high;
	uint64_t off = dwarf_dieoffset(die);
	ptrdiff_t at = 0;

	for (unsigned int i = 0; i < PIECES_MAX; i++) {
		at = dwarf_ranges(die, at, &base, &low, &high);
		if (at <= 0 || sym_ranges_add(ranges, low, high, off))
			return;
	}
}

static void index_units(struct sym_dwarf *dwarf)
{
	Dwarf_Off off = 0, next, abbrev;
	size_t header;
	uint8_t address, offset;

	for (unsigned int i = 0; i < UNITS_MAX; i++, off = next) {
		Dwarf_Die die;

		if (dwarf_nextcu(dwarf->dwarf, off, &next, &header, &abbrev, &address, &offset) || next <= off)
			break;
		if (dwarf_offdie(dwarf->dwarf, off + header, &die))
			add_pieces(&dwarf->units, &die);
	}
	sym_ranges_finish(&dwarf->units);
}

struct sym_dwarf *sym_dwarf_open(Elf *elf)
{
	struct sym_dwarf *dwarf = sections_prepare(elf) ? calloc(1, sizeof(*dwarf)) : NULL;

	if (!dwarf)
		return NULL;
	dwarf->dwarf = dwarf_begin_elf(elf, DWARF_C_READ, NULL);
	if (dwarf->dwarf)
		index_units(dwarf);
	if (!dwarf->units.count) {
		sym_dwarf_close(dwarf);
		return NULL;
	}
	return dwarf;
}

void sym_dwarf_close(struct sym_dwarf *dwarf)
{
	struct unit *unit;
	size_t pos = 0;

	if (!dwarf)
		return;
	while ((unit = map_next(&dwarf->unit_map, &pos, NULL))) {
		sym_ranges_free(&unit->functions);
		free(unit);
	}
	map_free(&dwarf->unit_map);
	sym_ranges_free(&dwarf->units);
	if (dwarf->dwarf)
		dwarf_end(dwarf->dwarf);
	free(dwarf);
}

static bool holds_functions(int tag)
{
	return tag == DW_TAG_namespace || tag == DW_TAG_module || tag == DW_TAG_class_type ||
	       tag == DW_TAG_structure_type || tag == DW_TAG_union_type;
}

/* Adds the functions below @die. @left is how many DIEs may still be looked at. */
static void index_functions(struct unit *unit, Dwarf_Die *die, unsigned int depth, unsigned int *left)
{
	Dwarf_Die child;
	int more = dwarf_child(die, &child);

	for (; !more && *left; more = dwarf_siblingof(&child, &child)) {
		int tag = dwarf_tag(&child);

		--*left;
		if (tag == DW_TAG_subprogram)
			add_pieces(&unit->functions, &child);
		else if (holds_functions(tag) && depth)
			index_functions(unit, &child, depth - 1, left);
	}
}

static struct unit *get_unit(struct sym_dwarf *dwarf, Dwarf_Die *die)
{
	uint64_t key = dwarf_dieoffset(die) + 1;
	struct unit *unit = map_get(&dwarf->unit_map, key);
	unsigned int left = TREE_DIES_MAX;

	if (unit)
		return unit;
	unit = calloc(1, sizeof(*unit));
	if (!unit || map_put(&dwarf->unit_map, key, unit)) {
		free(unit);
		return NULL;
	}
	index_functions(unit, die, TREE_DEPTH, &left);
	sym_ranges_finish(&unit->functions);
	if (dwarf_getsrcfiles(die, &unit->files, &unit->file_count))
		unit->files = NULL;
	return unit;
}

/* The function inlined in @die that holds @vaddr, blocks looked through, becomes *@die. */
static bool step_in(Dwarf_Die *die, uint64_t vaddr, unsigned int *left)
{
	Dwarf_Die at = *die, child;

	for (unsigned int depth = 0; depth < TREE_DEPTH; depth++) {
		int more = dwarf_child(&at, &child);
		bool found = false;

		for (; !more && *left && !found; more = found ? 1 : dwarf_siblingof(&child, &child)) {
			int tag = dwarf_tag(&child);

			--*left;
			found = (tag == DW_TAG_inlined_subroutine || tag == DW_TAG_lexical_block) &&
				dwarf_haspc(&child, vaddr) == 1;
			if (found && tag == DW_TAG_inlined_subroutine) {
				*die = child;
				return true;
			}
		}
		if (!found)
			return false;
		at = child;
	}
	return false;
}

static const char *name_of(Dwarf_Die *die)
{
	Dwarf_Attribute attr;
	const char *name = NULL;

	if (dwarf_attr_integrate(die, DW_AT_linkage_name, &attr) ||
	    dwarf_attr_integrate(die, DW_AT_MIPS_linkage_name, &attr))
		name = dwarf_formstring(&attr);
	return name ? name : dwarf_diename(die);
}

static unsigned int number_of(Dwarf_Die *die, unsigned int name)
{
	Dwarf_Attribute attr;
	Dwarf_Word value;

	if (!dwarf_attr(die, name, &attr) || dwarf_formudata(&attr, &value) || value > 0x7fffffff)
		return 0;
	return (unsigned int)value;
}

/* Sets where in its caller the inlined function @die was called. */
static void set_call(const struct unit *unit, Dwarf_Die *die, struct sym_place *place)
{
	unsigned int file = number_of(die, DW_AT_call_file);

	place->line = number_of(die, DW_AT_call_line);
	place->file = unit->files && file < unit->file_count ? dwarf_filesrc(unit->files, file, NULL, NULL) : NULL;
}

static void set_line(Dwarf_Die *unit, uint64_t vaddr, struct sym_place *place)
{
	Dwarf_Line *line = dwarf_getsrc_die(unit, vaddr);
	int number = 0;

	if (!line)
		return;
	place->file = dwarf_linesrc(line, NULL, NULL);
	if (!dwarf_lineno(line, &number) && number > 0)
		place->line = (unsigned int)number;
}

/* What @die is a copy of, or itself. */
static Dwarf_Off origin_of(Dwarf_Die *die)
{
	Dwarf_Attribute attr;
	Dwarf_Die origin;

	if (dwarf_attr(die, DW_AT_abstract_origin, &attr) && dwarf_formref_die(&attr, &origin))
		return dwarf_dieoffset(&origin);
	return dwarf_dieoffset(die);
}

/* Compilers part a function in two, and may inline the one in the other again: "called" from where the function is declared. To
 * anybody else that is one function. One that calls itself does so from another place. */
static bool is_part_of(Dwarf_Die *inlined, Dwarf_Die *die)
{
	int line = 0, column = 0;

	return origin_of(inlined) == origin_of(die) && !dwarf_decl_line(inlined, &line) && line > 0 &&
	       number_of(inlined, DW_AT_call_line) == (unsigned int)line && !dwarf_decl_column(inlined, &column) &&
	       number_of(inlined, DW_AT_call_column) == (unsigned int)column;
}

unsigned int sym_dwarf_find(struct sym_dwarf *dwarf, uint64_t vaddr, struct sym_place out[SYM_INLINED_MAX + 1])
{
	const struct sym_range *range = sym_ranges_find(&dwarf->units, vaddr);
	Dwarf_Die unit_die, die, chain[SYM_INLINED_MAX + 1];
	unsigned int depth = 0, count = 0, left = SIBLINGS_MAX;
	struct sym_place place = { NULL, NULL, 0, 0 };
	struct unit *unit;

	if (!range || !dwarf_offdie(dwarf->dwarf, range->value, &unit_die))
		return 0;
	unit = get_unit(dwarf, &unit_die);
	set_line(&unit_die, vaddr, &place);
	range = unit ? sym_ranges_find(&unit->functions, vaddr) : NULL;
	if (!range || !dwarf_offdie(dwarf->dwarf, range->value, &die)) {
		out[0] = place;
		return 1;
	}
	chain[depth++] = die;
	while (depth <= SYM_INLINED_MAX && step_in(&die, vaddr, &left)) {
		if (!is_part_of(&die, &chain[depth - 1]))
			chain[depth++] = die;
	}
	while (depth--) {
		place.name = name_of(&chain[depth]);
		out[count++] = place;
		if (depth)
			set_call(unit, &chain[depth], &place);
	}
	out[count - 1].entry = range->low;
	return count;
}
