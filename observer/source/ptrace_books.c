/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/ptrace_books.h"

#include "base/procfs.h"
#include "source/ptrace_claims.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* For what is between a fault and its record, and for a moment without faults. */
#define RESOLVE_TRIES 20
#define RESOLVE_NS    50000
#define MOMENT_TRIES  8
/* Faults of a single thread are not kept longer than that, or more of them. */
#define RUSH_NS	      1000000000ull
#define RUSH_RUNS     8192

struct event books_event(const struct ptrace_mm *mm, const struct ptrace_task *task, enum event_kind kind,
			 uint64_t ts_ns)
{
	struct event event = { .kind = kind, .ts_ns = ts_ns, .mm = mm->id };

	event.pid = task ? task->pid : mm->pid;
	event.tid = task ? task->tid : mm->pid;
	memcpy(event.comm, task ? task->comm : mm->comm, sizeof(event.comm));
	event.comm[sizeof(event.comm) - 1] = '\0';
	return event;
}

void books_send(struct tracer *tracer, const struct event *event, int nr)
{
	int err = ptrace_write(tracer->writer, event, nr);

	if (err && !tracer->error)
		tracer->error = err;
}

void books_row(struct tracer *tracer, struct ptrace_mm *mm, const struct ptrace_task *task, struct event_change *change,
	       int nr, uint64_t ts_ns)
{
	struct event event = books_event(mm, task, EVENT_CHANGE, ts_ns);

	change->order = ++mm->order;
	event.change = *change;
	usage_add(&mm->level, &change->delta);
	books_send(tracer, &event, nr);
}

static int level_from_status(struct ptrace_mm *mm, struct usage *out)
{
	struct procfs_mem mem;
	int err = procfs_mem(mm->fd_tid, &mem);

	if (err)
		return err;
	*out = (struct usage){
		.virt = mem.virt, .anon = mem.anon, .file = mem.file, .shmem = mem.shmem, .swap = mem.swap
	};
	mm->may_have_shmem |= mem.shmem != 0;
	mm->last = *out;
	return 0;
}

/* The three numbers of statm are a quarter of the price of status, and tell all there is to know unless file pages and shared
 * memory have to be told apart, or there is swap. */
int books_level(struct tracer *tracer, struct ptrace_mm *mm, struct usage *out)
{
	struct ptrace_statm statm;
	char text[256];
	int64_t size = (int64_t)tracer->page_size;
	ssize_t got;

	if (!procfs_status_is_exact() && !level_from_status(mm, out))
		return 0;
	got = pread(mm->statm_fd, text, sizeof(text), 0);
	if (got <= 0 || ptrace_parse_statm(text, (size_t)got, &statm) || !statm.size) {
		/* The thread whose files these are is at its end. */
		const struct ptrace_task *other = mm_other_task(tracer, mm, task_find(tracer, mm->fd_tid));

		if (other)
			mm_open_files(mm, other->tid);
		return level_from_status(mm, out);
	}
	if (mm->may_have_shmem || tracer->has_swap || (int64_t)statm.shared * size != mm->last.file)
		return level_from_status(mm, out);
	*out = (struct usage){ .virt = (int64_t)statm.size * size,
			       .anon = ((int64_t)statm.resident - (int64_t)statm.shared) * size,
			       .file = (int64_t)statm.shared * size };
	mm->last = *out;
	return 0;
}

static struct ptrace_run *run_new(struct ptrace_mm *mm)
{
	if (mm->run_count == mm->run_cap) {
		size_t cap = mm->run_cap ? mm->run_cap * 2 : 16;
		struct ptrace_run *runs = reallocarray(mm->runs, cap, sizeof(*runs));

		if (!runs)
			return NULL;
		mm->runs = runs;
		mm->run_cap = cap;
	}
	return &mm->runs[mm->run_count++];
}

