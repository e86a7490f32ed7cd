/* SPDX-License-Identifier: GPL-2.0-only */
/* play: a short script of steps on groups of blocks, for what one block at a time cannot show: fragmentation, a pinned
 * top, caches of small blocks, decay in an idle process. After each step the process's memory is read and a mark with the
 * step's own text is left. All memory that the player itself needs is mapped and resident before the first step. */
#ifndef TARGET_PLAY_H
#define TARGET_PLAY_H

#include "alloc.h"
#include "mark.h"
#include "reading.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLAY_STEPS_MAX	256
#define PLAY_GROUPS_MAX 32
#define PLAY_NAME_BYTES 16
#define PLAY_TEXT_BYTES 64 /* of a step, with its end; a mark holds it */

/* More blocks in all than this are somebody's mistake. */
#define PLAY_BLOCKS_MAX ((size_t)1 << 26)

enum play_verb {
	PLAY_ALLOC,  /* "alloc NAME COUNT SIZE": as many blocks, each written to from end to end */
	PLAY_FREE,   /* "free NAME", or "free NAME but K": all but every K-th of the group's blocks, in their order */
	PLAY_TRIM,   /* malloc_trim(0) */
	PLAY_SLEEP,  /* "sleep MS" */
	PLAY_AWAIT,  /* "await SIZE SECONDS": sleeps until RSS is SIZE or more below what it was at the step before */
	PLAY_THREAD, /* all further steps are a second thread's */
};

struct play_group {
	char name[PLAY_NAME_BYTES];
	void **blocks; /* NULL where freed */
	size_t count, size;
};

struct play_step {
	char text[PLAY_TEXT_BYTES];
	enum play_verb verb;
	unsigned int group;
	size_t bytes;	 /* of PLAY_AWAIT */
	uint64_t number; /* K, MS or SECONDS; 0 where there is none */
	int err;	 /* 0; -ENOMEM where a block could not be had; -ETIMEDOUT */
	long tid;
	struct mark mark;
	struct reading reading; /* after it */
};

struct play {
	struct play_group groups[PLAY_GROUPS_MAX];
	struct play_step steps[PLAY_STEPS_MAX];
	unsigned int nr_groups, nr_steps;
	size_t nr_blocks;
	struct reading opening;
	void *memory; /* where the groups' blocks are noted; NULL before play_run */
	size_t memory_bytes;
};

/* Reads @count texts, one a step, into @out. 0; -EINVAL after one line on stderr that says which and why. */
int play_parse(char *const *texts, int count, struct play *out);

/* Plays it; a step that fails does not stop the others. 0; -errno where it could not be played at all. */
int play_run(const struct allocator *allocator, struct play *play);

/* The number of steps that failed. */
unsigned int play_failed(const struct play *play);

/* Unmaps what play_run has mapped; blocks stay. Legal on a zeroed play. */
void play_close(struct play *play);

#endif
