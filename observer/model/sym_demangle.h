/* SPDX-License-Identifier: GPL-2.0-only */
/* sym_demangle: the names of C++ and Rust as their programmers wrote them. */
#ifndef HEAPTRACE_SYM_DEMANGLE_H
#define HEAPTRACE_SYM_DEMANGLE_H

#include <stddef.h>

/* Bytes of a name that is shown, its NUL included; longer ones end in "...". */
#define SYM_NAME_SIZE 512

/* Writes what @mangled stands for to @out, without parameters; a name that is not mangled stays as it is. A version
 * behind '@' and the suffixes of clones that compilers add are cut off. Takes bounded memory; a hostile name may take
 * long all the same: the caller keeps the time. */
void sym_demangle(const char *mangled, char out[SYM_NAME_SIZE]);

#endif
