/* SPDX-License-Identifier: GPL-2.0-only */
#include "report/callsite.h"

#include <string.h>

/* File names of objects that act on a caller's behalf, each up to where a version or ".so" may follow. */
static const char *const runtime_objects[] = {
	"libc.so",     "libc-",	      "ld-linux",     "ld-musl",   "ld.so",
	"libc.musl",   "libpthread",  "libstdc++.so", "libc++.so", "libc++abi.so",
	"libjemalloc", "libtcmalloc", "libmimalloc",  "[vdso]",	   "libheaptrace-alloc",
};

static bool is_runtime(const struct frame *frame)
{
	const char *slash, *name = frame->object;

	if (!name)
		return false;
	slash = strrchr(name, '/');
	if (slash)
		name = slash + 1;
	for (unsigned int i = 0; i < sizeof(runtime_objects) / sizeof(runtime_objects[0]); i++) {
		if (!strncmp(name, runtime_objects[i], strlen(runtime_objects[i])))
			return true;
	}
	return false;
}

const struct frame *callsite_find(const struct event_change *change, const struct frame **ret_entry)
{
	*ret_entry = NULL;
	if (!change->stack_len)
		return NULL;
	for (unsigned int i = 0; i < change->stack_len; i++) {
		if (is_runtime(&change->stack[i]))
			continue;
		if (i)
			*ret_entry = &change->stack[i - 1];
		return &change->stack[i];
	}
	return &change->stack[0];
}
