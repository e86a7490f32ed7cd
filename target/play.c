/* SPDX-License-Identifier: GPL-2.0-only */
#include "play.h"

#include "quiet.h"
#include "tune.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* How often a step that awaits something looks. */
#define LOOK_NS 10000000L

/* What a run needs beside the play. One at a time. */
static struct {
	const struct allocator *allocator;
	struct play *play;
	int status_fd;
	unsigned int next; /* the step that comes next */
	int err;	   /* of a reading */
	char buffer[READING_BUFFER_BYTES];
} player;

static void sleep_ns(uint64_t ns)
{
	struct timespec left = { .tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000) };

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

static void take_reading(struct reading *out)
{
	int err = reading_take(player.status_fd, player.buffer, out);

	if (err < 0)
		player.err = err;
}

static int alloc_group(struct play_group *group)
{
	int err = 0;

	for (size_t i = 0; i < group->count; i++) {
		void *block = player.allocator->alloc(group->size);

		group->blocks[i] = block;
		if (!block) {
			err = -ENOMEM;
			continue;
		}
		memset(block, 0x5a, group->size);
		/* The compiler has to believe that somebody reads what was written. */
		__asm__ volatile("" : : "r"(block) : "memory");
	}
	return err;
}

static void free_group(struct play_group *group, uint64_t keep)
{
	for (size_t i = 0; i < group->count; i++) {
		if (!group->blocks[i] || (keep && (i + 1) % keep == 0))
			continue;
		player.allocator->free(group->blocks[i], group->size);
		group->blocks[i] = NULL;
	}
}

/* What the process's RSS was when @step began: at the end of the step before. */
static uint64_t rss_before(const struct play_step *step)
{
	const struct play *play = player.play;

	return step == play->steps ? play->opening.rss_bytes : step[-1].reading.rss_bytes;
}

static int await_rss(const struct play_step *step)
{
	uint64_t looks = step->number * (1000000000L / LOOK_NS);
	struct reading reading;

	for (;;) {
		take_reading(&reading);
		if (reading.rss_bytes + step->bytes <= rss_before(step))
			return 0;
		if (looks-- == 0)
			return -ETIMEDOUT;
		sleep_ns(LOOK_NS);
	}
}

/* What a thread does first is done once before it counts: see sequence.c. */
static void warm_up(void)
{
	static const struct mark nothing;
	struct reading reading;

	quiet_stack();
	take_reading(&reading);
	mark_send(&nothing);
}

static int do_step(const struct play_step *step)
{
	struct play *play = player.play;

	switch (step->verb) {
	case PLAY_ALLOC:
		return alloc_group(&play->groups[step->group]);
	case PLAY_FREE:
		free_group(&play->groups[step->group], step->number);
		return 0;
	case PLAY_TRIM:
		tune_trim();
		return 0;
	case PLAY_SLEEP:
		sleep_ns(step->number * 1000000);
		return 0;
	case PLAY_AWAIT:
		return await_rss(step);
	case PLAY_THREAD:
		warm_up();
		return 0;
	}
	return -EINVAL;
}

static void *play_steps(void *arg)
{
	struct play *play = player.play;
	bool second = arg;

	while (player.next < play->nr_steps) {
		struct play_step *step = &play->steps[player.next];
		pthread_t thread;

		if (step->verb == PLAY_THREAD && !second) {
			step->err = -pthread_create(&thread, NULL, play_steps, play);
			if (step->err == 0) {
				pthread_join(thread, NULL);
				break;
			}
		}
		player.next++;
		step->tid = syscall(SYS_gettid);
		if (step->err == 0)
			step->err = do_step(step);
		take_reading(&step->reading);
		mark_send(&step->mark);
	}
	return NULL;
}

/* The lists of blocks, resident, and each group's part of them. */
static int map_groups(struct play *play)
{
	size_t bytes = (play->nr_blocks + 1) * sizeof(void *);
	void **at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (at == MAP_FAILED)
		return -errno;
	play->memory = at;
	play->memory_bytes = bytes;
	for (unsigned int i = 0; i < play->nr_groups; i++) {
		play->groups[i].blocks = at;
		at += play->groups[i].count;
	}
	return 0;
}

int play_run(const struct allocator *allocator, struct play *play)
{
	struct mark opening = { .len = 0 }, closing = { .len = 0 };
	int err = map_groups(play);

	if (err < 0)
		return err;
	player.allocator = allocator;
	player.play = play;
	player.next = 0;
	player.err = 0;
	player.status_fd = reading_open();
	if (player.status_fd < 0)
		return player.status_fd;
	for (unsigned int i = 0; i < play->nr_steps; i++)
		mark_make_word(&play->steps[i].mark, play->steps[i].text);
	mark_make_word(&opening, "opening");
	mark_make_word(&closing, "closing");
	quiet_objects();
	warm_up();
	take_reading(&play->opening);
	mark_send(&opening);
	play_steps(NULL);
	mark_send(&closing);
	close(player.status_fd);
	return player.err;
}

unsigned int play_failed(const struct play *play)
{
	unsigned int failed = 0;

	for (unsigned int i = 0; i < play->nr_steps; i++)
		failed += play->steps[i].err != 0;
	return failed;
}

void play_close(struct play *play)
{
	if (play->memory)
		munmap(play->memory, play->memory_bytes);
	play->memory = NULL;
}
