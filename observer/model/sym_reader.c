/* SPDX-License-Identifier: GPL-2.0-only */
#include "model/sym_reader.h"

#include "model/sym_debugfile.h"
#include "model/sym_demangle.h"
#include "model/sym_table.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct sym_reader {
	int fd; /* until it is loaded */
	char *path;
	const char *debug_root;
	bool loaded;
	struct sym_elf elf, debug;
	Elf *mini;
	void *mini_image;
	struct sym_table table;
	struct sym_dwarf *dwarf;
	char names[SYM_FRAMES_MAX][SYM_NAME_SIZE]; /* of the last answer */
	char files[SYM_FRAMES_MAX][SYM_FILE_SIZE];
};

struct sym_reader *sym_reader_new(int fd, const char *path)
{
	struct sym_reader *reader = calloc(1, sizeof(*reader));

	if (reader && path) {
		reader->path = strdup(path);
		if (!reader->path) {
			free(reader);
			reader = NULL;
		}
	}
	if (!reader) {
		close(fd);
		return NULL;
	}
	reader->fd = fd;
	reader->debug_root = SYM_DEBUG_ROOT;
	reader->elf.fd = reader->debug.fd = -1;
	return reader;
}

void sym_reader_set_debug_root(struct sym_reader *reader, const char *root)
{
	reader->debug_root = root;
}

void sym_reader_free(struct sym_reader *reader)
{
	if (!reader)
		return;
	sym_dwarf_close(reader->dwarf);
	sym_table_free(&reader->table);
	if (reader->mini)
		elf_end(reader->mini);
	free(reader->mini_image);
	sym_elf_close(&reader->debug);
	sym_elf_close(&reader->elf);
	if (!reader->loaded)
		close(reader->fd);
	free(reader->path);
	free(reader);
}

/* Everything that has names goes into one table: .dynsym of the object (exported names), its .symtab or the debug file's
 * or MiniDebugInfo's. Lack of memory leaves out what it concerns. */
static void load(struct sym_reader *reader)
{
	reader->loaded = true;
	if (sym_elf_open(reader->fd, &reader->elf))
		return;
	(void)sym_table_add(&reader->table, reader->elf.elf);
	reader->dwarf = sym_dwarf_open(reader->elf.elf);
	if ((!reader->table.has_symtab || !reader->dwarf) &&
	    sym_debugfile_open(&reader->elf, reader->debug_root, reader->path, &reader->debug)) {
		if (!reader->table.has_symtab)
			(void)sym_table_add(&reader->table, reader->debug.elf);
		if (!reader->dwarf)
			reader->dwarf = sym_dwarf_open(reader->debug.elf);
	}
	if (!reader->table.has_symtab && sym_minidebug_open(&reader->elf, &reader->mini, &reader->mini_image))
		(void)sym_table_add(&reader->table, reader->mini);
	sym_table_finish(&reader->table);
}

/* Keeps the end of a name that is too long: "...c/parser/loader.c". */
static const char *keep_file(char out[SYM_FILE_SIZE], const char *file)
{
	size_t len = strlen(file);

	if (!len)
		return NULL;
	if (len < SYM_FILE_SIZE) {
		memcpy(out, file, len + 1);
	} else {
		out[0] = out[1] = out[2] = '.';
		memcpy(out + 3, file + len - (SYM_FILE_SIZE - 4), SYM_FILE_SIZE - 3);
	}
	return out;
}

static const char *keep_name(char out[SYM_NAME_SIZE], const char *mangled)
{
	sym_demangle(mangled, out);
	return *out ? out : NULL;
}

/* The function that begins right behind @vaddr, which is no function's. What is asked for of a return address is the byte before
 * it, and some are put on the stack by hand: that of a signal's handler, that of a context's first function. */
static const struct sym_entry *begins_behind(const struct sym_table *table, uint64_t vaddr)
{
	const struct sym_entry *entry = sym_table_find(table, vaddr + 1);

	return entry && vaddr - entry->start == SYM_BEFORE ? entry : NULL;
}

/* The function that has code of its own: its name in the symbol table is what the linker and other tools know it by. */
static void set_function(struct sym_reader *reader, uint64_t vaddr, const struct sym_place *place,
			 struct sym_frame *frame, char name[SYM_NAME_SIZE])
{
	const struct sym_entry *entry = sym_table_find(&reader->table, vaddr);

	if (!entry && !(place && place->name))
		entry = begins_behind(&reader->table, vaddr);
	if (entry) {
		frame->symbol = keep_name(name, entry->name);
		frame->offset = vaddr - entry->start;
	} else if (place && place->name) {
		frame->symbol = keep_name(name, place->name);
		frame->offset = place->entry ? vaddr - place->entry : 0;
	} else {
		frame->offset = vaddr;
	}
}

unsigned int sym_reader_find(struct sym_reader *reader, uint64_t offset, struct sym_frame out[SYM_FRAMES_MAX])
{
	struct sym_place places[SYM_FRAMES_MAX];
	const struct sym_place *outermost = NULL;
	unsigned int count = 0;
	uint64_t vaddr;

	if (!reader->loaded)
		load(reader);
	if (!sym_elf_vaddr(&reader->elf, offset, &vaddr))
		return 0;
	if (reader->dwarf)
		count = sym_dwarf_find(reader->dwarf, vaddr, places);
	for (unsigned int i = 0; i < count; i++) {
		out[i] = (struct sym_frame){ .line = places[i].line, .inlined = i + 1 < count };
		if (places[i].file)
			out[i].file = keep_file(reader->files[i], places[i].file);
		if (out[i].inlined && places[i].name)
			out[i].symbol = keep_name(reader->names[i], places[i].name);
	}
	if (count)
		outermost = &places[count - 1];
	else
		out[count++] = (struct sym_frame){ .line = 0 };
	set_function(reader, vaddr, outermost, &out[count - 1], reader->names[count - 1]);
	return count;
}
