/* SPDX-License-Identifier: GPL-2.0-only */
#include "cutoff.h"
#include "print.h"

#include <dlfcn.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __GLIBC__
#include <gnu/libc-version.h>

/* glibc's other name for its malloc. Allocators that are linked in statically do not define it; preloaded ones may. */
extern __typeof__(malloc) __libc_malloc __attribute__((weak));

/* The version of glibc where its malloc is the one under test, else NULL. */
static const char *glibc_version(void)
{
	/* Through variables, as the compiler takes two names for two functions and folds the comparison. */
	void *(*volatile ours)(size_t) = malloc;
	void *(*volatile glibc)(size_t) = __libc_malloc;
	const char *(*volatile version)(void) = gnu_get_libc_version;
	Dl_info object, libc;
	bool same;

	/* A static program has no objects to tell apart. */
	if (dladdr((const void *)(uintptr_t)ours, &object) && dladdr((const void *)(uintptr_t)version, &libc))
		same = object.dli_fbase == libc.dli_fbase;
	else
		same = ours == glibc;
	return same ? version() : NULL;
}
#else
static const char *glibc_version(void)
{
	return NULL;
}
#endif

/* Whose malloc it is, for people: "glibc 2.36", or the file that it is in; "" for an allocator of the target's own. */
static void find_provider(const struct options *options, char *text, size_t bytes)
{
	void *(*volatile ours)(size_t) = malloc;
	const char *version = glibc_version();
	const char *slash;
	Dl_info object;

	text[0] = '\0';
	if (strcmp(options->allocator->name, "malloc") != 0)
		return;
	if (version) {
		snprintf(text, bytes, "glibc %s", version);
	} else if (dladdr((const void *)(uintptr_t)ours, &object) && object.dli_fname) {
		slash = strrchr(object.dli_fname, '/');
		snprintf(text, bytes, "%s", slash ? slash + 1 : object.dli_fname);
	}
	for (char *at = text; *at; at++)
		if ((unsigned char)*at < ' ' || (unsigned char)*at > '~' || *at == '"' || *at == '\\')
			*at = '?';
}

/* Whether the rules of glibc's malloc apply. */
static bool is_glibc(const char *provider)
{
	return strncmp(provider, "glibc ", 6) == 0;
}

/* The chunk that glibc makes of a request: one word for its header, rounded up to two words (request2size). */
static size_t glibc_chunk(size_t request)
{
	size_t word = sizeof(size_t);

	return (request + word + 2 * word - 1) & ~(2 * word - 1);
}

/* The chunk that is a mapping of its own: a further word, then whole pages (sysmalloc_mmap). */
static size_t glibc_mapped_chunk(size_t request)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (glibc_chunk(request) + sizeof(size_t) + page - 1) & ~(page - 1);
}

/* DEFAULT_MMAP_THRESHOLD_MAX: 4 MiB times the size of a long. */
#define GLIBC_THRESHOLD_MAX ((size_t)4 * 1024 * 1024 * sizeof(long))

static size_t fall_kb(uint64_t during, uint64_t after)
{
	return during > after ? (size_t)((during - after) / 1024) : 0;
}

static void print_probe(struct out *out, const struct cutoff_probe *probe)
{
	size_t rss = fall_kb(probe->during.rss_bytes, probe->after.rss_bytes);
	size_t virt = fall_kb(probe->during.virt_bytes, probe->after.virt_bytes);

	out_printf(out, "  %zu byte%s: %s; its free lowered RSS by %zu kB and VIRT by %zu kB", probe->size,
		   probe->size == 1 ? "" : "s", probe->in_heap ? "in the heap (brk)" : "in a mapping, outside the heap",
		   rss, virt);
	if (rss && virt)
		out_printf(out, probe->in_heap ? " (brk was lowered)" : " (unmapped)");
	else if (rss)
		out_printf(out, " (the pages were dropped, their addresses kept)");
	out_printf(out, "\n");
}

static void print_search(struct out *out, const struct cutoff *cutoff)
{
	if (cutoff->large_bytes) {
		char size[PRINT_SIZE_BYTES];

		print_size(cutoff->large_bytes, size);
		out_printf(out, "after freeing %s: ", size);
	} else {
		out_printf(out, "fresh: ");
	}
	if (cutoff->size == 0)
		out_printf(out, "no size up to %zu bytes gives memory back at once\n", cutoff->max_bytes);
	else if (cutoff->size == 1)
		out_printf(out, "every size gives memory back\n");
	else
		out_printf(out, "gives memory back from %zu bytes on; %zu bytes are kept\n", cutoff->size,
			   cutoff->kept.size);
	if (cutoff->kept.size)
		print_probe(out, &cutoff->kept);
	if (cutoff->size)
		print_probe(out, &cutoff->given);
}

static void print_rule_fresh(struct out *out, const struct cutoff *fresh)
{
	if (fresh->size == 0)
		out_printf(out, "No block was mapped on its own, and none at the top of the heap was large enough for "
				"its free to lower brk.\n");
	else if (fresh->given.in_heap)
		out_printf(out, "The block was at the top of the heap. Its free made the top reach trim_threshold, so "
				"brk was lowered to leave top_pad.\n");
	else
		out_printf(
			out,
			"A block is a mapping of its own, which free unmaps, where its chunk (the request plus %zu, "
			"rounded up to a multiple of %zu) is at least mmap_threshold (131072 unless set or raised) and "
			"fits neither a free chunk nor the top of the heap.\n"
			"%zu bytes make a chunk of %zu, the smallest for which both hold. The top of a fresh heap is "
			"top_pad (131072 unless set) and some kB; what fits into it comes from it, whatever "
			"mmap_threshold is.\n",
			sizeof(size_t), 2 * sizeof(size_t), fresh->size, glibc_chunk(fresh->size));
}

