/* SPDX-License-Identifier: GPL-2.0-only */
/* sym_dwarf: file, line and inlined functions of an address, from DWARF debug information, by libdw. The information is
 * hostile: every walk has an end. */
#ifndef HEAPTRACE_SYM_DWARF_H
#define HEAPTRACE_SYM_DWARF_H

#include <libelf.h>
#include <stdint.h>

/* Inlined functions of one address, one in the other. */
#define SYM_INLINED_MAX 64

struct sym_dwarf;

/* One level of an address: the innermost first, the function that has code of its own last. Strings are libdw's. */
struct sym_place {
	const char *name;  /* as in the debug information: perhaps mangled; NULL where unknown */
	const char *file;  /* where in it the address or the call of the level before is; NULL where unknown */
	unsigned int line; /* 0 where unknown */
	uint64_t entry;	   /* of the function with code of its own: its lowest address in one piece; else 0 */
};

/* Reads what debug information @elf has. NULL where that is none, or too much. */
struct sym_dwarf *sym_dwarf_open(Elf *elf);

/* Frees it, before its Elf; NULL is legal. */
void sym_dwarf_close(struct sym_dwarf *dwarf);

/* The levels of @vaddr. Their number, 0 where nothing is known of it. */
unsigned int sym_dwarf_find(struct sym_dwarf *dwarf, uint64_t vaddr, struct sym_place out[SYM_INLINED_MAX + 1]);

#endif