static void fault_take(void *ctx, const struct perf_fault *fault)
{
	struct tracer *tracer = ctx;
	struct ptrace_task *task = task_find(tracer, fault->tid);
	struct ptrace_mm *mm = task ? task->mm : NULL;
	uint64_t page = fault->addr & ~(tracer->page_size - 1);
	struct ptrace_run *run;

	if (!mm)
		return;
	if (fault->len) {
		sure_seen(tracer, mm, fault);
		return;
	}
	mm->user_faults++;
	if (task->run_epoch == mm->epoch &&
	    ptrace_run_touches(&mm->runs[task->run_index], page, tracer->page_size, fault->major) &&
	    runstacks_same(tracer, mm, &mm->runs[task->run_index], fault) &&
	    ptrace_run_extend(&mm->runs[task->run_index], page, tracer->page_size, fault->major))
		return;
	run = run_new(mm);
	if (!run) {
		tracer->error = -ENOMEM;
		return;
	}
	*run = (struct ptrace_run){ .start = page,
				    .end = page + tracer->page_size,
				    .ts_ns = fault->ts_ns,
				    .count = 1,
				    .pid = task->pid,
				    .tid = task->tid,
				    .major = fault->major };
	memcpy(run->comm, task->comm, sizeof(run->comm));
	runstacks_begin(tracer, mm, fault, run);
	task->run_epoch = mm->epoch;
	task->run_index = mm->run_count - 1;
}

size_t books_collect(struct tracer *tracer)
{
	uint64_t lost;
	size_t count;

	if (!tracer->perf)
		return 0;
	runstacks_collect(tracer);
	count = perf_faults_drain(tracer->perf, fault_take, tracer);
	lost = perf_faults_lost(tracer->perf);
	if (lost) {
		struct event event = { .kind = EVENT_LOST, .ts_ns = tracer_now_ns() };

		/* Whose they were is not known: they stand for any. */
		for (struct ptrace_mm *mm = tracer->mms; mm; mm = mm->next)
			mm->lost_faults += lost;
		event.lost.records = lost;
		event.lost.what = "addresses of page faults";
		books_send(tracer, &event, -1);
	}
	return count;
}

bool books_pending(const struct tracer *tracer, const struct ptrace_mm *mm)
{
	return mm->run_count || mm->lost_faults || !tracer->perf;
}

static uint64_t faults_of(pid_t pid)
{
	struct buf text = { 0 };
	uint64_t minor = 0, major = 0;

	if (!procfs_read(pid, "stat", &text)) {
		(void)ptrace_parse_stat(text.data, text.len, STAT_MINOR_FAULTS, &minor);
		(void)ptrace_parse_stat(text.data, text.len, STAT_MAJOR_FAULTS, &major);
	}
	buf_free(&text);
	return minor + major;
}

/* All faults that the kernel has counted for the processes of @mm, those taken in kernel mode among them. */
static uint64_t faults_counted(const struct tracer *tracer, const struct ptrace_mm *mm)
{
	const struct ptrace_task *task;
	uint64_t sum = 0;
	bool own = false;
	size_t pos = 0;

	while ((task = map_next(&tracer->tasks, &pos, NULL))) {
		if (task->mm != mm || task->tid != task->pid)
			continue;
		sum += faults_of(task->pid);
		own |= task->pid == mm->pid;
	}
	return own ? sum : sum + faults_of(mm->pid);
}

void books_rebase_faults(struct tracer *tracer, struct ptrace_mm *mm)
{
	mm->fault_base = faults_counted(tracer, mm);
	mm->user_faults = 0;
}

/* How many faults were taken in kernel mode since the last time that this was asked; 0 also where that is not known. */
static uint64_t kernel_faults(struct tracer *tracer, struct ptrace_mm *mm)
{
	uint64_t all = faults_counted(tracer, mm), base = mm->fault_base;
	uint64_t user = mm->user_faults + mm->lost_faults;

	mm->fault_base = all;
	mm->user_faults = 0;
	return all > base + user ? all - base - user : 0;
}

static struct event_change change_of(enum cause cause, const char *name, uint64_t count, const struct usage *delta)
{
	return (struct event_change){
		.cause = cause, .name = name, .count = count ? count : 1, .delta = *delta, .attributed = true
	};
}

