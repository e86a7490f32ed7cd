/* SPDX-License-Identifier: GPL-2.0-only */
#include "tune.h"

#include "parse.h"
#include "quiet.h"

#include <errno.h>
#include <string.h>

#ifdef __GLIBC__
#include <malloc.h>

static const struct {
	const char *name;
	int param;
} params[] = {
	{ "mmap_threshold", M_MMAP_THRESHOLD },
	{ "trim_threshold", M_TRIM_THRESHOLD },
	{ "top_pad", M_TOP_PAD },
	{ "mmap_max", M_MMAP_MAX },
	{ "mxfast", M_MXFAST },
	{ "arena_max", M_ARENA_MAX },
	{ "arena_test", M_ARENA_TEST },
	{ "perturb", M_PERTURB },
	{ "check_action", M_CHECK_ACTION },
	{ NULL, 0 },
};
#else
static const struct {
	const char *name;
	int param;
} params[] = { { NULL, 0 } };
#endif

const char *tune_name(size_t index)
{
	return index < sizeof(params) / sizeof(params[0]) ? params[index].name : NULL;
}

int tune_parse(const char *text, struct tune *out)
{
	const char *equals = strchr(text, '=');

	if (!equals)
		return -EINVAL;
	for (size_t i = 0; params[i].name; i++) {
		struct tune tune = { .name = params[i].name, .param = params[i].param };
		int err;

		if (strlen(tune.name) != (size_t)(equals - text) || strncmp(tune.name, text, strlen(tune.name)) != 0)
			continue;
		err = parse_int_size(equals + 1, &tune.value);
		if (err < 0)
			return err;
		*out = tune;
		return 0;
	}
	return -ENOENT;
}

void tune_begin(void)
{
	quiet_stack();
#ifdef __GLIBC__
	mallopt(0, 0); /* no parameter has that number; like each first call it makes malloc ready */
#endif
}

void tune_apply(struct tune *tune)
{
#ifdef __GLIBC__
	tune->result = mallopt(tune->param, tune->value);
#else
	tune->result = 0;
#endif
}

int tune_trim(void)
{
#ifdef __GLIBC__
	return malloc_trim(0);
#else
	return -ENOSYS;
#endif
}
