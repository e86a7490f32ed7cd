/* SPDX-License-Identifier: GPL-2.0-only */
#include "order.h"

#include <errno.h>
#include <string.h>

static const char *const names[] = {
	[ORDER_SHUFFLED] = "shuffled",
	[ORDER_ASCENDING] = "ascending",
	[ORDER_DESCENDING] = "descending",
	[ORDER_GIVEN] = "given",
};

int order_by_name(const char *name, enum order *out)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i], name) == 0) {
			*out = (enum order)i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *order_name(enum order order)
{
	return names[order];
}

/* splitmix64 (Steele, Lea, Flood 2014): one word of state, any seed is good. */
static uint64_t rng_next(struct order_rng *rng)
{
	uint64_t z = rng->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

uint64_t order_random(struct order_rng *rng, uint64_t bound)
{
	uint64_t reject = (UINT64_MAX - bound + 1) % bound; /* 2^64 mod bound: below it remainders are not uniform */
	uint64_t value;

	do
		value = rng_next(rng);
	while (value < reject);
	return value % bound;
}

static void swap_sizes(size_t *a, size_t *b)
{
	size_t held = *a;

	*a = *b;
	*b = held;
}

/* Fisher and Yates. */
static void shuffle(struct order_rng *rng, size_t *sizes, size_t count)
{
	for (size_t left = count; left > 1; left--)
		swap_sizes(&sizes[left - 1], &sizes[order_random(rng, left)]);
}

/* Insertion sort: the lists are short, and qsort(3) of glibc may call malloc. */
static void sort(size_t *sizes, size_t count)
{
	for (size_t i = 1; i < count; i++)
		for (size_t j = i; j > 0 && sizes[j - 1] > sizes[j]; j--)
			swap_sizes(&sizes[j - 1], &sizes[j]);
}

void order_apply(enum order order, struct order_rng *rng, size_t *sizes, size_t count)
{
	switch (order) {
	case ORDER_GIVEN:
		break;
	case ORDER_SHUFFLED:
		shuffle(rng, sizes, count);
		break;
	case ORDER_ASCENDING:
		sort(sizes, count);
		break;
	case ORDER_DESCENDING:
		sort(sizes, count);
		for (size_t i = 0; i < count / 2; i++)
			swap_sizes(&sizes[i], &sizes[count - 1 - i]);
		break;
	}
}
