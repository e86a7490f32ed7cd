/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/perf_faults.h"

#include "source/perf_ring.h"
#include "source/perf_waker.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Two events a CPU and thread: minor and major faults, which the kernel counts as they end (mm_account_fault). They share
 * the CPU's buffer and are told apart by the size of their records, as one has a field more. */
#define SAMPLE_MINOR (PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_ADDR)
#define SAMPLE_MAJOR (SAMPLE_MINOR | PERF_SAMPLE_PERIOD)

/* What an ordinary user may lock for each CPU by default (perf_event_mlock_kb = 516) is this and the header's page. */
#define RING_BYTES_MAX (512u << 10)
#define RING_BYTES_MIN (16u << 10)

struct sample {
	uint32_t pid, tid;
	uint64_t time, addr;
};

/* PERF_RECORD_MMAP2, up to the name, and what follows each record that is no sample. The name of an anonymous mapping is "//anon",
 * or one as "[heap]" or "[stack]"; longer ones are those of files. */
struct mapping {
	struct perf_event_header header;
	uint32_t pid, tid;
	uint64_t start, len, offset;
	uint64_t file[3];
	uint32_t prot, flags;
};

struct mapping_trailer {
	uint32_t pid, tid;
	uint64_t time;
};

#define NAME_MAX_BYTES 16

/* The longest record that is wanted; a fault has header, instruction, sample, period. */
#define RECORD_MAX (sizeof(struct mapping) + NAME_MAX_BYTES + sizeof(struct mapping_trailer))

struct loss {
	struct perf_event_header header;
	uint64_t id, lost;
};

/* The buffer of one CPU. */
struct cpu_ring {
	struct perf_ring ring;
	struct perf_fault next;
	bool has_next; /* @next is the record before the ring's tail */
	bool offline;
};

struct perf_faults {
	bool with_ip;
	int cpu_count;
	uint64_t ring_bytes; /* as small as it had to be so far */
	uint64_t lost;
	struct perf_waker *waker;
	int *fds;
	size_t fd_count, fd_cap;
	struct cpu_ring rings[];
};

struct perf_faults *perf_faults_new(bool with_ip)
{
	long cpus = sysconf(_SC_NPROCESSORS_CONF);
	size_t count = cpus > 0 ? (size_t)cpus : 1;
	struct perf_faults *faults = calloc(1, sizeof(*faults) + count * sizeof(faults->rings[0]));

	if (!faults)
		return NULL;
	faults->with_ip = with_ip;
	faults->cpu_count = (int)count;
	faults->ring_bytes = RING_BYTES_MAX;
	faults->waker = perf_waker_new(SIGIO);
	return faults;
}

void perf_faults_free(struct perf_faults *faults)
{
	if (!faults)
		return;
	perf_waker_free(faults->waker);
	for (int cpu = 0; cpu < faults->cpu_count; cpu++)
		perf_ring_unmap(&faults->rings[cpu].ring);
	for (size_t i = 0; i < faults->fd_count; i++)
		close(faults->fds[i]);
	free(faults->fds);
	free(faults);
}

static int fd_keep(struct perf_faults *faults, int fd)
{
	if (faults->fd_count == faults->fd_cap) {
		size_t cap = faults->fd_cap ? faults->fd_cap * 2 : 16;
		int *fds = reallocarray(faults->fds, cap, sizeof(*fds));

		if (!fds)
			return -ENOMEM;
		faults->fds = fds;
		faults->fd_cap = cap;
	}
	faults->fds[faults->fd_count++] = fd;
	return 0;
}

static int event_open(uint64_t config, pid_t tid, int cpu, bool on_exec, bool with_ip)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = config,
		.sample_period = 1,
		.sample_type = config == PERF_COUNT_SW_PAGE_FAULTS_MAJ ? SAMPLE_MAJOR : SAMPLE_MINOR,
		.exclude_kernel = 1,
		.exclude_hv = 1,
		.inherit = 1,
		.disabled = on_exec,
		.enable_on_exec = on_exec,
		.watermark = 1,
		.wakeup_watermark = RING_BYTES_MAX / 4,
		.use_clockid = 1,
		.clockid = CLOCK_MONOTONIC,
		/* Once for each mapping is enough. */
		.mmap_data = config == PERF_COUNT_SW_PAGE_FAULTS_MIN,
		.mmap2 = config == PERF_COUNT_SW_PAGE_FAULTS_MIN,
		.sample_id_all = 1,
	};
	int fd;

	if (with_ip)
		attr.sample_type |= PERF_SAMPLE_IP;
	fd = (int)syscall(SYS_perf_event_open, &attr, tid, cpu, -1, PERF_FLAG_FD_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* The first event of a CPU has the buffer, and tells when it fills. */
static int event_connect(struct perf_faults *faults, struct perf_ring *ring, int fd)
{
	int err;

	if (ring->page)
		return ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, ring->owner_fd) ? -errno : 0;
	err = perf_ring_map(ring, fd, &faults->ring_bytes, RING_BYTES_MIN);
	return err ? err : perf_waker_add(faults->waker, fd);
}

