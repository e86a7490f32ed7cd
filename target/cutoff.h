/* SPDX-License-Identifier: GPL-2.0-only */
/* cutoff: from which size on does free give memory back? Every probe is a process of its own, forked from one that has
 * never used its heap, so no probe sees what another one did to the allocator. It leaves the marks "large N" (where a
 * large block was freed first), "before N", "touch N" and "free N", N in bytes. */
#ifndef TARGET_CUTOFF_H
#define TARGET_CUTOFF_H

#include "options.h"
#include "out.h"
#include "reading.h"

#include <stdbool.h>

/* One block allocated, touched and freed. */
struct cutoff_probe {
	size_t size;
	bool in_heap; /* the block lay in the heap of brk(2), not in a mapping */
	struct reading before, during, after;
};

/* The result of one search. A size gives memory back where RSS is lower right after its free than right before it. */
struct cutoff {
	size_t large_bytes;	   /* what was freed first, 0 for a fresh process */
	size_t max_bytes;	   /* the largest size tried */
	size_t size;		   /* the smallest that gives memory back; 0 where none up to max_bytes does */
	struct cutoff_probe given; /* of @size */
	struct cutoff_probe kept;  /* of @size - 1, or of max_bytes where @size is 0; its size is 0 where @size is 1 */
};

/* Bytes by which the free of @probe lowered RSS; 0 where it did not. */
size_t cutoff_returned_bytes(const struct cutoff_probe *probe);

/* Searches by doubling and then by bisection, with @large_bytes freed first (0: nothing). @max_bytes is lowered to what
 * the machine can carry. 0 or -errno after one line on stderr. */
int cutoff_find(const struct options *options, size_t large_bytes, struct cutoff *out);

/* Both searches and the rule that explains them, for people or (--json) as one JSON document. */
void cutoff_print(struct out *out, const struct options *options, const struct cutoff *fresh,
		  const struct cutoff *after);

#endif
