/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/bpf_kernel.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

struct bpf_kernel_side {
	struct bpf_loaded loaded;
	struct bpf_link **links;
	unsigned int link_count, link_room;
	struct bpf_link *exit_link; /* stays when the others go */
	volatile struct wire_shared *shared;
};

/* Tracepoints that a kernel may lack, at the cost of what only they tell apart. All others are required. */
static const char *const optional_tracepoints[] = { "mm_vmscan_direct_reclaim_begin", "mm_vmscan_direct_reclaim_end",
						    "mm_vmscan_memcg_reclaim_begin", "mm_vmscan_memcg_reclaim_end" };

static size_t shared_bytes(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (sizeof(struct wire_shared) + page - 1) / page * page;
}

static int shared_map(struct bpf_kernel_side *side)
{
	struct bpf_map *map = bpf_object__find_map_by_name(side->loaded.object, ".data.shared");
	void *memory;

	if (!map || bpf_map__value_size(map) != sizeof(struct wire_shared))
		return -EBADMSG;
	memory = mmap(NULL, shared_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
	if (memory == MAP_FAILED)
		return -errno;
	side->shared = memory;
	return 0;
}

static int percpu_find(const struct bpf_kernel_side *side)
{
	struct bpf_program *program = bpf_object__find_program_by_name(side->loaded.object, "percpu_find");
	LIBBPF_OPTS(bpf_test_run_opts, options);
	int err;

	if (!program)
		return -EBADMSG;
	err = bpf_prog_test_run_opts(bpf_program__fd(program), &options);
	if (err)
		return err;
	return options.retval ? -EFAULT : 0;
}

int bpf_kernel_load(const struct bpf_kernel_config *config, struct bpf_kernel_side **ret_side, struct diag *diag)
{
	struct bpf_kernel_side *side = calloc(1, sizeof(*side));
	int err;

	if (!side)
		return diag_set(diag, -ENOMEM, "out of memory");
	err = bpf_load(config, &side->loaded, diag);
	if (err)
		goto out;
	err = shared_map(side);
	if (err) {
		diag_set(diag, err, "cannot share memory with the BPF programs: %s", strerror(-err));
		goto out;
	}
	err = percpu_find(side);
	if (err) {
		diag_set(diag, err, "cannot find the kernel's per-CPU areas: %s", strerror(-err));
		goto out;
	}
	*ret_side = side;
	side = NULL;
out:
	bpf_kernel_free(side);
	return err;
}

static bool is_optional(const char *tracepoint)
{
	for (size_t i = 0; i < sizeof(optional_tracepoints) / sizeof(*optional_tracepoints); i++)
		if (!strcmp(tracepoint, optional_tracepoints[i]))
			return true;
	return false;
}

/* Keeps @link. -ENOMEM where there is no room; it is destroyed then. */
static int link_keep(struct bpf_kernel_side *side, struct bpf_link *link)
{
	if (side->link_count == side->link_room) {
		unsigned int room = side->link_room ? side->link_room * 2 : 32;
		struct bpf_link **links = reallocarray(side->links, room, sizeof(struct bpf_link *));

		if (!links) {
			bpf_link__destroy(link);
			return -ENOMEM;
		}
		side->links = links;
		side->link_room = room;
	}
	side->links[side->link_count++] = link;
	return 0;
}

/* Whether this kernel needs a program there: see bpf/calls.bpf.h. */
static bool is_wanted(const struct bpf_kernel_side *side, const char *program)
{
	bool announced = (side->shared->found & WIRE_FOUND_ANNOUNCED) != 0;

	if (!strcmp(program, "on_sys_enter"))
		return announced;
	return !announced || strcmp(program, "on_pause") != 0;
}

static int tracepoint_attach(struct bpf_kernel_side *side, const struct bpf_program *program, const char *tracepoint,
			     struct diag *diag)
{
	bool raw = bpf_program__type(program) == BPF_PROG_TYPE_RAW_TRACEPOINT;
	struct bpf_link *link =
		raw ? bpf_program__attach_raw_tracepoint(program, tracepoint) : bpf_program__attach_trace(program);

	if (!link && errno == ENOENT && is_optional(tracepoint))
		return 0;
	if (!link)
		return diag_set(diag, -errno, "cannot attach to the tracepoint %s: %s: use --source ptrace", tracepoint,
				strerror(errno));
	if (!strcmp(tracepoint, "sched_process_exit")) {
		side->exit_link = link;
		return 0;
	}
	return link_keep(side, link) ? diag_set(diag, -ENOMEM, "out of memory") : 0;
}

/* Attaches @program to each of the tracepoints that its section names: raw_tp/NAME+NAME, tp_btf/NAME. */
static int tracepoints_attach(struct bpf_kernel_side *side, const struct bpf_program *program, struct diag *diag)
{
	const char *at = strchr(bpf_program__section_name(program), '/') + 1;
	char name[64];
	int err = 0;

	for (size_t len; !err && *at && is_wanted(side, bpf_program__name(program)); at += len + (at[len] == '+')) {
		len = strcspn(at, "+");
		snprintf(name, sizeof(name), "%.*s", (int)len, at);
		err = tracepoint_attach(side, program, name, diag);
	}
	return err;
}

/* Has @program run at each page fault of any process, on each CPU: where there are no tracepoints for it. */
static int faults_attach(struct bpf_kernel_side *side, const struct bpf_program *program, struct diag *diag)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE,
					.size = sizeof(attr),
					.config = PERF_COUNT_SW_PAGE_FAULTS,
					.sample_period = 1 };
	int cpus = libbpf_num_possible_cpus();

	for (int cpu = 0; cpu < cpus; cpu++) {
		struct bpf_link *link;
		int fd = (int)syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);

		if (fd < 0 && errno == ENODEV)
			continue; /* it is not there now */
		if (fd < 0)
			return diag_set(diag, -errno, "cannot count page faults on CPU %d: %s: use --source ptrace",
					cpu, strerror(errno));
		link = bpf_program__attach_perf_event(program, fd);
		if (!link) {
			close(fd);
			return diag_set(diag, -errno, "cannot attach to page faults: %s: use --source ptrace",
					strerror(errno));
		}
		if (link_keep(side, link))
			return diag_set(diag, -ENOMEM, "out of memory");
	}
	return 0;
}

