/* SPDX-License-Identifier: GPL-2.0-only */
#include "report/allocators.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* Whole names, sorted as strcmp() does. */
static const char *const functions[] = {
	"PyMem_Calloc",
	"PyMem_Free",
	"PyMem_Malloc",
	"PyMem_RawCalloc",
	"PyMem_RawFree",
	"PyMem_RawMalloc",
	"PyMem_RawRealloc",
	"PyMem_Realloc",
	"PyObject_Calloc",
	"PyObject_Free",
	"PyObject_Malloc",
	"PyObject_Realloc",
	"__rdl_alloc",
	"__rdl_alloc_zeroed",
	"__rdl_dealloc",
	"__rdl_realloc",
	"__rust_alloc",
	"__rust_alloc_zeroed",
	"__rust_dealloc",
	"__rust_realloc",
	"_int_free",
	"_int_malloc",
	"_int_memalign",
	"_int_realloc",
	"aligned_alloc",
	"calloc",
	"cfree",
	"dallocx",
	"free",
	"free_aligned_sized",
	"free_sized",
	"g_aligned_alloc",
	"g_aligned_alloc0",
	"g_aligned_free",
	"g_free",
	"g_malloc",
	"g_malloc0",
	"g_malloc0_n",
	"g_malloc_n",
	"g_realloc",
	"g_realloc_n",
	"g_slice_alloc",
	"g_slice_alloc0",
	"g_slice_free1",
	"g_slice_free_chain_with_offset",
	"g_try_malloc",
	"g_try_malloc0",
	"g_try_malloc0_n",
	"g_try_malloc_n",
	"g_try_realloc",
	"g_try_realloc_n",
	"mallctl",
	"mallinfo",
	"mallinfo2",
	"malloc",
	"malloc_consolidate",
	"malloc_trim",
	"mallocx",
	"mallopt",
	"memalign",
	"munmap_chunk",
	"operator delete",
	"operator delete[]",
	"operator new",
	"operator new[]",
	"posix_memalign",
	"pvalloc",
	"rallocx",
	"realloc",
	"reallocarray",
	"runtime.growslice",
	"runtime.makeslice",
	"runtime.mallocgc",
	"runtime.newobject",
	"sdallocx",
	"sysmalloc",
	"systrim",
	"valloc",
	"xallocx",
};

/* Beginnings of names: allocators whose functions share one. */
static const char *const function_families[] = {
	"je_",
	"__je_",
	"_rjem_",
	"mi_",
	"_mi_",
	"tc_",
	"tcmalloc::",
	"_PyMem_",
	"_PyObject_Malloc",
	"_PyObject_Calloc",
	"_PyObject_Realloc",
	"_PyObject_Free",
	"_PyObject_Arena",
	"__libc_malloc",
	"__libc_calloc",
	"__libc_realloc",
	"__libc_free",
	"__libc_memalign",
	"__GI___libc_malloc",
	"__GI___libc_free",
	"alloc::alloc::",
};

/* File names of objects, each up to where a version or ".so" may follow. */
static const char *const runtime_objects[] = {
	"libc.so",     "libc-",	       "ld-linux",	     "ld-musl",	     "ld.so",	    "libc.musl",
	"libpthread",  "libstdc++.so", "libc++.so",	     "libc++abi.so", "libjemalloc", "libtcmalloc",
	"libmimalloc", "[vdso]",       "libheaptrace-alloc", "libgcc_s",
};

static const char *const templates[] = {
	"std::",   "__gnu_cxx::", "boost::container::", "alloc::", "core::", "hashbrown::", "<alloc::",
	"<core::", "<std::",
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool begins_with_one(const char *str, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!strncmp(str, list[i], strlen(list[i])))
			return true;
	}
	return false;
}

static int compare(const void *name, const void *entry)
{
	return strcmp(name, *(const char *const *)entry);
}

bool allocator_is_function(const char *symbol)
{
	if (!symbol)
		return false;
	return bsearch(symbol, functions, COUNT(functions), sizeof(functions[0]), compare) ||
	       begins_with_one(symbol, function_families, COUNT(function_families));
}

bool allocator_is_runtime(const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	return path && begins_with_one(slash ? slash + 1 : path, runtime_objects, COUNT(runtime_objects));
}

bool allocator_is_template(const char *symbol)
{
	return symbol && begins_with_one(symbol, templates, COUNT(templates));
}