static int cpu_watch(struct perf_faults *faults, int cpu, pid_t tid, bool on_exec)
{
	static const uint64_t configs[] = { PERF_COUNT_SW_PAGE_FAULTS_MIN, PERF_COUNT_SW_PAGE_FAULTS_MAJ };
	struct cpu_ring *ring = &faults->rings[cpu];

	for (size_t i = 0; i < sizeof(configs) / sizeof(configs[0]); i++) {
		int fd = event_open(configs[i], tid, cpu, on_exec, faults->with_ip), err;

		if (fd == -ENODEV) { /* the CPU is offline */
			ring->offline = true;
			return 0;
		}
		if (fd < 0)
			return fd;
		err = fd_keep(faults, fd);
		if (err) {
			close(fd);
			return err;
		}
		err = event_connect(faults, &ring->ring, fd);
		if (err)
			return err;
	}
	return 0;
}

int perf_faults_watch(struct perf_faults *faults, pid_t tid, bool on_exec)
{
	int err = faults->waker ? 0 : -EAGAIN;

	for (int cpu = 0; cpu < faults->cpu_count && !err; cpu++)
		err = cpu_watch(faults, cpu, tid, on_exec);
	return err;
}

static enum perf_faults_kind mapping_parse(const void *record, size_t size, struct perf_fault *out)
{
	struct mapping mapping;
	struct mapping_trailer trailer;

	if (size < sizeof(mapping) + sizeof(trailer))
		return PERF_FAULTS_OTHER;
	memcpy(&mapping, record, sizeof(mapping));
	memcpy(&trailer, (const char *)record + size - sizeof(trailer), sizeof(trailer));
	if (mapping.file[0] || mapping.file[1])
		return PERF_FAULTS_OTHER;
	*out = (struct perf_fault){
		.ts_ns = trailer.time,
		.addr = mapping.start,
		.pid = (pid_t)mapping.pid,
		.tid = (pid_t)mapping.tid,
		.len = mapping.len,
	};
	return PERF_FAULTS_MAPPING;
}

enum perf_faults_kind perf_faults_parse(const void *record, size_t size, bool with_ip, struct perf_fault *out)
{
	const struct perf_event_header *header = record;
	size_t at = sizeof(*header), minor_bytes = at + (with_ip ? sizeof(uint64_t) : 0) + sizeof(struct sample);
	struct sample sample;
	struct loss loss;
	uint64_t ip = 0;

	if (header->type == PERF_RECORD_LOST && size >= sizeof(loss)) {
		memcpy(&loss, record, sizeof(loss));
		out->addr = loss.lost;
		return PERF_FAULTS_LOST;
	}
	if (header->type == PERF_RECORD_MMAP2)
		return mapping_parse(record, size, out);
	if (header->type != PERF_RECORD_SAMPLE || (size != minor_bytes && size != minor_bytes + sizeof(uint64_t)))
		return PERF_FAULTS_OTHER;
	if (with_ip) {
		memcpy(&ip, (const char *)record + at, sizeof(ip));
		at += sizeof(ip);
	}
	memcpy(&sample, (const char *)record + at, sizeof(sample));
	*out = (struct perf_fault){
		.ts_ns = sample.time,
		.addr = sample.addr,
		.ip = ip,
		.pid = (pid_t)sample.pid,
		.tid = (pid_t)sample.tid,
		.major = size != minor_bytes,
	};
	return PERF_FAULTS_ONE;
}

/* Takes the next fault off the buffer into ring->next. False at its end. */
static bool ring_advance(struct perf_faults *faults, struct cpu_ring *ring)
{
	char bytes[RECORD_MAX] __attribute__((aligned(8)));
	size_t size;

	ring->has_next = false;
	while ((size = perf_ring_take(&ring->ring, bytes, sizeof(bytes)))) {
		switch (perf_faults_parse(bytes, size, faults->with_ip, &ring->next)) {
		case PERF_FAULTS_ONE:
		case PERF_FAULTS_MAPPING:
			ring->has_next = true;
			return true;
		case PERF_FAULTS_LOST:
			faults->lost += ring->next.addr;
			break;
		case PERF_FAULTS_OTHER:
			break;
		}
	}
	return false;
}

/* The ring whose next fault is the oldest; NULL where none has one. */
static struct cpu_ring *oldest(struct perf_faults *faults)
{
	struct cpu_ring *best = NULL;

	for (int cpu = 0; cpu < faults->cpu_count; cpu++) {
		struct cpu_ring *ring = &faults->rings[cpu];

		if (ring->has_next && (!best || ring->next.ts_ns < best->next.ts_ns))
			best = ring;
	}
	return best;
}

size_t perf_faults_drain(struct perf_faults *faults, perf_fault_fn fn, void *ctx)
{
	struct cpu_ring *ring;
	size_t count = 0;

	for (int cpu = 0; cpu < faults->cpu_count; cpu++) {
		ring = &faults->rings[cpu];
		if (!ring->ring.page)
			continue;
		perf_ring_look(&ring->ring);
		if (ring->ring.head != ring->ring.tail && !ring_advance(faults, ring))
			perf_ring_release(&ring->ring);
	}
	while ((ring = oldest(faults))) {
		fn(ctx, &ring->next);
		count++;
		ring_advance(faults, ring);
		perf_ring_release(&ring->ring);
	}
	return count;
}

uint64_t perf_faults_lost(struct perf_faults *faults)
{
	uint64_t lost = faults->lost;

	faults->lost = 0;
	return lost;
}