static int program_attach(struct bpf_kernel_side *side, const struct bpf_program *program, struct diag *diag)
{
	if (!bpf_program__autoload(program))
		return 0;
	switch ((int)bpf_program__type(program)) {
	case BPF_PROG_TYPE_RAW_TRACEPOINT:
		return tracepoints_attach(side, program, diag);
	case BPF_PROG_TYPE_PERF_EVENT:
		return faults_attach(side, program, diag);
	case BPF_PROG_TYPE_TRACING:
		if (bpf_program__expected_attach_type(program) == BPF_TRACE_RAW_TP)
			return tracepoints_attach(side, program, diag);
	}
	return 0; /* it is run when it is asked to */
}

int bpf_kernel_attach(struct bpf_kernel_side *side, struct diag *diag)
{
	struct bpf_program *program;
	int err = 0;

	bpf_object__for_each_program(program, side->loaded.object)
	{
		if (!err)
			err = program_attach(side, program, diag);
	}
	return err;
}

void bpf_kernel_detach(struct bpf_kernel_side *side)
{
	/* All stop at once; then they are taken away one by one. */
	side->shared->stopped = 1;
	while (side->link_count)
		bpf_link__destroy(side->links[--side->link_count]);
	/* Tracepoint programs run with preemption off: a grace period later none of them is still running. */
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		usleep(100000);
}

static int iterate(const struct bpf_kernel_side *side, const char *name, union bpf_iter_link_info *info)
{
	struct bpf_program *program = bpf_object__find_program_by_name(side->loaded.object, name);
	LIBBPF_OPTS(bpf_iter_attach_opts, options, .link_info = info, .link_info_len = sizeof(*info));
	struct bpf_link *link;
	char none[64];
	ssize_t got;
	int fd, err = 0;

	if (!program)
		return -EBADMSG;
	link = bpf_program__attach_iter(program, &options);
	if (!link)
		return -errno;
	fd = bpf_iter_create(bpf_link__fd(link));
	if (fd < 0) {
		err = fd;
		goto out;
	}
	do
		got = read(fd, none, sizeof(none));
	while (got > 0 || (got < 0 && (errno == EINTR || errno == EAGAIN)));
	if (got < 0)
		err = -errno;
	close(fd);
out:
	bpf_link__destroy(link);
	return err;
}

int bpf_kernel_seed(struct bpf_kernel_side *side, enum wire_seed mode, pid_t tgid, pid_t tid)
{
	union bpf_iter_link_info info = { 0 };

	if (tid)
		info.task.tid = (uint32_t)tid;
	else
		info.task.pid = (uint32_t)tgid;
	side->shared->seed_mode = mode;
	side->shared->seed_errors = 0;
	return iterate(side, "seed_task", &info);
}

int bpf_kernel_seed_vmas(struct bpf_kernel_side *side, pid_t tgid)
{
	union bpf_iter_link_info info = { 0 };

	info.task.tid = (uint32_t)tgid;
	return iterate(side, "seed_vma", &info);
}

int bpf_kernel_map_fd(const struct bpf_kernel_side *side, const char *name)
{
	struct bpf_map *map = bpf_object__find_map_by_name(side->loaded.object, name);

	return map ? bpf_map__fd(map) : -ENOENT;
}

size_t bpf_kernel_mm_size(const struct bpf_kernel_side *side)
{
	return side->loaded.mm_size;
}

volatile struct wire_shared *bpf_kernel_shared(const struct bpf_kernel_side *side)
{
	return side->shared;
}

void bpf_kernel_free(struct bpf_kernel_side *side)
{
	if (!side)
		return;
	while (side->link_count)
		bpf_link__destroy(side->links[--side->link_count]);
	if (side->shared)
		munmap((void *)side->shared, shared_bytes());
	bpf_unload(&side->loaded);
	bpf_link__destroy(side->exit_link);
	free(side->links);
	free(side);
}
