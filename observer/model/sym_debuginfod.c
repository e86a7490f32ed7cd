/* SPDX-License-Identifier: GPL-2.0-only */
#include "model/sym_debuginfod.h"

#include <dlfcn.h>
#include <stdlib.h>

#define LIBRARY "libdebuginfod.so.1"

struct debuginfod_client;

/* What is used of elfutils/debuginfod.h. */
struct debuginfod {
	struct debuginfod_client *(*begin)(void);
	int (*find)(struct debuginfod_client *client, const unsigned char *build_id, int len, char **path);
	struct debuginfod_client *client;
	bool tried;
};

bool sym_debuginfod_wanted(void)
{
	const char *urls = getenv("DEBUGINFOD_URLS");

	return urls && *urls;
}

/* The library is loaded once and kept: it is one process's, for its whole life. */
static struct debuginfod *get(void)
{
	static struct debuginfod library;
	void *handle;

	if (library.tried)
		return library.client ? &library : NULL;
	library.tried = true;
	handle = sym_debuginfod_wanted() ? dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL) : NULL;
	if (!handle)
		return NULL;
	*(void **)&library.begin = dlsym(handle, "debuginfod_begin");
	*(void **)&library.find = dlsym(handle, "debuginfod_find_debuginfo");
	if (library.begin && library.find)
		library.client = library.begin();
	return library.client ? &library : NULL;
}

int sym_debuginfod_find(const uint8_t *build_id, unsigned int len)
{
	struct debuginfod *library = len ? get() : NULL;

	return library ? library->find(library->client, build_id, (int)len, NULL) : -1;
}
