/* SPDX-License-Identifier: GPL-2.0-only */
/* parse: numbers as people write them on a command line. Pure; nothing but the whole string will do. */
#ifndef TARGET_PARSE_H
#define TARGET_PARSE_H

#include <stddef.h>
#include <stdint.h>

/* An unsigned decimal, or hexadecimal after 0x. 0; -EINVAL where it is no number; -ERANGE past 64 bits. */
int parse_u64(const char *text, uint64_t *out);

/* Bytes: a decimal and, optionally, one of k, M, G, T in either case (powers of 1024), optionally followed by B or iB.
 * 0; -EINVAL; -ERANGE where it does not fit a size_t. */
int parse_size(const char *text, size_t *out);

/* The same with an optional minus sign, for the int of mallopt(3). 0; -EINVAL; -ERANGE. */
int parse_int_size(const char *text, int *out);

/* A comma-separated list of sizes into @sizes, which has room for @max. The number of sizes, at least 1; -EINVAL (also
 * for an empty list or member); -ERANGE; -E2BIG where there are more than @max. */
int parse_size_list(const char *text, size_t *sizes, size_t max);

/* "all", "none", a decimal from 0 to 1 ("0.5") or a percentage ("50%"), as parts per million. 0 or -EINVAL. */
int parse_fraction(const char *text, uint32_t *out_ppm);

#endif
