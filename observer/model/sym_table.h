/* SPDX-License-Identifier: GPL-2.0-only */
/* sym_table: the functions of an object by address, from the symbol tables of one ELF file or of several that belong
 * together. */
#ifndef HEAPTRACE_SYM_TABLE_H
#define HEAPTRACE_SYM_TABLE_H

#include "model/sym_elf.h"

/* Functions told apart in one object; libLLVM has 0.3 million. */
#define SYM_TABLE_MAX 8000000u

struct sym_entry {
	uint64_t start, end;
	const char *name; /* as in the file: mangled, perhaps with a version behind an '@'; belongs to the Elf */
	uint32_t rank;	  /* of two names for one address the lower one is shown */
};

/* Zero-initialise before use. */
struct sym_table {
	struct sym_entry *entries;
	size_t count, size;
	bool has_symtab; /* a full symbol table was among them, not only the dynamic one */
};

/* Adds the symbols of @elf, which must stay open as long as @table. What is broken is left out. 0 or -ENOMEM. */
int sym_table_add(struct sym_table *table, Elf *elf);

/* Sorts what was added: once, before the first look-up. */
void sym_table_finish(struct sym_table *table);

/* The function that holds @vaddr, or NULL. */
const struct sym_entry *sym_table_find(const struct sym_table *table, uint64_t vaddr);

/* Frees it: as new. */
void sym_table_free(struct sym_table *table);

#endif
