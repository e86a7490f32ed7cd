/* SPDX-License-Identifier: GPL-2.0-only */
/* The ptrace source: no rights needed but to trace one's own processes. A process of its own traces; here its events are
 * taken from the memory that both share. */
#include "source/ptrace_ring.h"
#include "source/ptrace_seccomp.h"
#include "source/ptrace_tracer.h"
#include "source/source.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* While events come, the ring is looked at this often and nobody is woken for it. */
#define LOOK_INTERVAL_MS 5
#define READ_MAX	 4096

struct ptrace_source {
	struct source source;
	struct ptrace_shared *shared;
	pid_t tracer;
	int ready_fd; /* ends when the tracer does */
	bool busy;    /* the last look found events */
	bool ended;   /* the tracer has, and all that it wrote is there */
};

static struct ptrace_source *ptrace_of(struct source *source)
{
	return (struct ptrace_source *)source;
}

static int number_read(const char *path)
{
	char text[16] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	if (fd < 0)
		return -1;
	got = read(fd, text, sizeof(text) - 1);
	close(fd);
	return got > 0 ? atoi(text) : -1;
}

static int ptrace_probe(struct diag *diag)
{
	if (number_read("/proc/sys/kernel/yama/ptrace_scope") == 3)
		return diag_set(diag, -EPERM,
				"ptrace is forbidden on this machine (kernel.yama.ptrace_scope = 3) until it is "
				"rebooted without that");
	return 0;
}

static void ptrace_close(struct source *source)
{
	struct ptrace_source *ptrace = ptrace_of(source);

	if (!ptrace)
		return;
	if (ptrace->ready_fd >= 0)
		close(ptrace->ready_fd);
	/* At its end the kernel lets go of what it still traces: nobody is to find that halfway. */
	if (ptrace->tracer > 0 && atomic_load(&ptrace->shared->finished) && !atomic_load(&ptrace->shared->stays))
		waitpid(ptrace->tracer, NULL, 0);
	ptrace_shared_free(ptrace->shared);
	free(ptrace);
}

/* Starts the tracer and waits until it traces. 0, or -errno with @diag. */
static int tracer_start(struct ptrace_source *ptrace, const struct source_config *config, struct diag *diag)
{
	pid_t heaptrace = getpid();
	int ready[2], err = -EPIPE;
	ssize_t got;

	if (pipe2(ready, O_CLOEXEC))
		return diag_set(diag, -errno, "cannot start the tracer: %s", strerror(errno));
	ptrace->tracer = fork();
	if (!ptrace->tracer)
		tracer_run(config, ptrace->shared, heaptrace, ready[1]);
	close(ready[1]);
	ptrace->ready_fd = ready[0];
	if (ptrace->tracer < 0)
		return diag_set(diag, -errno, "cannot start the tracer: %s", strerror(errno));
	do
		got = read(ready[0], &err, sizeof(err));
	while (got < 0 && errno == EINTR);
	if (got != (ssize_t)sizeof(err))
		err = -EPIPE;
	if (!err)
		return 0;
	waitpid(ptrace->tracer, NULL, 0);
	return diag_set(diag, err, "%s",
			ptrace->shared->diag.text[0] ? ptrace->shared->diag.text : "the tracer has ended");
}

/* A call chain needs registers, and those a stop. */
static int (*in_child_of(const struct source_config *config))(void)
{
	if (config->no_seccomp)
		return ptrace_seccomp_in_child_without;
	return config->stacks == SOURCE_STACKS_NONE ? ptrace_seccomp_in_child_notifying : ptrace_seccomp_in_child;
}

static int ptrace_open(const struct source_config *config, struct source **ret_source, struct diag *diag)
{
	struct ptrace_source *ptrace = calloc(1, sizeof(*ptrace));
	int err;

	if (!ptrace)
		return diag_set(diag, -ENOMEM, "out of memory");
	ptrace->source.ops = &source_ptrace;
	ptrace->source.in_child = in_child_of(config);
	ptrace->ready_fd = -1;
	ptrace->shared = ptrace_shared_new(config->ring_bytes);
	err = ptrace->shared ? tracer_start(ptrace, config, diag) : diag_set(diag, -ENOMEM, "out of memory");
	if (err) {
		ptrace_close(&ptrace->source);
		return err;
	}
	*ret_source = &ptrace->source;
	return 0;
}

/* Sleeps until the tracer wakes us or ends, or for @timeout_ms. */
static void tracer_wait(struct ptrace_source *ptrace, int timeout_ms)
{
	struct pollfd fds[] = { { .fd = ptrace->shared->wake_fd, .events = POLLIN }, { .fd = ptrace->ready_fd } };
	uint64_t count;

	if (poll(fds, 2, timeout_ms) <= 0)
		return;
	if (fds[0].revents)
		(void)!read(ptrace->shared->wake_fd, &count, sizeof(count));
	ptrace->ended = fds[1].revents;
}

static int ptrace_poll(struct source *source, int timeout_ms, event_fn fn, void *ctx)
{
	struct ptrace_source *ptrace = ptrace_of(source);
	struct ptrace_shared *shared = ptrace->shared;
	bool finished;
	int count;

	if (ptrace->busy)
		tracer_wait(ptrace, timeout_ms < LOOK_INTERVAL_MS ? timeout_ms : LOOK_INTERVAL_MS);
	for (int look = 0; look < 2; look++) {
		/* Asked before the look: what was written before it is found by the look. */
		finished = atomic_load(&shared->finished);
		count = ptrace_ring_read(shared, READ_MAX, fn, ctx);
		ptrace->busy = count > 0;
		if (count)
			return count < 0 ? count : 1;
		if (finished)
			return -ENODATA;
		if (ptrace->ended)
			return -EPIPE;
		/* Announces the sleep, then looks once more for what came before it was seen. */
		atomic_store(&shared->sleeping, 1);
	}
	tracer_wait(ptrace, timeout_ms);
	return 0;
}

static int ptrace_detach(struct source *source, event_fn fn, void *ctx)
{
	struct ptrace_source *ptrace = ptrace_of(source);
	int got;

	atomic_store(&ptrace->shared->command, PTRACE_LET_GO);
	kill(ptrace->tracer, SIGALRM);
	do
		got = ptrace_poll(source, LOOK_INTERVAL_MS, fn, ctx);
	while (got >= 0);
	return got == -ENODATA ? 0 : got;
}

static unsigned int ptrace_caps(const struct source *source)
{
	const struct ptrace_source *ptrace = (const struct ptrace_source *)source;

	return atomic_load(&ptrace->shared->caps);
}

static const char *ptrace_remark(const struct source *source)
{
	const struct ptrace_source *ptrace = (const struct ptrace_source *)source;

	if (!atomic_load(&ptrace->shared->listener_wanted))
		return NULL;
	return "the program asks for a listener of its own for seccomp (seccomp_unotify(2)), and has got EBUSY, as there is "
	       "one already, by which it is watched: use --no-seccomp or --stacks dwarf";
}

const struct source_ops source_ptrace = {
	.name = "ptrace",
	.help = "ptrace(2) and perf page-fault events; needs no rights, and slows memory calls down",
	.caps = CAP_SYSCALLS | CAP_FAULTS | CAP_STACKS,
	.selectable = true,
	.probe = ptrace_probe,
	.open = ptrace_open,
	.poll = ptrace_poll,
	.detach = ptrace_detach,
	.caps_now = ptrace_caps,
	.remark = ptrace_remark,
	.close = ptrace_close,
};
