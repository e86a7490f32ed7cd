/* SPDX-License-Identifier: GPL-2.0-only */
/* reading: what /proc/self/status says of this process's memory, taken without changing it. */
#ifndef TARGET_READING_H
#define TARGET_READING_H

#include <stddef.h>
#include <stdint.h>

/* For a value that this kernel does not tell (RssAnon and the like came with Linux 4.5). */
#define READING_UNKNOWN UINT64_MAX

/* status has one line for groups and two for CPU and node masks that can be long before and after the Vm lines. */
#define READING_BUFFER_BYTES 16384

struct reading {
	uint64_t virt_bytes; /* VmSize */
	uint64_t rss_bytes;  /* VmRSS */
	uint64_t anon_bytes;
	uint64_t file_bytes;
	uint64_t shmem_bytes;
	uint64_t swap_bytes;
};

/* Reads the values from the @len bytes of a status file. 0, or -EBADMSG where VmSize or VmRSS is missing or a value is
 * malformed; then @out is untouched. */
int reading_parse(const char *text, size_t len, struct reading *out);

/* Replaces RSS, its anonymous part and swap in @out by those of the @len bytes of a smaps_rollup file; file and shmem are
 * unknown then, as it has them in one. 0 or -EBADMSG, @out untouched then. */
int reading_parse_rollup(const char *text, size_t len, struct reading *out);

/* A descriptor of the calling process's status file, or -errno. It names this process in children too. */
int reading_open(void);

/* One pread(2) of @fd into @buffer of READING_BUFFER_BYTES, parsed; another of smaps_rollup where reading_open has found
 * that status lags behind. 0 or -errno. */
int reading_take(int fd, char *buffer, struct reading *out);

#endif
