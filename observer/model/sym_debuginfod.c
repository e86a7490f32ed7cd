/* SPDX-License-Identifier: GPL-2.0-only */
#include "model/sym_debuginfod.h"

#include <dlfcn.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LIBRARY	    "libdebuginfod.so.1"
#define CACHE_PATH  "DEBUGINFOD_CACHE_PATH"
#define REMOVE_OPEN 16 /* directories that are open at a time */

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

/* Where the user's cache cannot be written to, as it cannot where heaptrace is root and its reader nobody. */
static char own_cache[] = "/var/tmp/heaptrace-debuginfod-XXXXXX";
static bool has_own_cache;

void sym_debuginfod_begin(void)
{
	const char *home = getenv("HOME");

	if (!sym_debuginfod_wanted() || getenv(CACHE_PATH) || (home && !access(home, W_OK | X_OK)))
		return;
	has_own_cache = mkdtemp(own_cache) && !setenv(CACHE_PATH, own_cache, 1);
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
	(void)status;
	(void)kind;
	(void)walk;
	return remove(path);
}

void sym_debuginfod_end(void)
{
	if (has_own_cache)
		(void)nftw(own_cache, remove_one, REMOVE_OPEN, FTW_DEPTH | FTW_PHYS);
	has_own_cache = false;
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
	char *path = NULL;
	int fd = library ? library->find(library->client, build_id, (int)len, &path) : -1;

	/* What is open is enough, and a cache that nobody comes back to should not grow. */
	if (fd >= 0 && has_own_cache && path)
		unlink(path);
	if (fd >= 0)
		free(path);
	return fd;
}
