/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/bpf_load.h"

#include "base/procfs.h"
#include "event/memcalls.h"
#include "source/bpf_probe.h"
#include "source/bpf_types.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

extern const char bpf_object_start[], bpf_object_end[];

/* Stacks take more than rows do. To set memory up for it is a part of the start. */
#define RING_DEFAULT_BYTES     (8u << 20)
#define RING_WITH_STACKS_BYTES (16u << 20)
#define ROOM_PART	       16 /* of the ring may be sent between two looks at its fill */
#define PLACES_PART	       8  /* of its size is what the array of what is live may take */

/* libbpf's own words go nowhere: what failed is said in one line of ours. */
static int libbpf_silent(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

/* @size, doubled until @bytes have room in it. */
static uint64_t power_of_two_from(uint64_t bytes, uint64_t size)
{
	while (size < bytes && size < (1ull << 31))
		size <<= 1;
	return size;
}

static int nr_of(const char *name)
{
	const struct memcall *call = memcall_by_name(name);

	return call ? call->nr : -1;
}

static struct bpf_map *map_of(const struct bpf_object *object, const char *name)
{
	return bpf_object__find_map_by_name(object, name);
}

static void config_fill(struct wire_config *config, const struct bpf_kernel_config *wanted, uint64_t ring_bytes,
			int cpus)
{
	const struct memcall *call;

	config->ring_limit = ring_bytes / 4 * 3;
	config->room_rows = (uint32_t)(ring_bytes / ROOM_PART / sizeof(struct wire_batch) / (unsigned int)cpus);
	config->cpu_count = (uint32_t)cpus;
	config->page_shift = (uint32_t)__builtin_ctzl((unsigned long)sysconf(_SC_PAGESIZE));
	config->follow = wanted->follow;
	config->rough_times = wanted->rough_times;
	config->stacks = wanted->stacks;
	config->pid_namespace = procfs_pid_namespace();
	config->stack_seed = wanted->stack_seed;
	config->nr_write = SYS_write;
	config->nr_prctl = SYS_prctl;
	config->nr_execve = nr_of("execve");
	config->nr_execveat = nr_of("execveat");
	config->nr_mmap = nr_of("mmap");
	config->nr_munmap = nr_of("munmap");
	config->nr_brk = nr_of("brk");
	config->nr_mremap = nr_of("mremap");
	for (unsigned int i = 0; (call = memcall_at(i)); i++)
		if (call->nr >= 0 && call->nr < WIRE_SYSCALLS)
			config->memcalls[call->nr] = (uint8_t)(1 + memcall_arg_count(call));
}

/* What is asked of processes that run already is not loaded where none is attached to: each program is a part of the start. */
static int programs_leave_out(const struct bpf_object *object, const struct bpf_kernel_config *wanted)
{
	struct bpf_program *vmas = bpf_object__find_program_by_name(object, "seed_vma");

	return vmas ? bpf_program__set_autoload(vmas, wanted->attach) : -EBADMSG;
}

/* A map for stacks that are not taken has no room: what the kernel sets up for each entry is a good part of the start. */
static int maps_leave_out(const struct bpf_object *object, const struct bpf_kernel_config *wanted)
{
	static const char *const names[] = { "spaces", "sent_stacks", "known_files", "objects" };
	struct bpf_map *map;
	int err = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names) && !err && wanted->stacks == WIRE_STACKS_NONE; i++) {
		map = map_of(object, names[i]);
		if (map)
			err = bpf_map__set_max_entries(map, 1);
	}
	return err;
}

/* Sizes and switches that are known here only. Where a map is missing the object is not ours: -EBADMSG. */
static int object_configure(struct bpf_loaded *loaded, const struct bpf_kernel_config *wanted,
			    const struct bpf_types *types)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t ring_default = wanted->stacks == WIRE_STACKS_NONE ? RING_DEFAULT_BYTES : RING_WITH_STACKS_BYTES;
	uint64_t ring_bytes = power_of_two_from(wanted->ring_bytes ? wanted->ring_bytes : ring_default, page);
	struct bpf_map *switches = map_of(loaded->object, ".rodata.config"), *ring = map_of(loaded->object, "ring");
	struct bpf_map *mms = map_of(loaded->object, "mms"), *blank = map_of(loaded->object, "blank_mm");
	struct bpf_map *lives = map_of(loaded->object, "lives");
	int cpus = libbpf_num_possible_cpus();
	struct wire_config *config;
	size_t size, slots;
	int err;

	if (cpus < 0)
		return cpus;
	if (cpus > WIRE_CPUS)
		return -E2BIG;
	if (!switches || !mms || !blank || !lives || !ring)
		return -EBADMSG;
	config = (void *)bpf_map__initial_value(switches, &size);
	if (!config || size != sizeof(*config))
		return -EBADMSG;
	config_fill(config, wanted, ring_bytes, cpus);
	config->vma_iterator = bpf_types_function(types, WIRE_CALL_VMA_NEW) != 0;
	if (bpf_types_function(types, WIRE_CALL_RDONLY_CAST))
		config->word_type = bpf_types_struct(types, "timespec64");
	config->current_known = config->word_type && bpf_types_current(types, &config->current_distance);
	slots = (size_t)cpus * WIRE_MEMBERS * sizeof(int32_t);
	loaded->mm_size = bpf_map__value_size(mms) + slots;
	config->places = WIRE_MMS;
	while (config->places > 1 && config->places * (bpf_map__value_size(lives) + slots) > ring_bytes / PLACES_PART)
		config->places /= 2;
	err = bpf_map__set_value_size(mms, (uint32_t)loaded->mm_size);
	if (!err)
		err = bpf_map__set_value_size(blank, (uint32_t)loaded->mm_size);
	if (!err)
		err = bpf_map__set_value_size(lives, (uint32_t)(bpf_map__value_size(lives) + slots));
	if (!err)
		err = bpf_map__set_max_entries(lives, config->places);
	if (!err)
		err = bpf_map__set_max_entries(ring, (uint32_t)ring_bytes);
	if (!err)
		err = programs_leave_out(loaded->object, wanted);
	return err ? err : maps_leave_out(loaded->object, wanted);
}

