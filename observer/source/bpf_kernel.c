/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/bpf_kernel.h"

#include "base/procfs.h"
#include "event/memcalls.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

extern const char bpf_object_start[], bpf_object_end[];

#define RING_DEFAULT_BYTES (16u << 20)
#define ROOM_PART	   16 /* of the ring may be sent between two looks at its fill */

struct bpf_kernel_side {
	struct bpf_object *object;
	struct bpf_link **links;
	unsigned int link_count, link_room;
	size_t mm_size;
	volatile struct wire_shared *shared;
};

/* Tracepoints that a kernel may lack, at the cost of what only they tell apart. All others are required. */
static const char *const optional_tracepoints[] = { "mm_vmscan_direct_reclaim_begin", "mm_vmscan_direct_reclaim_end",
						    "mm_vmscan_memcg_reclaim_begin", "mm_vmscan_memcg_reclaim_end" };

/* libbpf's own words go nowhere: what failed is said in one line of ours. */
static int libbpf_silent(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

/* Whether a capability is in force; CAP_SYS_ADMIN stands for both that bpf(2) asks for. */
static bool has_capability(cap_value_t wanted)
{
	cap_t now = cap_get_proc();
	cap_flag_value_t has = CAP_CLEAR, all = CAP_CLEAR;

	if (!now)
		return true; /* bpf(2) will say */
	cap_get_flag(now, wanted, CAP_EFFECTIVE, &has);
	cap_get_flag(now, CAP_SYS_ADMIN, CAP_EFFECTIVE, &all);
	cap_free(now);
	return has == CAP_SET || all == CAP_SET;
}

int bpf_kernel_probe(struct diag *diag)
{
	union bpf_attr attr = { 0 };
	long fd;

	if (access("/sys/kernel/btf/vmlinux", R_OK))
		return diag_set(diag, -ENOTSUP,
				"the kernel offers no type information (/sys/kernel/btf/vmlinux): boot one built with "
				"CONFIG_DEBUG_INFO_BTF, or use --source ptrace");
	attr.map_type = BPF_MAP_TYPE_RINGBUF;
	attr.max_entries = (unsigned int)sysconf(_SC_PAGESIZE);
	fd = syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));
	if (fd >= 0) {
		close((int)fd);
		if (has_capability(CAP_PERFMON))
			return 0;
		return diag_set(
			diag, -EPERM,
			"eBPF needs root or the capabilities CAP_BPF and CAP_PERFMON, and CAP_PERFMON is missing: "
			"run it with sudo, or use --source ptrace");
	}
	if (errno == EPERM)
		return diag_set(
			diag, -EPERM,
			!has_capability(CAP_BPF)
				? "eBPF needs root or the capabilities CAP_BPF and CAP_PERFMON, and CAP_BPF is missing: run "
				  "it with sudo, or use --source ptrace"
				: "bpf(2) is refused in spite of CAP_BPF (a container's seccomp profile, or kernel "
				  "lockdown): run it on the host, or use --source ptrace");
	if (errno == EINVAL)
		return diag_set(diag, -ENOTSUP,
				"the kernel has no BPF ring buffer (Linux 5.8 brought it): use --source ptrace");
	if (errno == ENOSYS)
		return diag_set(diag, -ENOTSUP, "the kernel has no bpf(2): use --source ptrace");
	return diag_set(diag, -errno, "bpf(2) fails: %s: use --source ptrace", strerror(errno));
}

/* @size, doubled until @bytes have room in it. */
static uint64_t power_of_two_from(uint64_t bytes, uint64_t size)
{
	while (size < bytes && size < (1ull << 31))
		size <<= 1;
	return size;
}

static struct bpf_map *map_of(const struct bpf_kernel_side *side, const char *name)
{
	return bpf_object__find_map_by_name(side->object, name);
}

static int nr_of(const char *name)
{
	const struct memcall *call = memcall_by_name(name);

	return call ? call->nr : -1;
}

static void config_fill(struct wire_config *config, const struct bpf_kernel_config *wanted, uint64_t ring_bytes,
			int cpus)
{
	const struct memcall *call;

	config->ring_limit = ring_bytes / 4 * 3;
	config->room_rows = (uint32_t)(ring_bytes / ROOM_PART / sizeof(struct wire_change) / (unsigned int)cpus);
	config->cpu_count = (uint32_t)cpus;
	config->page_shift = (uint32_t)__builtin_ctzl((unsigned long)sysconf(_SC_PAGESIZE));
	config->follow = wanted->follow;
	config->stacks = wanted->stacks;
	config->pid_namespace = procfs_pid_namespace();
	config->stack_seed = wanted->stack_seed;
	config->nr_write = SYS_write;
	config->nr_execve = nr_of("execve");
	config->nr_execveat = nr_of("execveat");
	config->nr_mmap = nr_of("mmap");
	config->nr_munmap = nr_of("munmap");
	config->nr_brk = nr_of("brk");
	config->nr_mremap = nr_of("mremap");
	for (unsigned int i = 0; (call = memcall_at(i)); i++)
		if (call->nr >= 0 && call->nr < WIRE_SYSCALLS)
			config->memcalls[call->nr] = 1;
}

/* A map for stacks that are not taken has no room: what the kernel sets up for each entry is a good part of the start. */
static int maps_leave_out(struct bpf_kernel_side *side, const struct bpf_kernel_config *wanted)
{
	static const char *const names[] = { "spaces", "sent_stacks", "known_files", "objects" };
	struct bpf_map *map;
	int err = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names) && !err && wanted->stacks == WIRE_STACKS_NONE; i++) {
		map = map_of(side, names[i]);
		if (map)
			err = bpf_map__set_max_entries(map, 1);
	}
	return err;
}

