/* SPDX-License-Identifier: GPL-2.0-only */
/* ptrace_growing: the mappings of an mm that grow downward: the stack, and those made with MAP_GROWSDOWN.
 *
 * VIRT that grows without a call is theirs: the kernel moves the start of such a mapping to the page of a fault
 * (expand_downwards). So where they begin now says by how much they have grown beyond what is booked, also where the fault is
 * not over and has not told of itself. */
#ifndef HEAPTRACE_PTRACE_GROWING_H
#define HEAPTRACE_PTRACE_GROWING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* More are not followed: each is looked at at each call of a thread beside others. */
#define GROWING_MAX 1024u

struct growing_map {
	uint64_t booked; /* where it begins by the rows so far */
	uint64_t now;	 /* where it began when last looked at */
};

/* Zeroed, it is empty. The first one is the stack. */
struct growing {
	struct growing_map *maps;
	unsigned int count, cap;
};

/* One more, which begins at @start. 0, also where there are too many; -ENOMEM. */
int growing_add(struct growing *growing, uint64_t start);

/* The range is unmapped, and with it those that begin there, the stack excepted. */
void growing_drop(struct growing *growing, uint64_t start, uint64_t len);

/* Copies those of @from to @to, which is empty. 0 or -ENOMEM. */
int growing_copy(struct growing *to, const struct growing *from);

/* Leaves it empty. */
void growing_free(struct growing *growing);

/* Looks where all of them begin: through maps open at @maps_fd (see procfs_map_start()) or, where that is -1, in those of
 * @tid. One that is not found has not grown. */
void growing_look(struct growing *growing, int maps_fd, pid_t tid);

/* By how many bytes they had grown beyond what is booked when last looked at. */
int64_t growing_bytes(const struct growing *growing);

/* Whether a fault at @page may have made one grow by at most @limit bytes, without a look. */
bool growing_is_near(const struct growing *growing, uint64_t page, uint64_t limit);

/* Whether one of them began in the range, by the rows so far. */
bool growing_begins_in(const struct growing *growing, uint64_t start, uint64_t end);

/* The bytes by which a fault at @page, over when they were last looked at, has made one grow beyond what was booked: now they
 * are. 0 where it has not. */
int64_t growing_claim(struct growing *growing, uint64_t page);

/* Books @bytes of growth, as far as there was so much when last looked at, to no fault in particular. */
void growing_book(struct growing *growing, int64_t bytes);

#endif