/* Puts the numbers of the kernel's functions where the programs call them. */
static void calls_resolve(struct bpf_program *program, const struct bpf_types *types)
{
	struct bpf_insn *instruction = (struct bpf_insn *)bpf_program__insns(program);
	struct bpf_insn *end = instruction + bpf_program__insn_cnt(program);

	for (; instruction < end; instruction++) {
		uint32_t number = 0;

		if (instruction->code == (BPF_JMP | BPF_CALL) && !instruction->src_reg)
			number = bpf_types_function(types, instruction->imm);
		if (!number)
			continue;
		instruction->src_reg = BPF_PSEUDO_KFUNC_CALL;
		instruction->imm = (int32_t)number;
	}
}

/* Is called for each program that is about to be loaded. */
static int program_prepare(struct bpf_program *program, struct bpf_prog_load_opts *options, long types)
{
	uint32_t target = 0;
	int attach = bpf_types_target((const struct bpf_types *)types, program, &target);

	calls_resolve(program, (const struct bpf_types *)types);
	if (!attach)
		return 0;
	if (!target)
		return -ESRCH;
	options->expected_attach_type = (enum bpf_attach_type)attach;
	options->attach_btf_id = target;
	bpf_program__set_expected_attach_type(program, (enum bpf_attach_type)attach);
	return bpf_program__set_type(program, BPF_PROG_TYPE_TRACING);
}

/* Has libbpf leave to us what it would read the kernel's BTF for. It does as soon as it sees a program that is one of
 * tracing, so none is until it is loaded. */
static int handlers_register(struct bpf_loaded *loaded, const struct bpf_types *types)
{
	static const char *const sections[BPF_HANDLERS] = { "raw_tp/", "tp_btf/", "iter/" };
	LIBBPF_OPTS(libbpf_prog_handler_opts, options, .cookie = (long)types, .prog_prepare_load_fn = program_prepare);

	for (unsigned int i = 0; i < BPF_HANDLERS; i++) {
		int handler = libbpf_register_prog_handler(sections[i], BPF_PROG_TYPE_RAW_TRACEPOINT, 0, &options);

		if (handler < 0)
			return handler;
		loaded->handlers[loaded->handler_count++] = handler;
	}
	return 0;
}

static int object_open(struct bpf_loaded *loaded, const struct bpf_kernel_config *config, struct bpf_types *types,
		       struct diag *diag)
{
	LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = "heaptrace", .btf_custom_path = types->path);
	int err = handlers_register(loaded, types);

	if (err)
		return diag_set(diag, err, "cannot prepare libbpf: %s", strerror(-err));
	loaded->object = bpf_object__open_mem(bpf_object_start, (size_t)(bpf_object_end - bpf_object_start), &options);
	if (!loaded->object)
		return diag_set(diag, -errno, "cannot read the built-in BPF object: %s", strerror(errno));
	err = bpf_types_read(types, loaded->object);
	if (err)
		return diag_set(diag, err, "cannot read the kernel's type information: %s", strerror(-err));
	err = object_configure(loaded, config, types);
	if (err)
		return diag_set(diag, err, "cannot configure the built-in BPF object: %s", strerror(-err));
	return 0;
}

static int object_load(struct bpf_loaded *loaded, struct diag *diag)
{
	int err = bpf_object__load(loaded->object);

	if (!err)
		return 0;
	if (err == -EPERM)
		return diag_set(diag, err,
				"the kernel refuses to load BPF programs: run as root or with CAP_BPF and CAP_PERFMON, "
				"or use --source ptrace");
	if (!bpf_may_read_kernel())
		return diag_set(
			diag, -EPERM,
			"the kernel does not let BPF programs read its memory (lockdown, or a policy): boot without "
			"lockdown=confidentiality, or use --source ptrace");
	return diag_set(diag, err,
			"the kernel does not accept the BPF programs (%s): use --source ptrace, and please report the "
			"kernel's version",
			strerror(-err));
}

int bpf_load(const struct bpf_kernel_config *config, struct bpf_loaded *loaded, struct diag *diag)
{
	struct bpf_types types;
	int err = bpf_types_open(&types);

	libbpf_set_print(libbpf_silent);
	if (err)
		diag_set(diag, err, "cannot make a file in memory: %s", strerror(-err));
	else
		err = object_open(loaded, config, &types, diag);
	if (!err)
		err = object_load(loaded, diag);
	bpf_types_close(&types);
	return err;
}

void bpf_unload(struct bpf_loaded *loaded)
{
	bpf_object__close(loaded->object);
	while (loaded->handler_count)
		libbpf_unregister_prog_handler(loaded->handlers[--loaded->handler_count]);
}
