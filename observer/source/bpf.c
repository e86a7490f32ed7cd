/* SPDX-License-Identifier: GPL-2.0-only */
/* The eBPF source: programs on tracepoints, their ring buffer, and what stands beside it. */
#include "base/clock.h"
#include "base/procfs.h"
#include "bpf/wire.h"
#include "source/bpf_decode.h"
#include "source/bpf_enter.h"
#include "source/bpf_kernel.h"
#include "source/bpf_late.h"
#include "source/bpf_losses.h"
#include "source/bpf_probe.h"
#include "source/bpf_stacks.h"
#include "source/source.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>

/* While records come, the ring is looked at this often, and nobody is woken for it unless a program is in a hurry. */
#define LOOK_INTERVAL_MS   10
/* An mm that nobody watched lives in, held by somebody else (a reader of its /proc files), is let go after that. */
#define ORPHAN_PATIENCE_NS 5000000000ull
#define QUIET_TRIES	   50

struct bpf_source {
	struct source source;
	struct bpf_kernel_side *side;
	struct bpf_decode *decode;
	struct bpf_late *late;
	struct stack_store *store; /* NULL: no stacks are taken */
	struct bpf_stacks *stacks; /* NULL: they need no rules */
	struct ring_buffer *ring;
	int wake_fd; /* an epoll: readable once each time that the programs wake us */
	event_fn fn; /* of the look at hand */
	void *ctx;
	struct wire_stats told; /* of losses */
	uint64_t orphan_since_ns;
	int error; /* of a record's delivery, kept over libbpf's loop */
	bool busy; /* the last look found records */
};

static struct bpf_source *bpf_of(struct source *source)
{
	return (struct bpf_source *)source;
}

/* 1 where the record was one of stacks, and is done with; 0 where not; -errno. */
static int stack_record(struct bpf_source *bpf, const void *record, size_t size)
{
	const struct wire_head *head = record;
	int err;

	if (bpf->stacks)
		return bpf_stacks_record(bpf->stacks, record, size);
	if (!bpf->store || size < sizeof(*head) || head->kind != WIRE_STACK)
		return 0;
	err = stack_store_put(bpf->store, record, size);
	return err ? err : 1;
}

/* Records come from the caches of other CPUs: the one that is so far ahead is asked for while this one is decoded. */
#define AHEAD_BYTES	 1024
#define CACHE_LINE_BYTES 64

static int ring_record(void *ctx, void *record, size_t size)
{
	struct bpf_source *bpf = ctx;
	const struct wire_change *change = record;
	int taken;

	for (size_t at = 0; at < size; at += CACHE_LINE_BYTES)
		__builtin_prefetch((const char *)record + AHEAD_BYTES + at);
	taken = stack_record(bpf, record, size);
	bpf->error = taken < 0 ? taken : 0;
	if (taken)
		return bpf->error;
	bpf->error = bpf_late_record(bpf->late, record, size);
	if (!bpf->error && bpf->stacks && change->head.kind == WIRE_CHANGE && size >= sizeof(*change) &&
	    change->code_order)
		bpf_stacks_order(bpf->stacks, change->head.mm, change->code_order);
	return bpf->error;
}

/* Takes what was decoded. Whoever looks comes first: files are waiting to be opened before their process ends. */
static int on_decoded(void *ctx, const struct event *event)
{
	struct bpf_source *bpf = ctx;
	int err = bpf->fn(bpf->ctx, event);

	return !err && bpf->stacks ? bpf_stacks_event(bpf->stacks, event) : err;
}

/* Delivers all that is there. Returns the number of records, or -errno. */
static int ring_look(struct bpf_source *bpf, event_fn fn, void *ctx)
{
	int count, err;

	bpf->fn = fn;
	bpf->ctx = ctx;
	err = bpf_late_prepare(bpf->late);
	if (err)
		return err;
	bpf->error = 0;
	count = ring_buffer__consume(bpf->ring);
	if (bpf->error || count < 0)
		return bpf->error ? bpf->error : count;
	err = bpf_late_settle(bpf->late);
	if (!err)
		err = bpf_decode_settle(bpf->decode);
	if (!err && bpf->stacks)
		err = bpf_stacks_settle(bpf->stacks);
	return err ? err : count;
}

/* Sleeps until the programs wake us, @ms at most. */
static void wake_wait(struct bpf_source *bpf, int ms)
{
	struct epoll_event event;

	epoll_wait(bpf->wake_fd, &event, 1, ms);
}

