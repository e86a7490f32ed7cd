/* SPDX-License-Identifier: GPL-2.0-only */
/* order: in which order the sizes are tried. The same seed gives the same order on every machine and C library. */
#ifndef TARGET_ORDER_H
#define TARGET_ORDER_H

#include <stddef.h>
#include <stdint.h>

enum order { ORDER_SHUFFLED, ORDER_ASCENDING, ORDER_DESCENDING, ORDER_GIVEN };

/* The order of that name in @out. 0 or -EINVAL. */
int order_by_name(const char *name, enum order *out);

/* "shuffled" and so on. Static. */
const char *order_name(enum order order);

/* A generator of pseudo-random numbers; begin with any value of @state. */
struct order_rng {
	uint64_t state;
};

/* Uniform in [0, @bound); @bound is not 0. */
uint64_t order_random(struct order_rng *rng, uint64_t bound);

/* Puts @sizes into the order. A shuffle advances @rng, so the next one is another. */
void order_apply(enum order order, struct order_rng *rng, size_t *sizes, size_t count);

#endif
