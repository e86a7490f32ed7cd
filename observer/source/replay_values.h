/* SPDX-License-Identifier: GPL-2.0-only */
/* replay_values: the values of the keys of a recording. */
#ifndef HEAPTRACE_REPLAY_VALUES_H
#define HEAPTRACE_REPLAY_VALUES_H

#include "event/recording.h"
#include "source/replay_stacks.h"

/* What the event of the present line points to, and what all lines together may not exceed. Zero-initialise. */
struct replay_values {
	struct frame *frames;
	unsigned int frame_count, frame_cap;
	struct replay_stacks stacks;
	uint64_t size_total; /* bytes: the magnitudes of all sizes so far */
};

/* Frees its memory. */
void replay_values_free(struct replay_values *values);

/* Forgets the frames of the line before. */
void replay_values_reset(struct replay_values *values);

/* Gives the frames of this line, or those of the line whose number it has, to @change. 0, or -EBADMSG where it has both. */
int replay_values_stack(struct replay_values *values, struct event_change *change);

/* Parses the @len bytes of @value, NUL-terminated, into the field of @event that @key names; strings are unescaped in place.
 * 0; -EBADMSG where it is no such value; -ERANGE where the sizes of all lines add up to more than any sum can hold;
 * -ENOMEM. */
int replay_value_parse(struct replay_values *values, const struct recording_key *key, char *value, size_t len,
		       struct event *event);

/* Parses the value of one "frame" key, which is changed, and adds the frame to those of the line. As replay_value_parse(). */
int replay_frame_parse(struct replay_values *values, char *value);

/* Parse a whole string as a number, decimal or 0x and hexadecimal, of at most @max in magnitude. 0 or -EBADMSG. */
int replay_number(const char *str, uint64_t max, uint64_t *out);
int replay_signed(const char *str, int64_t max, int64_t *out);

#endif