/* Whether nothing watched is left; to be asked before a look that finds nothing more. */
static bool all_gone(struct bpf_source *bpf)
{
	volatile struct wire_stats *stats = &bpf_kernel_shared(bpf->side)->stats;
	uint64_t now;

	if (stats->live_tasks > 0)
		return false;
	if (stats->live_mms <= 0)
		return true;
	now = clock_ns(CLOCK_MONOTONIC);
	if (!bpf->orphan_since_ns)
		bpf->orphan_since_ns = now;
	return now - bpf->orphan_since_ns > ORPHAN_PATIENCE_NS;
}

/* Says what was left out up to now. */
static int losses_tell(struct bpf_source *bpf, event_fn fn, void *ctx)
{
	return bpf_losses_tell(&bpf_kernel_shared(bpf->side)->stats, &bpf->told, clock_ns(CLOCK_MONOTONIC), fn, ctx);
}

static int bpf_poll(struct source *source, int timeout_ms, event_fn fn, void *ctx)
{
	struct bpf_source *bpf = bpf_of(source);
	volatile struct wire_shared *shared = bpf_kernel_shared(bpf->side);
	bool gone = all_gone(bpf);
	int count, err;

	if (bpf->busy && !gone)
		wake_wait(bpf, timeout_ms < LOOK_INTERVAL_MS ? timeout_ms : LOOK_INTERVAL_MS);
	count = ring_look(bpf, fn, ctx);
	bpf->busy = count > 0;
	if (count)
		return count < 0 ? count : 1;
	if (gone) {
		err = losses_tell(bpf, fn, ctx);
		return err ? err : -ENODATA;
	}
	/* Nobody is busy: sleep until the next record, which is asked to wake us. One that came before it saw the wish is
	 * found by the look in between. */
	shared->reader_sleeps = 1;
	__sync_synchronize();
	count = ring_look(bpf, fn, ctx);
	if (count) {
		bpf->busy = count > 0;
		return count < 0 ? count : 1;
	}
	wake_wait(bpf, timeout_ms);
	return 0;
}

static void bpf_close(struct source *source)
{
	struct bpf_source *bpf = bpf_of(source);

	if (!bpf)
		return;
	ring_buffer__free(bpf->ring);
	if (bpf->wake_fd >= 0)
		close(bpf->wake_fd);
	bpf_late_free(bpf->late);
	bpf_stacks_free(bpf->stacks);
	bpf_decode_free(bpf->decode);
	stack_store_free(bpf->store);
	bpf_kernel_free(bpf->side);
	free(bpf);
}

/* The ring's own descriptor says whether there is anything in it. What is wanted here is whether somebody has said so. */
static int wake_open(struct bpf_source *bpf)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };

	bpf->wake_fd = epoll_create1(EPOLL_CLOEXEC);
	if (bpf->wake_fd < 0 || epoll_ctl(bpf->wake_fd, EPOLL_CTL_ADD, bpf_kernel_map_fd(bpf->side, "ring"), &event))
		return -errno;
	return 0;
}

static int stacks_open(struct bpf_source *bpf, const struct bpf_kernel_config *config)
{
	if (config->stacks == WIRE_STACKS_NONE)
		return 0;
	bpf->store = stack_store_new();
	if (!bpf->store)
		return -ENOMEM;
	bpf_decode_set_stacks(bpf->decode, bpf->store);
	if (config->stacks != WIRE_STACKS_CFI)
		return 0;
	bpf->stacks = bpf_stacks_new(bpf->side, bpf->store, config->stack_seed);
	return bpf->stacks ? 0 : -errno;
}

static int bpf_open(const struct source_config *config, struct source **ret_source, struct diag *diag)
{
	struct bpf_kernel_config kernel_config = { .ring_bytes = config->ring_bytes,
						   .follow = config->follow,
						   .rough_times = config->rough_times,
						   .attach = config->pid_count > 0,
						   .stacks = bpf_stacks_mode(config->stacks) };
	struct bpf_source *bpf = calloc(1, sizeof(*bpf));
	int err;

	if (!bpf)
		return diag_set(diag, -ENOMEM, "out of memory");
	bpf->source.ops = &source_bpf;
	bpf->wake_fd = -1;
	if (getrandom(&kernel_config.stack_seed, sizeof(kernel_config.stack_seed), GRND_NONBLOCK) < 0)
		kernel_config.stack_seed = clock_ns(CLOCK_MONOTONIC);
	err = bpf_kernel_load(&kernel_config, &bpf->side, diag);
	if (err)
		goto out;
	bpf->decode = bpf_decode_new((uint64_t)sysconf(_SC_PAGESIZE), on_decoded, bpf);
	bpf->late = bpf->decode ? bpf_late_new(bpf->side, bpf->decode) : NULL;
	bpf->ring = ring_buffer__new(bpf_kernel_map_fd(bpf->side, "ring"), ring_record, bpf, NULL);
	if (!bpf->late || !bpf->ring || wake_open(bpf)) {
		err = diag_set(diag, -ENOMEM, "out of memory");
		goto out;
	}
	err = stacks_open(bpf, &kernel_config);
	if (err) {
		err = diag_set(diag, err, "cannot prepare the walking of stacks: %s: use --stacks none",
			       strerror(-err));
		goto out;
	}
	if (bpf->stacks && config->child > 0)
		bpf_stacks_expect(bpf->stacks, config->program);
	err = bpf_kernel_attach(bpf->side, diag);
	if (!err)
		err = bpf_enter(bpf->side, config, diag);
	if (err)
		goto out;
	*ret_source = &bpf->source;
	bpf = NULL;
out:
	bpf_close(bpf ? &bpf->source : NULL);
	return err;
}

