/* SPDX-License-Identifier: GPL-2.0-only */
#include "sequence.h"

#include "quiet.h"
#include "room.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* More readings than this are somebody's mistake. */
#define READINGS_MAX_BYTES ((size_t)1 << 30)

/* Less than SMALL_BYTES is touched without asking whether the memory is there. */
#define SMALL_BYTES ((uint64_t)8 << 20)

struct worker {
	struct sequence *sequence;
	unsigned int index; /* 0 is the main thread */
	pthread_t thread;
	long tid;
	char buffer[READING_BUFFER_BYTES];
};

struct sequence_shared {
	size_t bytes; /* of the mapping that holds this, the workers and the blocks */
	int status_fd;
	uint64_t machine_bytes;
	uint64_t available_bytes; /* written by the main thread before a barrier, read by all after it */
	sequence_fn done;
	void *ctx;
	atomic_int err; /* of a reading */
	pthread_mutex_t gate;
	bool go; /* under the gate: false sends the threads home */
	pthread_barrier_t barrier;
	struct worker workers[];
};

static const char *const step_words[] = {
	[STEP_BEFORE] = "before", [STEP_ALLOC] = "alloc", [STEP_TOUCH] = "touch",
	[STEP_FREE] = "free",	  [STEP_KEEP] = "keep",	  [STEP_TRIM] = "trim",
};

static const char *const outcome_words[] = {
	[OUTCOME_FREED] = "freed",
	[OUTCOME_KEPT] = "kept",
	[OUTCOME_FAILED] = "failed",
	[OUTCOME_SKIPPED] = "skipped",
};

const char *step_word(enum step step)
{
	return step_words[step];
}

const char *outcome_word(enum outcome outcome)
{
	return outcome_words[outcome];
}

static void make_mark(const struct options *options, const struct block *block, enum step step, struct mark *out)
{
	mark_make(out, step_word(step), block->size, options->rounds > 1 ? block->round : 0,
		  options->threads > 1 ? block->thread : 0);
}

void sequence_mark(const struct options *options, const struct block *block, unsigned int index, struct mark *out)
{
	make_mark(options, block, block->marks[index].step, out);
}

/* Waits until all threads are here. */
static void meet(const struct sequence *sequence)
{
	if (sequence->options->threads > 1)
		pthread_barrier_wait(&sequence->shared->barrier);
}

static void take_reading(struct worker *worker, struct reading *out)
{
	struct sequence_shared *shared = worker->sequence->shared;
	int err = reading_take(shared->status_fd, worker->buffer, out);

	if (err < 0)
		atomic_store(&shared->err, err);
}

/* A reading, and its mark right after it; the mark is made before, so that nothing comes between. */
static void observe(struct worker *worker, struct block *block, enum step step)
{
	struct block_mark *slot = &block->marks[block->nr_marks++];
	struct mark mark = { .len = 0 };

	make_mark(worker->sequence->options, block, step, &mark);
	slot->step = step;
	take_reading(worker, &slot->reading);
	mark_send(&mark);
}

static void observe_all(struct worker *worker, const char *word, struct reading *out)
{
	struct mark mark = { .len = 0 };

	mark_make_word(&mark, word);
	take_reading(worker, out);
	mark_send(&mark);
}

static void *block_alloc(const struct sequence *sequence, struct block *block)
{
	const struct options *options = sequence->options;
	void *ptr = options->allocator->alloc(block->size);

	block->addr = (uintptr_t)ptr;
	if (!ptr) {
		block->error = errno;
		block->outcome = options->default_sizes && block->size > sequence->shared->machine_bytes
					 ? OUTCOME_SKIPPED
					 : OUTCOME_FAILED;
	}
	return ptr;
}

/* An eighth is left alone: page tables come out of it, and near the end the kernel takes pages from this very process,
 * which the readings would show. */
static bool can_touch(uint64_t need_bytes, uint64_t available_bytes)
{
	return available_bytes == UINT64_MAX || need_bytes <= available_bytes - available_bytes / 8;
}

/* What of a block is to be written to. */
static size_t touch_bytes(const struct options *options, const struct block *block)
{
	return (size_t)((__uint128_t)block->size * options->touch_ppm / OPTIONS_PPM);
}

