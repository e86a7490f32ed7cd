/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/perf_stacks.h"

#include "source/perf_ring.h"
#include "source/unwind_arch.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SAMPLE (PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_ADDR | PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER)

#define RING_BYTES_MAX (512u << 10)
#define RING_BYTES_MIN (32u << 10)
#define RECORD_MAX     (PERF_STACK_BYTES + 1024u)

struct perf_stacks {
	int cpu_count;
	uint64_t ring_bytes; /* as small as it had to be so far */
	int *fds;
	size_t fd_count, fd_cap;
	_Alignas(8) char record[RECORD_MAX];
	struct perf_ring rings[];
};

/* What is before the registers. */
struct head {
	struct perf_event_header header;
	uint32_t pid, tid;
	uint64_t time, addr, abi;
};

struct perf_stacks *perf_stacks_new(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_CONF);
	size_t count = cpus > 0 ? (size_t)cpus : 1;
	const struct unwind_arch *arch = unwind_arch_host();
	struct perf_stacks *stacks = arch ? calloc(1, sizeof(*stacks) + count * sizeof(stacks->rings[0])) : NULL;

	if (!stacks)
		return NULL;
	stacks->cpu_count = (int)count;
	stacks->ring_bytes = RING_BYTES_MAX;
	return stacks;
}

void perf_stacks_free(struct perf_stacks *stacks)
{
	if (!stacks)
		return;
	for (int cpu = 0; cpu < stacks->cpu_count; cpu++)
		perf_ring_unmap(&stacks->rings[cpu]);
	for (size_t i = 0; i < stacks->fd_count; i++)
		close(stacks->fds[i]);
	free(stacks->fds);
	free(stacks);
}

static int fd_keep(struct perf_stacks *stacks, int fd)
{
	if (stacks->fd_count == stacks->fd_cap) {
		size_t cap = stacks->fd_cap ? stacks->fd_cap * 2 : 16;
		int *fds = reallocarray(stacks->fds, cap, sizeof(*fds));

		if (!fds)
			return -ENOMEM;
		stacks->fds = fds;
		stacks->fd_cap = cap;
	}
	stacks->fds[stacks->fd_count++] = fd;
	return 0;
}

/* The event is that of all faults, as they begin, and not one of the two that perf_faults counts as they end: kernels since 6.3
 * keep how long a record is from one event to the next of the same kind, so that the others' records would be as long as these. */
static int event_open(pid_t tid, int cpu, bool on_exec)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_PAGE_FAULTS,
		.sample_period = 1,
		.sample_type = SAMPLE,
		.sample_regs_user = unwind_arch_host()->perf_mask,
		.sample_stack_user = PERF_STACK_BYTES,
		.exclude_kernel = 1,
		.exclude_hv = 1,
		.exclude_callchain_kernel = 1,
		.inherit = 1,
		.disabled = on_exec,
		.enable_on_exec = on_exec,
		.watermark = 1,
		.wakeup_watermark = RING_BYTES_MAX, /* nobody waits */
		.use_clockid = 1,
		.clockid = CLOCK_MONOTONIC,
	};
	int fd = (int)syscall(SYS_perf_event_open, &attr, tid, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int cpu_watch(struct perf_stacks *stacks, int cpu, pid_t tid, bool on_exec)
{
	struct perf_ring *ring = &stacks->rings[cpu];
	int fd = event_open(tid, cpu, on_exec), err;

	if (fd == -ENODEV) /* the CPU is offline */
		return 0;
	if (fd < 0)
		return fd;
	err = fd_keep(stacks, fd);
	if (err) {
		close(fd);
		return err;
	}
	if (ring->page)
		return ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, ring->owner_fd) ? -errno : 0;
	return perf_ring_map(ring, fd, &stacks->ring_bytes, RING_BYTES_MIN);
}

int perf_stacks_watch(struct perf_stacks *stacks, pid_t tid, bool on_exec)
{
	int err = 0;

	for (int cpu = 0; cpu < stacks->cpu_count && !err; cpu++)
		err = cpu_watch(stacks, cpu, tid, on_exec);
	return err;
}

bool perf_stacks_parse(const void *record, size_t size, struct perf_stack *out)
{
	uint64_t mask = unwind_arch_host()->perf_mask, regs[64], bytes, filled;
	size_t reg_bytes = (size_t)__builtin_popcountll(mask) * sizeof(uint64_t), at = sizeof(struct head) + reg_bytes;
	struct head head;

	if (size < at + sizeof(bytes))
		return false;
	memcpy(&head, record, sizeof(head));
	if (head.header.type != PERF_RECORD_SAMPLE || head.abi != PERF_SAMPLE_REGS_ABI_64)
		return false;
	memcpy(regs, (const char *)record + sizeof(head), reg_bytes);
	memcpy(&bytes, (const char *)record + at, sizeof(bytes));
	at += sizeof(bytes);
	/* What could be copied is said behind the room for it. */
	if (!bytes || bytes > size - at || size - at - bytes < sizeof(filled))
		return false;
	memcpy(&filled, (const char *)record + at + bytes, sizeof(filled));
	*out = (struct perf_stack){ .ts_ns = head.time,
				    .addr = head.addr,
				    .tid = (pid_t)head.tid,
				    .data = (const char *)record + at,
				    .len = filled < bytes ? filled : bytes };
	unwind_regs_perf(regs, &out->regs);
	return true;
}

void perf_stacks_drain(struct perf_stacks *stacks, perf_stack_fn fn, void *ctx)
{
	struct perf_stack stack;
	size_t size;

	for (int cpu = 0; cpu < stacks->cpu_count; cpu++) {
		struct perf_ring *ring = &stacks->rings[cpu];

		if (!ring->page)
			continue;
		perf_ring_look(ring);
		if (ring->head == ring->tail)
			continue;
		while ((size = perf_ring_take(ring, stacks->record, sizeof(stacks->record)))) {
			if (perf_stacks_parse(stacks->record, size, &stack))
				fn(ctx, &stack);
		}
		perf_ring_release(ring);
	}
}
