/* SPDX-License-Identifier: GPL-2.0-only */
/* sym_reader: names for the addresses of one object file, from all that can be found for it. */
#ifndef HEAPTRACE_SYM_READER_H
#define HEAPTRACE_SYM_READER_H

#include "model/sym_dwarf.h"

#include <stdbool.h>
#include <stdint.h>

/* Frames of one address at most: the functions inlined there, and the one that holds them. */
#define SYM_FRAMES_MAX (SYM_INLINED_MAX + 1)

/* Bytes of a file name that is shown, its NUL included; of longer ones the end is. */
#define SYM_FILE_SIZE 512

#define SYM_BEFORE UINT64_MAX

/* One frame of an address. Strings are NULL where unknown. */
struct sym_frame {
	const char *symbol;
	/* Of the address in the symbol; SYM_BEFORE: the symbol begins right behind it; 0 for inlined ones. Where the symbol is not
	 * known, the address itself, as the object was linked for. */
	uint64_t offset;
	const char *file;
	unsigned int line; /* 0 where unknown */
	bool inlined;
};

struct sym_reader;

/* A reader of the object behind @fd, which is the reader's from then on, also on failure; nothing is read yet. @path is
 * where debug files may lie beside it, NULL for nowhere. NULL on lack of memory. */
struct sym_reader *sym_reader_new(int fd, const char *path);

/* Looks for debug files below @root, a string that stays, instead of SYM_DEBUG_ROOT: for tests. */
void sym_reader_set_debug_root(struct sym_reader *reader, const char *root);

/* Frees it; NULL is legal. */
void sym_reader_free(struct sym_reader *reader);

/* Names the byte @offset of the file, innermost frame first. Their number; 0 where it is loaded nowhere. The strings are valid
 * until the next call. */
unsigned int sym_reader_find(struct sym_reader *reader, uint64_t offset, struct sym_frame out[SYM_FRAMES_MAX]);

#endif
