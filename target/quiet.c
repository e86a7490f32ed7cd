/* SPDX-License-Identifier: GPL-2.0-only */
#include "quiet.h"

#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* Linux 5.14; missing from older headers. */
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

/* More than any call from here on needs: the deepest is a page fault inside vsnprintf. */
#define STACK_BYTES ((size_t)64 * 1024)

/* A segment whose zero-filled part is larger than this is somebody's static heap, not data. */
#define BSS_MAX_BYTES ((size_t)4 * 1024 * 1024)

static void touch_range(uintptr_t start, uintptr_t end, size_t page_bytes, int advice)
{
	if (start >= end || madvise((void *)start, end - start, advice) == 0)
		return;
	/* An older kernel. The or with 0 makes the page writable-resident and loses nothing, whoever else writes. */
	for (uintptr_t at = start; at < end; at += page_bytes) {
		if (advice == MADV_POPULATE_WRITE)
			__atomic_fetch_or((unsigned char *)at, 0, __ATOMIC_RELAXED);
		else
			(void)*(volatile unsigned char *)at;
	}
}

/* The end of the pages that the loader has made read-only after relocation: writing there would be fatal. */
static uintptr_t relro_end(const struct dl_phdr_info *object, uintptr_t page_mask)
{
	for (int i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *header = &object->dlpi_phdr[i];

		if (header->p_type == PT_GNU_RELRO)
			return (object->dlpi_addr + header->p_vaddr + header->p_memsz) & page_mask;
	}
	return 0;
}

static int quiet_object(struct dl_phdr_info *object, size_t size, void *ctx)
{
	size_t page_bytes = *(size_t *)ctx;
	uintptr_t mask = ~(uintptr_t)(page_bytes - 1);
	uintptr_t relro = relro_end(object, mask);

	(void)size;
	for (int i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *header = &object->dlpi_phdr[i];
		uintptr_t start = object->dlpi_addr + header->p_vaddr;
		size_t bytes = header->p_memsz;

		if (header->p_type != PT_LOAD || !(header->p_flags & PF_R))
			continue;
		if (bytes - header->p_filesz > BSS_MAX_BYTES)
			bytes = header->p_filesz;
		touch_range(start & mask, (start + bytes + page_bytes - 1) & mask, page_bytes, MADV_POPULATE_READ);
		if (header->p_flags & PF_W)
			touch_range(start < relro ? relro : start & mask, (start + bytes + page_bytes - 1) & mask,
				    page_bytes, MADV_POPULATE_WRITE);
	}
	return 0;
}

void quiet_objects(void)
{
	size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);

	dl_iterate_phdr(quiet_object, &page_bytes);
}

__attribute__((noinline)) void quiet_stack(void)
{
	volatile unsigned char below[STACK_BYTES];

	for (size_t i = 0; i < sizeof(below); i += 512)
		below[i] = 0;
	__asm__ volatile("" : : "r"(below) : "memory");
}