static void block_touch(const struct sequence *sequence, struct block *block, void *ptr)
{
	const struct options *options = sequence->options;
	size_t bytes = touch_bytes(options, block);
	uint64_t available = sequence->shared->available_bytes;

	if (!can_touch((uint64_t)bytes * options->threads, available)) {
		block->available_bytes = available;
		return;
	}
	memset(ptr, 0x5a, bytes);
	/* The compiler has to believe that somebody reads what was written. */
	__asm__ volatile("" : : "r"(ptr) : "memory");
	block->touched_bytes = bytes;
}

/* One block of one thread, in step with the other threads' ones. */
static void run_block(struct worker *worker, struct block *block, bool keep)
{
	struct sequence *sequence = worker->sequence;
	const struct options *options = sequence->options;
	void *ptr;

	block->tid = worker->tid;
	observe(worker, block, STEP_BEFORE);
	meet(sequence);
	ptr = block_alloc(sequence, block);
	meet(sequence);
	observe(worker, block, STEP_ALLOC);
	if (worker->index == 0)
		sequence->shared->available_bytes =
			(uint64_t)touch_bytes(options, block) * options->threads < SMALL_BYTES ? UINT64_MAX
											       : room_available_bytes();
	meet(sequence);
	if (ptr)
		block_touch(sequence, block, ptr);
	meet(sequence);
	if (ptr)
		observe(worker, block, STEP_TOUCH);
	meet(sequence);
	if (ptr && !keep)
		options->allocator->free(ptr, block->size);
	if (ptr)
		block->outcome = keep ? OUTCOME_KEPT : OUTCOME_FREED;
	meet(sequence);
	if (ptr)
		observe(worker, block, keep ? STEP_KEEP : STEP_FREE);
	if (!options->trim)
		return;
	meet(sequence);
	if (worker->index == 0)
		tune_trim();
	meet(sequence);
	if (ptr)
		observe(worker, block, STEP_TRIM);
}

static void run_worker(struct worker *worker)
{
	struct sequence *sequence = worker->sequence;
	const struct options *options = sequence->options;

	for (size_t at = 0; at < sequence->nr_blocks; at += options->threads) {
		size_t number = at / options->threads + 1;

		meet(sequence);
		run_block(worker, &sequence->blocks[at + worker->index], options->keep && number % options->keep == 0);
		meet(sequence);
		if (worker->index == 0 && sequence->shared->done)
			sequence->shared->done(sequence->shared->ctx, sequence, &sequence->blocks[at]);
	}
}

/* What a thread does first is done once before the first reading: the stack grows, the reading's and the mark's code and
 * data are touched. An empty write is no mark. */
static void warm_up(struct worker *worker)
{
	static const struct mark nothing;
	struct reading reading;

	worker->tid = syscall(SYS_gettid);
	quiet_stack();
	take_reading(worker, &reading);
	mark_send(&nothing);
}

static void *thread_main(void *arg)
{
	struct worker *worker = arg;
	struct sequence_shared *shared = worker->sequence->shared;
	bool go;

	pthread_mutex_lock(&shared->gate);
	go = shared->go;
	pthread_mutex_unlock(&shared->gate);
	if (!go)
		return NULL;
	warm_up(worker);
	meet(worker->sequence);
	run_worker(worker);
	meet(worker->sequence); /* the main thread has taken the closing reading; a thread's end gives up its stack */
	return NULL;
}

static void run_main(struct worker *worker)
{
	struct sequence *sequence = worker->sequence;

	quiet_objects();
	warm_up(worker);
	meet(sequence); /* all threads are warm */
	observe_all(worker, "opening", &sequence->opening);
	run_worker(worker);
	observe_all(worker, "closing", &sequence->closing);
	meet(sequence);
}

/* Starts the other threads, runs the main one's part, and joins them. pthread_create has the C library allocate, so with
 * more than one thread the heap is in use before the first reading. */
