/* SPDX-License-Identifier: GPL-2.0-only */
#include "out.h"
#include "parse.h"
#include "play.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define WORDS_MAX 5

/* The words of one step; they lie in text. */
struct words {
	char text[PLAY_TEXT_BYTES];
	char *word[WORDS_MAX];
	unsigned int count;
};

/* 0, or what is wrong with the step, for the user. */
typedef const char *(*parse_fn)(struct play *play, const struct words *words, struct play_step *step);

static int find_group(const struct play *play, const char *name)
{
	for (unsigned int i = 0; i < play->nr_groups; i++)
		if (strcmp(play->groups[i].name, name) == 0)
			return (int)i;
	return -ENOENT;
}

static const char *parse_alloc(struct play *play, const struct words *words, struct play_step *step)
{
	struct play_group *group = &play->groups[play->nr_groups];
	uint64_t count;
	size_t size;

	if (words->count != 4 || parse_u64(words->word[2], &count) < 0 || parse_size(words->word[3], &size) < 0)
		return "expected alloc NAME COUNT SIZE";
	if (strlen(words->word[1]) >= sizeof(group->name))
		return "the name is longer than 15 characters";
	if (find_group(play, words->word[1]) >= 0)
		return "there is a group of that name";
	if (play->nr_groups == PLAY_GROUPS_MAX)
		return "more groups than 32";
	if (count == 0 || count > PLAY_BLOCKS_MAX - play->nr_blocks)
		return "expected 1 to 2^26 blocks in all";
	step->group = play->nr_groups++;
	snprintf(group->name, sizeof(group->name), "%s", words->word[1]);
	group->count = count;
	group->size = size;
	play->nr_blocks += count;
	return NULL;
}

static const char *parse_free(struct play *play, const struct words *words, struct play_step *step)
{
	int group = words->count >= 2 ? find_group(play, words->word[1]) : -ENOENT;

	if (words->count != 2 && words->count != 4)
		return "expected free NAME, or free NAME but K";
	if (group < 0)
		return "there is no group of that name yet";
	step->group = (unsigned int)group;
	if (words->count == 4 &&
	    (strcmp(words->word[2], "but") != 0 || parse_u64(words->word[3], &step->number) < 0 || step->number == 0))
		return "expected free NAME but K, all but every K-th";
	return NULL;
}

static const char *parse_word(struct play *play, const struct words *words, struct play_step *step)
{
	(void)play;
	(void)step;
	return words->count == 1 ? NULL : "expected the word alone";
}

static const char *parse_sleep(struct play *play, const struct words *words, struct play_step *step)
{
	(void)play;
	if (words->count != 2 || parse_u64(words->word[1], &step->number) < 0 || step->number > 3600000)
		return "expected sleep MS, up to 3600000";
	return NULL;
}

static const char *parse_await(struct play *play, const struct words *words, struct play_step *step)
{
	(void)play;
	if (words->count != 3 || parse_size(words->word[1], &step->bytes) < 0 || step->bytes == 0 ||
	    parse_u64(words->word[2], &step->number) < 0 || step->number > 3600)
		return "expected await SIZE SECONDS, up to 3600";
	return NULL;
}

static const struct {
	const char *word;
	enum play_verb verb;
	parse_fn parse;
} verbs[] = {
	{ "alloc", PLAY_ALLOC, parse_alloc }, { "free", PLAY_FREE, parse_free },
	{ "trim", PLAY_TRIM, parse_word },    { "sleep", PLAY_SLEEP, parse_sleep },
	{ "await", PLAY_AWAIT, parse_await }, { "thread", PLAY_THREAD, parse_word },
};

/* Printable ASCII that JSON takes as it is: the text becomes a mark. */
static bool is_plain(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || (unsigned char)*text > '~' || *text == '"' || *text == '\\')
			return false;
	return true;
}

static const char *parse_step(struct play *play, const char *text, struct play_step *step)
{
	struct words words = { .count = 0 };
	const char *problem = "expected alloc, free, trim, sleep, await or thread";
	char *rest;

	if (strlen(text) >= sizeof(step->text))
		return "longer than 63 characters";
	if (!is_plain(text))
		return "has a character that is not plain";
	snprintf(step->text, sizeof(step->text), "%s", text);
	snprintf(words.text, sizeof(words.text), "%s", text);
	for (char *word = strtok_r(words.text, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		if (words.count == WORDS_MAX)
			return "has more words than any step";
		words.word[words.count++] = word;
	}
	for (size_t i = 0; words.count && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(words.word[0], verbs[i].word) != 0)
			continue;
		step->verb = verbs[i].verb;
		problem = verbs[i].parse(play, &words, step);
	}
	/* cppcheck-suppress returnDanglingLifetime ; the parsers return texts of their own, not the words */
	return problem;
}

/* One second thread is enough, and what was asked for twice was not understood. */
static bool has_two_threads(const struct play *play)
{
	unsigned int threads = 0;

	for (unsigned int i = 0; i < play->nr_steps; i++)
		threads += play->steps[i].verb == PLAY_THREAD;
	return threads > 1;
}

int play_parse(char *const *texts, int count, struct play *out)
{
	memset(out, 0, sizeof(*out));
	if (count <= 0 || count > PLAY_STEPS_MAX) {
		out_complain("play: expected 1 to %d steps; see --help", PLAY_STEPS_MAX);
		return -EINVAL;
	}
	for (int i = 0; i < count; i++) {
		const char *problem = parse_step(out, texts[i], &out->steps[out->nr_steps++]);

		if (!problem && has_two_threads(out))
			problem = "there is a second thread already";
		if (problem) {
			out_complain("play: step %d, '%s': %s", i + 1, texts[i], problem);
			return -EINVAL;
		}
	}
	return 0;
}
