/* SPDX-License-Identifier: GPL-2.0-only */
/* A library that is loaded while the program runs, and calls back, by a frame of ROOM bytes. */
#include <stddef.h>

#ifndef ROOM
#define ROOM 16
#endif

int plugin_call(int (*function)(size_t pages), size_t pages);

int plugin_call(int (*function)(size_t pages), size_t pages)
{
	volatile char room[ROOM];

	room[ROOM - 1] = 1;
	return function(pages) + room[ROOM - 1];
}