/* What the faults and calls that were seen do not explain, @count kernel-mode faults having been taken meanwhile. */
static void rest_book(struct tracer *tracer, struct ptrace_mm *mm, const struct ptrace_task *task, struct usage *rest,
		      uint64_t count)
{
	struct event_change change;

	if (!tracer->perf && count) {
		change = change_of(CAUSE_FAULT, "minor", count, rest);
	} else if (count && (rest->anon > 0 || rest->file > 0 || rest->shmem > 0 || rest->virt > 0)) {
		/* Where every call is seen and measured, what is left was taken between two: a signal's frame. */
		bool between = task && !task->filtered && !mm->had_threads;

		change = change_of(CAUSE_KERNEL_FAULT, between ? "signal" : "some syscall", count, rest);
		if (rest->virt > 0) {
			growing_look(&mm->growing, mm->maps_fd, mm->fd_tid);
			growing_book(&mm->growing, rest->virt);
		}
	} else if (mm->lost_faults) {
		change = change_of(CAUSE_FAULT, "minor", mm->lost_faults, rest);
	} else if (mm->had_threads || mm->was_rushed) {
		mm->doubtful_pages += (uint64_t)(llabs(usage_rss(rest)) / (int64_t)tracer->page_size);
		change = change_of(CAUSE_FAULT, "minor", 1, rest);
	} else if (task && !task->filtered) {
		change = change_of(CAUSE_KERNEL, "outside", 1, rest);
	} else {
		change = change_of(CAUSE_KERNEL, "unattributed", 1, rest);
		change.attributed = false;
	}
	mm->lost_faults = 0;
	books_row(tracer, mm, task, &change, -1, tracer_now_ns());
	*rest = (struct usage){ 0 };
}

static void run_book(struct tracer *tracer, struct ptrace_mm *mm, const struct ptrace_run *run,
		     const struct claim *claim)
{
	static const char *const names[] = { "minor", "major" };
	struct ptrace_task who = { .pid = run->pid, .tid = run->tid };
	struct event_change change =
		change_of(CAUSE_FAULT, claim->grew ? "stack" : names[run->major], run->count, &claim->delta);

	memcpy(who.comm, run->comm, sizeof(who.comm));
	change.addr = run->start;
	change.len = run->end - run->start;
	runstacks_put(tracer, run, &change);
	books_row(tracer, mm, &who, &change, -1, run->ts_ns);
}

static void usage_minus_claims(const struct ptrace_mm *mm, const struct claim *claims, struct usage *rest)
{
	for (size_t i = 0; i < mm->run_count; i++)
		usage_sub(rest, &claims[i].delta);
}

/* Where the pages do not tell which run did what, but all runs together did it: one row for all that are alike. */
static void runs_merge(struct ptrace_mm *mm, struct claim *claims, const struct usage *rest)
{
	struct ptrace_run *first = &mm->runs[0];

	for (size_t i = 1; i < mm->run_count; i++) {
		first->count += mm->runs[i].count;
		usage_add(&claims[0].delta, &claims[i].delta);
		claims[0].grew |= claims[i].grew;
	}
	usage_add(&claims[0].delta, rest);
	if (mm->run_count > 1) {
		first->start = first->end = first->ip = 0;
		runstacks_drop(mm->runs, mm->run_count);
	}
	mm->run_count = 1;
}

/* Books the runs, given that the level has moved by *@rest, of which their part is taken off. */
static int runs_book(struct tracer *tracer, struct ptrace_mm *mm, enum claim_trust trust, struct usage *rest,
		     uint64_t *ret_kernel_faults)
{
	struct claim *claims = calloc(mm->run_count, sizeof(*claims));
	int err = claims ? claims_make(mm, rest, trust, claims) : -ENOMEM;

	if (err) {
		free(claims);
		return err;
	}
	usage_minus_claims(mm, claims, rest);
	if (trust == CLAIM_ALONE && !usage_is_zero(rest))
		*ret_kernel_faults = kernel_faults(tracer, mm);
	/* Too much was claimed, as pages were there already that nobody had looked at; or too little, and nothing else can
	 * have done it. */
	if (trust == CLAIM_ALONE && !rest->virt && !usage_is_zero(rest) &&
	    (rest->anon < 0 || rest->file < 0 || rest->shmem < 0 || !*ret_kernel_faults)) {
		runs_merge(mm, claims, rest);
		*rest = (struct usage){ 0 };
	}
	for (size_t i = 0; i < mm->run_count; i++)
		run_book(tracer, mm, &mm->runs[i], &claims[i]);
	free(claims);
	runstacks_drop(mm->runs, mm->run_count);
	mm->run_count = 0;
	mm->epoch++;
	return 0;
}

/* Books the faults, given that the level is @now. What they do not explain is left in @ret_rest. */
static void explain(struct tracer *tracer, struct ptrace_mm *mm, const struct usage *now, enum claim_trust trust,
		    struct usage *ret_rest, uint64_t *ret_kernel_faults)
{
	int err = 0;