/* glibc, free of a mapped chunk: "if (!mp_.no_dyn_threshold && chunksize (p) > mp_.mmap_threshold && chunksize (p) <=
 * DEFAULT_MMAP_THRESHOLD_MAX) { mp_.mmap_threshold = chunksize (p); mp_.trim_threshold = 2 * mp_.mmap_threshold; }" */
static void print_rule_after(struct out *out, const struct cutoff *fresh, const struct cutoff *after)
{
	size_t chunk = glibc_mapped_chunk(after->large_bytes);

	if (after->size == fresh->size && chunk > GLIBC_THRESHOLD_MAX)
		out_printf(out,
			   "The large free moved nothing: its chunk of %zu bytes is above %zu, the most to which free "
			   "raises mmap_threshold.\n",
			   chunk, GLIBC_THRESHOLD_MAX);
	else if (after->size == fresh->size)
		out_printf(out, "The large free moved nothing: its chunk was not a mapping above mmap_threshold, or "
				"the thresholds are frozen, as they are once any of mmap_threshold, trim_threshold, "
				"top_pad or mmap_max is set.\n");
	else if (after->size && glibc_chunk(after->size) == chunk)
		out_printf(out,
			   "The large free unmapped a chunk of %zu bytes, which raised mmap_threshold to that and "
			   "trim_threshold to twice that, %zu.\n"
			   "Smaller blocks now come from the heap and stay there, as no free makes its top reach "
			   "trim_threshold.\n",
			   chunk, 2 * chunk);
	else
		out_printf(out, "The large free moved the thresholds; its own chunk is %zu bytes.\n", chunk);
}

/* What can be said of an allocator whose inside is not known. */
static const char *rule_of_others(const struct cutoff *fresh, const struct cutoff *after)
{
	if (fresh->size != after->size)
		return "The cut-off depends on what was freed before.";
	if (fresh->size == 0)
		return "No free gives memory back by itself; a delay, another thread or a call may do so later.";
	if (fresh->size == 1)
		return "Every free gives its block back, whatever its size and whatever was freed before.";
	return "The size alone decides; a large free before does not matter.";
}

static void print_text(struct out *out, const struct options *options, const struct cutoff *fresh,
		       const struct cutoff *after, const char *provider)
{
	out_printf(out, "allocator %s%s%s\n", options->allocator->name, *provider ? " of " : "", provider);
	for (size_t i = 0; i < options->nr_tunes; i++)
		out_printf(out, "mallopt(%s, %d) = %d\n", options->tunes[i].name, options->tunes[i].value,
			   options->tunes[i].result);
	out_printf(out, "\n");
	print_search(out, fresh);
	print_search(out, after);
	out_printf(out, "\nrule: ");
	if (is_glibc(provider)) {
		print_rule_fresh(out, fresh);
		print_rule_after(out, fresh, after);
	} else {
		out_printf(out, "%s\n", rule_of_others(fresh, after));
	}
}

static void print_json_probe(struct out *out, const char *key, const struct cutoff_probe *probe)
{
	if (probe->size == 0) {
		out_printf(out, ",\"%s\":null", key);
		return;
	}
	out_printf(out, ",\"%s\":{\"size\":%zu,\"in_heap\":%s", key, probe->size, probe->in_heap ? "true" : "false");
	out_printf(out, ",\"virt\":[%" PRIu64 ",%" PRIu64 ",%" PRIu64 "]", probe->before.virt_bytes,
		   probe->during.virt_bytes, probe->after.virt_bytes);
	out_printf(out, ",\"rss\":[%" PRIu64 ",%" PRIu64 ",%" PRIu64 "]}", probe->before.rss_bytes,
		   probe->during.rss_bytes, probe->after.rss_bytes);
}

static void print_json_search(struct out *out, const char *key, const struct cutoff *cutoff)
{
	out_printf(out, ",\n\"%s\":{\"large\":%zu,\"max\":%zu,\"cutoff\":", key, cutoff->large_bytes,
		   cutoff->max_bytes);
	if (cutoff->size)
		out_printf(out, "%zu", cutoff->size);
	else
		out_printf(out, "null");
	print_json_probe(out, "kept", &cutoff->kept);
	print_json_probe(out, "given_back", &cutoff->given);
	out_printf(out, "}");
}

void cutoff_print(struct out *out, const struct options *options, const struct cutoff *fresh,
		  const struct cutoff *after)
{
	char provider[128];

	find_provider(options, provider, sizeof(provider));
	if (!options->json) {
		print_text(out, options, fresh, after, provider);
		return;
	}
	out_printf(out, "{\"type\":\"cutoff\",\"version\":1,\"alloc\":\"%s\",\"provider\":%s%s%s",
		   options->allocator->name, *provider ? "\"" : "", *provider ? provider : "null",
		   *provider ? "\"" : "");
	print_json_search(out, "fresh", fresh);
	print_json_search(out, "after", after);
	out_printf(out, "}\n");
}
