/* SPDX-License-Identifier: GPL-2.0-only */
/* tune: the parameters of mallopt(3) by name, and malloc_trim(3). C libraries other than glibc have neither. */
#ifndef TARGET_TUNE_H
#define TARGET_TUNE_H

#include <stddef.h>

struct tune {
	const char *name; /* static */
	int param;
	int value;
	int result; /* what mallopt said: 1, or 0 for refused; set by tune_apply */
};

/* "NAME=VALUE" with a size or a negative number as value. 0; -ENOENT where there is no such parameter here; -EINVAL or
 * -ERANGE where the value is no int. */
int tune_parse(const char *text, struct tune *out);

/* The @index-th parameter's name, counted from 0, or NULL past the last. Static. */
const char *tune_name(size_t index);

/* Calls mallopt. It initialises the heap's bookkeeping and takes no memory. */
void tune_apply(struct tune *tune);

/* malloc_trim(0): 1 where memory was given back, 0 where not, -ENOSYS where the C library has no such function. */
int tune_trim(void);

/* Has malloc read its tunables now, with nothing but zeroes on the stack below the caller: glibc 2.36 compares a text that
 * it has not ended (malloc_thp_mode), so that hugetlb=1 is heeded or not by what earlier calls have left there. */
void tune_begin(void);

#endif