	*ret_rest = *now;
	*ret_kernel_faults = 0;
	usage_sub(ret_rest, &mm->level);
	if (mm->run_count)
		err = runs_book(tracer, mm, trust, ret_rest, ret_kernel_faults);
	else if (trust == CLAIM_ALONE && !usage_is_zero(ret_rest))
		*ret_kernel_faults = kernel_faults(tracer, mm);
	if (err && err != -EAGAIN)
		tracer->error = err;
}

struct usage books_explain(struct tracer *tracer, struct ptrace_mm *mm, const struct usage *now)
{
	struct usage rest;
	uint64_t count;

	books_collect(tracer);
	explain(tracer, mm, now, CLAIM_ROUGH, &rest, &count);
	return rest;
}

/* Reads the level and collects the faults so that both are of one moment: none came in between. False where they did not
 * stop coming. */
static bool moment_catch(struct tracer *tracer, struct ptrace_mm *mm, struct usage *now)
{
	books_collect(tracer);
	for (int i = 0; i < MOMENT_TRIES; i++) {
		if (books_level(tracer, mm, now) || !books_collect(tracer))
			return true;
	}
	return false;
}

/* Books what has changed, and all of it where the mm is quiet. True with *@ret_rest where what is left is known. */
static bool settle(struct tracer *tracer, struct ptrace_mm *mm, const struct ptrace_task *task, struct usage *ret_rest)
{
	bool quiet = mm_is_quiet(mm), clean = true;
	struct usage now;
	uint64_t count;

	sure_confirm(tracer, mm, NULL);
	now = mm->level;
	if (!quiet)
		clean = moment_catch(tracer, mm, &now);
	else if (!books_level(tracer, mm, &now))
		books_collect(tracer);
	explain(tracer, mm, &now, quiet ? CLAIM_ALONE : clean ? CLAIM_EXACT : CLAIM_ROUGH, ret_rest, &count);
	if (quiet && !usage_is_zero(ret_rest))
		rest_book(tracer, mm, task, ret_rest, count);
	return clean;
}

/* A single thread is stopped sooner or later, and then all is known exactly: until then only what is sure is booked, unless
 * it does not stop for long. */
static void settle_single(struct tracer *tracer, struct ptrace_mm *mm)
{
	struct usage now = mm->level, rest;
	bool clean = moment_catch(tracer, mm, &now);
	bool late = mm->run_count > RUSH_RUNS || (mm->run_count && tracer_now_ns() - mm->runs[0].ts_ns > RUSH_NS);
	uint64_t count;

	if (!mm->run_count || (!clean && !late))
		return;
	mm->was_rushed |= late;
	explain(tracer, mm, &now, !late ? CLAIM_SURE : clean ? CLAIM_EXACT : CLAIM_ROUGH, &rest, &count);
}

void books_settle(struct tracer *tracer, struct ptrace_mm *mm, const struct ptrace_task *task)
{
	struct usage rest;

	settle(tracer, mm, task, &rest);
}

/* What of @a and @b has one sign and is in both. */
static int64_t common(int64_t a, int64_t b)
{
	if ((a < 0) != (b < 0))
		return 0;
	return llabs(a) < llabs(b) ? a : b;
}

void books_settle_running(struct tracer *tracer, struct ptrace_mm *mm)
{
	struct usage rest, stays;

	if (mm->tasks == 1) {
		settle_single(tracer, mm);
		return;
	}
	if (!settle(tracer, mm, NULL, &rest) || mm->measuring)
		return;
	stays = (struct usage){
		.virt = common(rest.virt, mm->carried.virt),
		.anon = common(rest.anon, mm->carried.anon),
		.file = common(rest.file, mm->carried.file),
		.shmem = common(rest.shmem, mm->carried.shmem),
		.swap = common(rest.swap, mm->carried.swap),
	};
	usage_sub(&rest, &stays);
	mm->carried = rest;
	if (!usage_is_zero(&stays))
		rest_book(tracer, mm, NULL, &stays, kernel_faults(tracer, mm));
}

void books_resolve(struct tracer *tracer, struct ptrace_mm *mm, const struct ptrace_task *task)
{
	const struct timespec moment = { .tv_nsec = RESOLVE_NS };
	struct usage rest;
	bool known = false;

	for (int i = 0; i < RESOLVE_TRIES; i++) {
		known = settle(tracer, mm, task, &rest);
		if (mm->measuring || (known && usage_is_zero(&rest)))
			return;
		if (!tracer->perf)
			break;
		nanosleep(&moment, NULL);
	}
	if (known)
		rest_book(tracer, mm, task, &rest, kernel_faults(tracer, mm));
}
