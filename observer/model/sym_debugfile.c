/* SPDX-License-Identifier: GPL-2.0-only */
#include "model/sym_debugfile.h"

#include "model/sym_debuginfod.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <lzma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CRC_FILE_MAX  ((off_t)4 << 30)
#define UNPACK_MEMORY ((uint64_t)64 << 20)

static int open_regular(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd >= 0 && (fstat(fd, &st) || !S_ISREG(st.st_mode))) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool crc_agrees(int fd, uint32_t crc)
{
	unsigned char chunk[65536];
	off_t at = 0;
	uint32_t sum = 0;
	ssize_t got;

	while (at < CRC_FILE_MAX && (got = pread(fd, chunk, sizeof(chunk), at)) > 0) {
		sum = lzma_crc32(chunk, (size_t)got, sum);
		at += got;
	}
	return sum == crc;
}

/* Takes @fd. @crc NULL: only the build-id counts. */
static bool accept_file(const struct sym_elf *elf, int fd, const uint32_t *crc, struct sym_elf *out)
{
	struct sym_elf debug;
	bool good = false;

	if (fd < 0 || sym_elf_open(fd, &debug))
		return false;
	if (elf->build_id_len && debug.build_id_len)
		good = elf->build_id_len == debug.build_id_len &&
		       !memcmp(elf->build_id, debug.build_id, elf->build_id_len);
	else if (crc)
		good = crc_agrees(fd, *crc);
	if (!good) {
		sym_elf_close(&debug);
		return false;
	}
	*out = debug;
	return true;
}

static bool by_build_id(const struct sym_elf *elf, const char *root, struct sym_elf *out)
{
	char hex[2 * SYM_BUILD_ID_MAX + 1], path[PATH_MAX];

	if (elf->build_id_len < 2)
		return false;
	for (unsigned int i = 0; i < elf->build_id_len; i++)
		snprintf(hex + (size_t)2 * i, 3, "%02x", elf->build_id[i]);
	if (snprintf(path, sizeof(path), "%s/.build-id/%.2s/%s.debug", root, hex, hex + 2) >= PATH_MAX)
		return false;
	return accept_file(elf, open_regular(path), NULL, out);
}

static bool by_debuglink(const struct sym_elf *elf, const char *root, const char *object, struct sym_elf *out)
{
	/* Before and behind the directory of the object. */
	const char *const places[][2] = { { "", "/.debug/" }, { "", "/" }, { root, "/" } };
	const char *name, *slash = object ? strrchr(object, '/') : NULL;
	char path[PATH_MAX];
	uint32_t crc;

	if (!slash || slash - object > PATH_MAX / 2 || !sym_elf_debuglink(elf, &name, &crc))
		return false;
	for (unsigned int i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		int len = snprintf(path, sizeof(path), "%s%.*s%s%s", places[i][0], (int)(slash - object), object,
				   places[i][1], name);

		if (len > 0 && (size_t)len < sizeof(path) && strcmp(path, object) != 0 &&
		    accept_file(elf, open_regular(path), &crc, out))
			return true;
	}
	return false;
}

bool sym_debugfile_open(const struct sym_elf *elf, const char *root, const char *path, struct sym_elf *out)
{
	if (by_build_id(elf, root, out) || by_debuglink(elf, root, path, out))
		return true;
	return accept_file(elf, sym_debuginfod_find(elf->build_id, elf->build_id_len), NULL, out);
}

/* Unpacks @len bytes at @packed. NULL where they are no xz stream, or one that is too large. */
static unsigned char *unpack(const void *packed, size_t len, size_t *ret_len)
{
	lzma_stream stream = LZMA_STREAM_INIT;
	size_t size = len < SYM_MINIDEBUG_MAX / 8 ? len * 4 + 4096 : SYM_MINIDEBUG_MAX;
	unsigned char *out = malloc(size), *more;
	lzma_ret ret = out ? lzma_stream_decoder(&stream, UNPACK_MEMORY, 0) : LZMA_MEM_ERROR;

	stream.next_in = packed;
	stream.avail_in = len;
	stream.next_out = out;
	stream.avail_out = size;
	while (ret == LZMA_OK) {
		ret = lzma_code(&stream, LZMA_FINISH);
		if (ret != LZMA_OK || stream.avail_out)
			continue;
		more = size < SYM_MINIDEBUG_MAX ? realloc(out, size * 2) : NULL;
		if (!more) {
			ret = LZMA_MEM_ERROR;
			break;
		}
		out = more;
		stream.next_out = out + size;
		stream.avail_out = size;
		size *= 2;
	}
	*ret_len = (size_t)stream.total_out;
	lzma_end(&stream);
	if (ret == LZMA_STREAM_END)
		return out;
	free(out);
	return NULL;
}

bool sym_minidebug_open(const struct sym_elf *elf, Elf **ret_elf, void **ret_image)
{
	GElf_Shdr shdr;
	Elf_Scn *scn = sym_elf_section(elf->elf, ".gnu_debugdata", &shdr);
	Elf_Data *data = scn ? sym_elf_data(scn, &shdr) : NULL;
	unsigned char *image;
	size_t len;
	Elf *mini;

	if (!data || !data->d_buf || data->d_size > SYM_MINIDEBUG_MAX)
		return false;
	image = unpack(data->d_buf, data->d_size, &len);
	mini = image ? elf_memory((char *)image, len) : NULL;
	if (!mini || elf_kind(mini) != ELF_K_ELF) {
		if (mini)
			elf_end(mini);
		free(image);
		return false;
	}
	*ret_elf = mini;
	*ret_image = image;
	return true;
}