/* Reads the books of the mm at the address @key, all in one place. False where it has ended. */
static bool books_read(const struct bpf_source *bpf, uint64_t key, struct wire_mm *mm)
{
	if (bpf_map_lookup_elem(bpf_kernel_map_fd(bpf->side, "mms"), &key, mm))
		return false;
	if (mm->place != WIRE_NO_PLACE &&
	    bpf_map_lookup_elem(bpf_kernel_map_fd(bpf->side, "lives"), &mm->place, &mm->live))
		return false;
	return mm->live.id == mm->id;
}

/* What the programs booked in all: the counters as they last saw them. */
static struct wire_pages shadow_sum(const struct bpf_source *bpf, const struct wire_mm *mm)
{
	size_t cpus = (bpf_kernel_mm_size(bpf->side) - sizeof(*mm)) / sizeof(mm->live.slot_shadow[0]);
	struct wire_pages sum = { .virt = mm->live.vm_shadow };

	for (int member = 0; member < WIRE_MEMBERS; member++) {
		sum.rss[member] = mm->live.count_shadow[member];
		for (size_t cpu = 0; cpu < cpus; cpu++)
			sum.rss[member] += mm->live.slot_shadow[cpu][member];
	}
	return sum;
}

/* Adds what the threads of the mm at @key have cached and is not booked. A thread that hands it over between the two looks
 * makes the sum wrong: then the next pair of looks does not agree with it. */
static void caches_add(struct bpf_source *bpf, uint64_t key, struct wire_pages *sum)
{
	volatile struct wire_shared *shared = bpf_kernel_shared(bpf->side);

	if (shared->rss_kind != WIRE_RSS_CACHED)
		return;
	shared->look_mm = key;
	for (int member = 0; member < WIRE_MEMBERS; member++)
		shared->look[member] = 0;
	bpf_kernel_seed(bpf->side, SEED_LOOK, 0, 0);
	for (int member = 0; member < WIRE_MEMBERS; member++)
		sum->rss[member] += shared->look[member];
}

/* An mm at the detach: what /proc said while nothing was booked to it. */
struct parting {
	uint64_t key;
	struct wire_mm *mm;
	struct wire_pages quiet_sum; /* with what threads had cached */
	struct procfs_mem proc;
	bool proc_known;
};

struct partings {
	struct parting *list;
	size_t count;
};

static void partings_free(struct partings *partings)
{
	for (size_t i = 0; i < partings->count; i++)
		free(partings->list[i].mm);
	free(partings->list);
}

/* Reads /proc between two looks at the books, until both say the same: then it is of the same moment. */
static void proc_read_quietly(struct bpf_source *bpf, struct parting *parting)
{
	for (int i = 0; i < QUIET_TRIES && !parting->proc_known; i++) {
		struct wire_pages before = shadow_sum(bpf, parting->mm), after;

		caches_add(bpf, parting->key, &before);
		if (procfs_mem((pid_t)parting->mm->pid, &parting->proc))
			return;
		if (!books_read(bpf, parting->key, parting->mm))
			return;
		after = shadow_sum(bpf, parting->mm);
		caches_add(bpf, parting->key, &after);
		parting->proc_known = !memcmp(&before, &after, sizeof(before));
		parting->quiet_sum = after;
	}
}

static bool partings_have(const struct partings *partings, uint64_t key)
{
	for (size_t i = 0; i < partings->count; i++)
		if (partings->list[i].key == key)
			return true;
	return false;
}

/* Adds the mm at @key, or does nothing if its books are closed meanwhile. */
static int parting_add(struct bpf_source *bpf, struct partings *partings, uint64_t key, bool ask_proc)
{
	struct parting *list = reallocarray(partings->list, partings->count + 1, sizeof(*list));
	struct parting *parting;

	if (!list)
		return -ENOMEM;
	partings->list = list;
	parting = &list[partings->count];
	*parting = (struct parting){ .key = key, .mm = malloc(bpf_kernel_mm_size(bpf->side)) };
	if (!parting->mm)
		return -ENOMEM;
	partings->count++;
	if (ask_proc && books_read(bpf, key, parting->mm))
		proc_read_quietly(bpf, parting);
	return 0;
}