static int run_threads(struct sequence *sequence)
{
	struct sequence_shared *shared = sequence->shared;
	unsigned int started = 1;
	int err = 0;

	pthread_mutex_lock(&shared->gate);
	while (started < sequence->options->threads && err == 0) {
		struct worker *worker = &shared->workers[started];

		err = -pthread_create(&worker->thread, NULL, thread_main, worker);
		started += err == 0;
	}
	shared->go = err == 0;
	pthread_mutex_unlock(&shared->gate);
	if (err == 0)
		run_main(&shared->workers[0]);
	while (--started > 0)
		pthread_join(shared->workers[started].thread, NULL);
	return err ? err : atomic_load(&shared->err);
}

/* The blocks in the order in which they come; each round is ordered anew. */
static void fill_blocks(struct sequence *sequence)
{
	static size_t sizes[OPTIONS_SIZES_MAX];
	const struct options *options = sequence->options;
	struct order_rng rng = { .state = options->seed };
	struct block *block = sequence->blocks;

	memcpy(sizes, options->sizes, options->nr_sizes * sizeof(sizes[0]));
	for (unsigned int round = 1; round <= options->rounds; round++) {
		order_apply(options->order, &rng, sizes, options->nr_sizes);
		for (size_t i = 0; i < options->nr_sizes; i++) {
			for (unsigned int thread = 1; thread <= options->threads; thread++, block++) {
				block->size = sizes[i];
				block->round = round;
				block->thread = thread;
				block->available_bytes = UINT64_MAX;
			}
		}
	}
}

/* One resident mapping for all that the sequence will write to. */
static int map_sequence(struct sequence *sequence)
{
	const struct options *options = sequence->options;
	size_t head = sizeof(struct sequence_shared) + options->threads * sizeof(struct worker);
	size_t blocks;
	char *base;

	if (__builtin_mul_overflow(options->nr_sizes * options->rounds, options->threads, &sequence->nr_blocks) ||
	    __builtin_mul_overflow(sequence->nr_blocks, sizeof(struct block), &blocks) || blocks > READINGS_MAX_BYTES)
		return -E2BIG;
	head = (head + _Alignof(struct block) - 1) & ~(_Alignof(struct block) - 1);
	base = mmap(NULL, head + blocks, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (base == MAP_FAILED)
		return -errno;
	sequence->shared = (struct sequence_shared *)base;
	sequence->shared->bytes = head + blocks;
	sequence->shared->status_fd = -1;
	sequence->blocks = (struct block *)(base + head);
	for (unsigned int i = 0; i < options->threads; i++) {
		sequence->shared->workers[i].sequence = sequence;
		sequence->shared->workers[i].index = i;
	}
	return 0;
}

static void count_outcomes(struct sequence *sequence)
{
	for (size_t i = 0; i < sequence->nr_blocks; i++) {
		const struct block *block = &sequence->blocks[i];

		sequence->nr_failed += block->outcome == OUTCOME_FAILED;
		sequence->nr_skipped += block->outcome == OUTCOME_SKIPPED;
		sequence->nr_kept += block->outcome == OUTCOME_KEPT;
		sequence->nr_untouched += block->available_bytes != UINT64_MAX;
	}
}

int sequence_run(const struct options *options, sequence_fn done, void *ctx, struct sequence *out)
{
	struct sequence_shared *shared;
	int err;

	memset(out, 0, sizeof(*out));
	out->options = options;
	err = map_sequence(out);
	if (err < 0)
		return err;
	shared = out->shared;
	shared->done = done;
	shared->ctx = ctx;
	shared->machine_bytes = room_machine_bytes();
	pthread_mutex_init(&shared->gate, NULL);
	err = -pthread_barrier_init(&shared->barrier, NULL, options->threads);
	if (err < 0)
		return err;
	shared->status_fd = reading_open();
	if (shared->status_fd < 0)
		return shared->status_fd;
	fill_blocks(out);
	err = run_threads(out);
	if (err == 0)
		count_outcomes(out);
	return err;
}

void sequence_close(struct sequence *sequence)
{
	struct sequence_shared *shared = sequence->shared;

	if (!shared)
		return;
	if (shared->status_fd >= 0)
		close(shared->status_fd);
	munmap(shared, shared->bytes);
	memset(sequence, 0, sizeof(*sequence));
}
