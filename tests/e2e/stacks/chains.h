/* SPDX-License-Identifier: GPL-2.0-only */
/* Functions that call each other in a known order; each in a file of its own, so that no compiler makes one of two. */
#ifndef CHAINS_H
#define CHAINS_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* alpha calls beta, beta calls gamma, and that maps and unmaps @pages pages. */
int chain_alpha(size_t pages);
int chain_beta(size_t pages);
int chain_gamma(size_t pages);

/* Maps @pages pages, touches them one after the other, and unmaps them. */
int chain_fill(size_t pages);

/* Keep the stack in ways that the tables of frames have to tell: a frame of a size that is not known beforehand; and one whose
 * locals need more alignment than the stack has. */
int chain_room(size_t pages);
int chain_aligned(size_t pages);

/* Calls itself @depth times, then gamma. */
int chain_deep(size_t pages, int depth);

#ifdef __cplusplus
}
#endif

#endif
