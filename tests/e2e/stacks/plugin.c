/* SPDX-License-Identifier: GPL-2.0-only */
/* A library that is loaded while the program runs, and calls back. */
#include <stddef.h>

int plugin_call(int (*function)(size_t pages), size_t pages);

int plugin_call(int (*function)(size_t pages), size_t pages)
{
	return function(pages) + 1;
}
