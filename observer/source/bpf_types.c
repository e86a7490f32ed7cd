/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/bpf_types.h"

#include "bpf/wire.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define KERNEL_TYPES "/sys/kernel/btf/vmlinux"

/* Programs that attach to a type: what the name of a section's target is preceded by in that of the type. */
struct target {
	const char *section, *prefix;
	uint32_t kind;
	enum bpf_attach_type attach;
};

static const struct target targets[] = {
	{ "tp_btf/", "btf_trace_", BTF_KIND_TYPEDEF, BPF_TRACE_RAW_TP },
	{ "iter/", "bpf_iter_", BTF_KIND_FUNC, BPF_TRACE_ITER },
};

static const char *const functions[] = {
	[WIRE_CALL_VMA_NEW - WIRE_CALL_FIRST] = "bpf_iter_task_vma_new",
	[WIRE_CALL_VMA_NEXT - WIRE_CALL_FIRST] = "bpf_iter_task_vma_next",
	[WIRE_CALL_VMA_DESTROY - WIRE_CALL_FIRST] = "bpf_iter_task_vma_destroy",
	[WIRE_CALL_RDONLY_CAST - WIRE_CALL_FIRST] = "bpf_rdonly_cast",
};

/* Variables of each CPU. From 6.2 to 6.14 the second one has the pointer to the current task at its beginning. */
static const char *const variables[] = { "current_task", "pcpu_hot", "runqueues" };

#define FUNCTION_COUNT (sizeof(functions) / sizeof(*functions))

/* What the program in @section attaches to, with the name of the type in @name; NULL where it needs none. */
static const struct target *target_of(const char *section, char name[64])
{
	for (size_t i = 0; i < sizeof(targets) / sizeof(*targets); i++) {
		const struct target *target = &targets[i];
		size_t len = strlen(target->section);

		if (strncmp(section, target->section, len) != 0)
			continue;
		snprintf(name, 64, "%s%s", target->prefix, section + len);
		return target;
	}
	return NULL;
}

int bpf_types_open(struct bpf_types *types)
{
	*types = (struct bpf_types){ .fd = memfd_create("heaptrace-types", MFD_CLOEXEC) };
	if (types->fd < 0)
		return -errno;
	snprintf(types->path, sizeof(types->path), "/proc/self/fd/%d", types->fd);
	return 0;
}

/* A type "name___variant" stands for the kernel's type "name" as some version has it. */
static size_t name_length(const char *name)
{
	const char *variant = strstr(name, "___");

	return variant ? (size_t)(variant - name) : strlen(name);
}

static int types_want(struct btf_wants *wants, const struct bpf_object *object)
{
	const struct btf *btf = bpf_object__btf(object);
	struct bpf_program *program;
	char name[64];
	int err = 0;

	for (uint32_t i = 1; i < btf__type_cnt(btf) && !err; i++) {
		const struct btf_type *type = btf__type_by_id(btf, i);
		const char *local = btf__name_by_offset(btf, type->name_off);
		uint32_t kind = btf_kind(type);

		if (local && *local && (kind == BTF_KIND_STRUCT || kind == BTF_KIND_UNION || kind == BTF_KIND_TYPEDEF))
			err = btf_want(wants, kind, local, name_length(local));
	}
	bpf_object__for_each_program(program, object)
	{
		const struct target *target = target_of(bpf_program__section_name(program), name);

		if (target && !err)
			err = btf_want(wants, target->kind, name, strlen(name));
	}
	for (size_t i = 0; i < FUNCTION_COUNT && !err; i++)
		err = btf_want(wants, BTF_KIND_FUNC, functions[i], strlen(functions[i]));
	for (size_t i = 0; i < sizeof(variables) / sizeof(*variables) && !err; i++)
		err = btf_want(wants, BTF_KIND_VAR, variables[i], strlen(variables[i]));
	return err;
}

/* Newer kernels map the file; from older ones it has to be copied. */
static void *types_copy(int fd, size_t size)
{
	char *data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	size_t done = 0;

	while (data != MAP_FAILED && done < size) {
		ssize_t got = read(fd, data + done, size - done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got > 0) {
			done += (size_t)got;
			continue;
		}
		munmap(data, size);
		errno = got ? errno : EBADMSG;
		return MAP_FAILED;
	}
	return data;
}

static int types_cut(struct btf_wants *wants, struct buf *out)
{
	int fd = open(KERNEL_TYPES, O_RDONLY | O_CLOEXEC), err = 0;
	struct stat stat;
	size_t size;
	void *data;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &stat)) {
		err = -errno;
		goto out;
	}
	size = (size_t)stat.st_size;
	data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		data = types_copy(fd, size);
	if (data == MAP_FAILED) {
		err = -errno;
		goto out;
	}
	err = btf_cut(wants, data, size, out);
	munmap(data, size);
out:
	close(fd);
	return err;
}

int bpf_types_read(struct bpf_types *types, const struct bpf_object *object)
{
	struct buf cut = { 0 };
	int err = types_want(&types->wants, object);

	if (!err)
		err = types_cut(&types->wants, &cut);
	if (!err && write(types->fd, cut.data, cut.len) != (ssize_t)cut.len)
		err = errno ? -errno : -EIO;
	buf_free(&cut);
	return err;
}

int bpf_types_target(const struct bpf_types *types, const struct bpf_program *program, uint32_t *ret_number)
{
	char name[64];
	const struct target *target = target_of(bpf_program__section_name(program), name);

	if (!target)
		return 0;
	*ret_number = btf_wanted(&types->wants, target->kind, name);
	return target->attach;
}

uint32_t bpf_types_function(const struct bpf_types *types, int32_t call)
{
	int32_t i = call - WIRE_CALL_FIRST;

	return i < 0 || i >= (int32_t)FUNCTION_COUNT ? 0 : btf_wanted(&types->wants, BTF_KIND_FUNC, functions[i]);
}

uint32_t bpf_types_struct(const struct bpf_types *types, const char *name)
{
	return btf_wanted(&types->wants, BTF_KIND_STRUCT, name);
}

bool bpf_types_current(const struct bpf_types *types, int64_t *ret_distance)
{
	uint32_t current, queue;

	if (!btf_wanted_offset(&types->wants, "current_task", &current) &&
	    !btf_wanted_offset(&types->wants, "pcpu_hot", &current))
		return false;
	if (!btf_wanted_offset(&types->wants, "runqueues", &queue))
		return false;
	*ret_distance = (int64_t)current - (int64_t)queue;
	return true;
}

void bpf_types_close(struct bpf_types *types)
{
	btf_wants_free(&types->wants);
	if (types->fd >= 0)
		close(types->fd);
}