/* Adds those that are not there yet. */
static int partings_find(struct bpf_source *bpf, struct partings *partings, bool ask_proc)
{
	int fd = bpf_kernel_map_fd(bpf->side, "mms"), err = 0;
	uint64_t key, last, *previous = NULL;

	while (!err && !bpf_map_get_next_key(fd, previous, &key)) {
		if (!partings_have(partings, key))
			err = parting_add(bpf, partings, key, ask_proc);
		last = key;
		previous = &last;
	}
	return err;
}

/* A /proc that knows file and shmem as one sum only agrees with any split of it. */
static void split_settle(struct event_close *close)
{
	if (procfs_status_is_exact() ||
	    close->proc.file + close->proc.shmem != close->closing.file + close->closing.shmem)
		return;
	close->proc.file = close->closing.file;
	close->proc.shmem = close->closing.shmem;
}

/* What goes from an mm that is just being torn down is no row of its: it closes on what it held before. */
static struct wire_pages parting_sum(const struct bpf_source *bpf, const struct wire_mm *mm)
{
	return mm->closing_read ? mm->closing : shadow_sum(bpf, mm);
}

static int parting_close(struct bpf_source *bpf, struct parting *parting, event_fn fn, void *ctx)
{
	struct wire_pages sum = parting_sum(bpf, parting->mm);
	struct event event = { .kind = EVENT_MM_CLOSE,
			       .ts_ns = clock_ns(CLOCK_MONOTONIC),
			       .pid = (int32_t)parting->mm->pid,
			       .tid = (int32_t)parting->mm->pid,
			       .mm = parting->mm->id };

	memcpy(event.comm, parting->mm->comm, sizeof(event.comm) - 1);
	event.close.detached = true;
	event.close.closing = bpf_decode_usage(bpf->decode, &sum);
	event.close.closing_known = true;
	event.close.swapped_pages = parting->mm->live.swapped_pages;
	if (parting->proc_known && !memcmp(&sum, &parting->quiet_sum, sizeof(sum))) {
		const struct procfs_mem *proc = &parting->proc;

		event.close.proc_known = true;
		event.close.judge = procfs_judge();
		event.close.proc = (struct usage){ .virt = proc->virt,
						   .anon = proc->anon,
						   .file = proc->file,
						   .shmem = proc->shmem,
						   .swap = proc->swap };
		split_settle(&event.close);
	}
	return fn(ctx, &event);
}

static int bpf_detach(struct source *source, event_fn fn, void *ctx)
{
	struct bpf_source *bpf = bpf_of(source);
	struct partings partings = { 0 };
	int err, count;

	count = ring_look(bpf, fn, ctx);
	err = count < 0 ? count : partings_find(bpf, &partings, true);
	bpf_kernel_detach(bpf->side);
	/* From here on nothing changes: what tasks have pending is sent, then all is consumed and counted. */
	if (!err)
		err = partings_find(bpf, &partings, false);
	if (!err)
		err = bpf_kernel_seed(bpf->side, SEED_FLUSH, 0, 0);
	count = err ? err : ring_look(bpf, fn, ctx);
	err = count < 0 ? count : 0;
	for (size_t i = 0; i < partings.count && !err; i++) {
		struct parting *parting = &partings.list[i];

		if (!books_read(bpf, parting->key, parting->mm))
			continue;
		err = bpf_late_part(bpf->late, parting->mm, clock_ns(CLOCK_MONOTONIC));
		if (!err)
			err = bpf_late_settle(bpf->late);
		if (!err)
			err = parting_close(bpf, parting, fn, ctx);
	}
	partings_free(&partings);
	return err ? err : losses_tell(bpf, fn, ctx);
}

static unsigned int bpf_caps(const struct source *source)
{
	return CAP_SYSCALLS | CAP_FAULTS | CAP_KERNEL | (((const struct bpf_source *)source)->store ? CAP_STACKS : 0);
}

const struct source_ops source_bpf = {
	.name = "bpf",
	.help = "eBPF on the kernel's tracepoints; for root",
	.caps = CAP_SYSCALLS | CAP_FAULTS | CAP_KERNEL | CAP_STACKS,
	.selectable = true,
	.probe = bpf_probe,
	.open = bpf_open,
	.poll = bpf_poll,
	.detach = bpf_detach,
	.caps_now = bpf_caps,
	.close = bpf_close,
};