/* Sizes that are known here only. Where a map is missing the object is not ours: -EBADMSG. */
static int maps_configure(struct bpf_kernel_side *side, const struct bpf_kernel_config *wanted)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t ring_bytes = power_of_two_from(wanted->ring_bytes ? wanted->ring_bytes : RING_DEFAULT_BYTES, page);
	struct bpf_map *config = map_of(side, ".rodata.config");
	struct bpf_map *mms = map_of(side, "mms"), *blank = map_of(side, "blank_mm"), *ring = map_of(side, "ring");
	int cpus = libbpf_num_possible_cpus();
	size_t size;
	void *initial;
	int err;

	if (cpus < 0)
		return cpus;
	if (cpus > WIRE_CPUS)
		return -E2BIG;
	if (!config || !mms || !blank || !ring)
		return -EBADMSG;
	initial = (void *)bpf_map__initial_value(config, &size);
	if (!initial || size != sizeof(struct wire_config))
		return -EBADMSG;
	config_fill(initial, wanted, ring_bytes, cpus);
	side->mm_size = bpf_map__value_size(mms) + (size_t)cpus * WIRE_MEMBERS * sizeof(int32_t);
	err = bpf_map__set_value_size(mms, (uint32_t)side->mm_size);
	if (!err)
		err = bpf_map__set_value_size(blank, (uint32_t)side->mm_size);
	if (!err)
		err = bpf_map__set_max_entries(ring, (uint32_t)ring_bytes);
	return err ? err : maps_leave_out(side, wanted);
}

/* Whether programs may read the kernel's memory; lockdown takes that from them and leaves them everything else. */
static bool may_read_kernel(void)
{
	const struct bpf_insn program[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_1, .src_reg = BPF_REG_10 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_1, .imm = -8 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_2, .imm = 8 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = 0 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_probe_read_kernel },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_RAW_TRACEPOINT, "may_read", "GPL", program,
			       sizeof(program) / sizeof(*program), NULL);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

static int object_open(const struct bpf_kernel_config *config, struct bpf_kernel_side *side, struct diag *diag)
{
	LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = "heaptrace");
	int err;

	side->object = bpf_object__open_mem(bpf_object_start, (size_t)(bpf_object_end - bpf_object_start), &options);
	if (!side->object)
		return diag_set(diag, -errno, "cannot read the built-in BPF object: %s", strerror(errno));
	err = maps_configure(side, config);
	if (err)
		return diag_set(diag, err, "cannot configure the built-in BPF object: %s", strerror(-err));
	return 0;
}

static int object_load(const struct bpf_kernel_config *config, struct bpf_kernel_side *side, struct diag *diag)
{
	int err = object_open(config, side, diag);

	if (err)
		return err;
	err = bpf_object__load(side->object);
	if (!err)
		return 0;
	if (err == -EPERM)
		return diag_set(diag, err,
				"the kernel refuses to load BPF programs: run as root or with CAP_BPF and CAP_PERFMON, "
				"or use --source ptrace");
	if (!may_read_kernel())
		return diag_set(
			diag, -EPERM,
			"the kernel does not let BPF programs read its memory (lockdown, or a policy): boot without "
			"lockdown=confidentiality, or use --source ptrace");
	return diag_set(diag, err,
			"the kernel does not accept the BPF programs (%s): use --source ptrace, and please report the "
			"kernel's version",
			strerror(-err));
}

static size_t shared_bytes(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (sizeof(struct wire_shared) + page - 1) / page * page;
}

static int shared_map(struct bpf_kernel_side *side)
{
	struct bpf_map *map = map_of(side, ".data.shared");
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
	struct bpf_program *program = bpf_object__find_program_by_name(side->object, "percpu_find");
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
	libbpf_set_print(libbpf_silent);
	err = object_load(config, side, diag);
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

/* The tracepoint that @program is for; NULL where it is for none. */
static const char *tracepoint_of(const struct bpf_program *program)
{
	static const char *const sections[] = { "tp_btf/", "raw_tp/" };
	const char *section = bpf_program__section_name(program);

	for (size_t i = 0; i < sizeof(sections) / sizeof(*sections); i++)
		if (!strncmp(section, sections[i], strlen(sections[i])))
			return section + strlen(sections[i]);
	return NULL;
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

static int tracepoint_attach(struct bpf_kernel_side *side, const struct bpf_program *program, const char *tracepoint,
			     struct diag *diag)
{
	struct bpf_link *link = bpf_program__attach(program);

	if (!link && errno == ENOENT && is_optional(tracepoint))
		return 0;
	if (!link)
		return diag_set(diag, -errno, "cannot attach to the tracepoint %s: %s: use --source ptrace", tracepoint,
				strerror(errno));
	return link_keep(side, link) ? diag_set(diag, -ENOMEM, "out of memory") : 0;
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

int bpf_kernel_attach(struct bpf_kernel_side *side, struct diag *diag)
{
	struct bpf_program *program;

	bpf_object__for_each_program(program, side->object)
	{
		const char *tracepoint = tracepoint_of(program);
		int err = 0;

		if (tracepoint)
			err = tracepoint_attach(side, program, tracepoint, diag);
		else if (bpf_program__type(program) == BPF_PROG_TYPE_PERF_EVENT)
			err = faults_attach(side, program, diag);
		if (err)
			return err;
	}
	return 0;
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
	struct bpf_program *program = bpf_object__find_program_by_name(side->object, name);
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
	struct bpf_map *map = map_of(side, name);

	return map ? bpf_map__fd(map) : -ENOENT;
}

size_t bpf_kernel_mm_size(const struct bpf_kernel_side *side)
{
	return side->mm_size;
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
	bpf_object__close(side->object);
	free(side->links);
	free(side);
}
