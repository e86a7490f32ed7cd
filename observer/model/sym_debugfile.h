/* SPDX-License-Identifier: GPL-2.0-only */
/* sym_debugfile: what was stripped from an object and lies elsewhere: in a section packed with xz (MiniDebugInfo), in a
 * file below /usr/lib/debug or beside the object, or, if the user has asked for it, on a debuginfod server. */
#ifndef HEAPTRACE_SYM_DEBUGFILE_H
#define HEAPTRACE_SYM_DEBUGFILE_H

#include "model/sym_elf.h"

/* Unpacked, MiniDebugInfo may be no larger than that. */
#define SYM_MINIDEBUG_MAX ((size_t)256 << 20)

/* Where distributions put debug files. */
#define SYM_DEBUG_ROOT "/usr/lib/debug"

/* Opens the debug file of @elf, below @root or beside the object. @path is where the object was mapped from, NULL where that is
 * unknown. The file agrees in build-id, or else in the CRC that the object names. False where none is found. */
bool sym_debugfile_open(const struct sym_elf *elf, const char *root, const char *path, struct sym_elf *out);

/* Unpacks .gnu_debugdata. The Elf ends with *@ret_image, which is freed after it. False where there is none. */
bool sym_minidebug_open(const struct sym_elf *elf, Elf **ret_elf, void **ret_image);

#endif
