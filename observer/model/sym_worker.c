/* SPDX-License-Identifier: GPL-2.0-only */
#include "model/sym_worker.h"

#include "base/map.h"
#include "model/sym_debuginfod.h"
#include "model/sym_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY	    65534
#define DATA_MAX    ((rlim_t)4 << 30)
#define QUERY_CPU_S 20 /* CPU time for one query */

struct worker {
	int fd;
	struct map readers; /* by object + 1 */
};

/* Takes a descriptor that came with @msg, or -1. */
static int descriptor_of(struct msghdr *msg)
{
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg);
	int fd = -1;

	if (cmsg && cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS &&
	    cmsg->cmsg_len == CMSG_LEN(sizeof(fd)))
		memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
	return fd;
}

static void add_object(struct worker *worker, const struct sym_head *head, const char *path, int fd)
{
	struct sym_reader *reader;

	if (fd < 0)
		return;
	reader = sym_reader_new(fd, *path ? path : NULL);
	sym_reader_free(map_del(&worker->readers, head->id + 1ull));
	if (reader && map_put(&worker->readers, head->id + 1ull, reader))
		sym_reader_free(reader);
}

/* The time that one query may take is the CPU's: on a busy machine the clock says little. */
static void watchdog(time_t seconds)
{
	struct itimerval timer = { .it_value = { .tv_sec = seconds } };

	setitimer(ITIMER_PROF, &timer, NULL);
}

static int send_packet(struct worker *worker, struct buf *packet, struct sym_head *head)
{
	if (buf_error(packet))
		return -ENOMEM;
	memcpy(packet->data, head, sizeof(*head));
	if (send(worker->fd, packet->data, packet->len, MSG_NOSIGNAL) < 0)
		return -errno;
	head->first += head->count;
	head->count = 0;
	buf_reset(packet);
	buf_add(packet, head, sizeof(*head));
	return 0;
}

static int answer(struct worker *worker, uint32_t id, const struct sym_item *items, uint32_t count)
{
	struct sym_head head = { .kind = SYM_FOUND, .id = id };
	struct sym_frame frames[SYM_FRAMES_MAX];
	struct buf packet = { 0 };
	int err = 0;

	buf_add(&packet, &head, sizeof(head));
	for (uint32_t i = 0; i < count && !err; i++) {
		struct sym_reader *reader = map_get(&worker->readers, items[i].object + 1ull);
		unsigned int found = reader ? sym_reader_find(reader, items[i].offset, frames) : 0;

		if (!sym_wire_put(&packet, frames, found)) {
			err = send_packet(worker, &packet, &head);
			/* What does not fit an empty packet loses its inlined frames. */
			if (!sym_wire_put(&packet, frames, found))
				sym_wire_put(&packet, frames + found - 1, 1);
		}
		head.count++;
	}
	if (!err)
		err = send_packet(worker, &packet, &head);
	buf_free(&packet);
	return err;
}

/* Takes one packet. 1, 0 when the other side is gone, or -errno. */
static int serve_one(struct worker *worker, char *data)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec part = { .iov_base = data, .iov_len = SYM_PACKET_MAX };
	struct msghdr msg = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};
	struct sym_head head;
	ssize_t got = recvmsg(worker->fd, &msg, MSG_CMSG_CLOEXEC);
	int err = 0;

	if (got <= 0)
		return got < 0 ? -errno : 0;
	if ((size_t)got < sizeof(head))
		return -EBADMSG;
	memcpy(&head, data, sizeof(head));
	data[got] = '\0';
	if (head.kind == SYM_OBJECT) {
		add_object(worker, &head, data + sizeof(head), descriptor_of(&msg));
	} else if (head.kind == SYM_DROP) {
		sym_reader_free(map_del(&worker->readers, head.id + 1ull));
	} else if (head.kind == SYM_FIND && head.count <= SYM_ITEMS_MAX &&
		   (size_t)got == sizeof(head) + head.count * sizeof(struct sym_item)) {
		watchdog(QUERY_CPU_S);
		err = answer(worker, head.id, (const struct sym_item *)(data + sizeof(head)), head.count);
		watchdog(0);
	}
	return err ? err : 1;
}

static _Noreturn void serve(int fd)
{
	struct worker worker = { .fd = fd };
	char *data = malloc(SYM_PACKET_MAX + 1);
	int got = data ? 1 : -ENOMEM;

	while (got > 0 || got == -EINTR)
		got = serve_one(&worker, data);
	/* Whatever is still open ends with the process; an end that was not asked for is the death that it looks like. */
	_exit(got ? EXIT_FAILURE : EXIT_SUCCESS);
}

static void set_limit(int resource, rlim_t most)
{
	struct rlimit limit = { most, most };

	setrlimit(resource, &limit);
}

/* Gives up everything but reading what anybody may read. 0 or -errno. */
static int confine(void)
{
	cap_t none = cap_init();
	int err = none ? 0 : -ENOMEM;

	if (!err && !geteuid() &&
	    (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY)))
		err = -errno;
	if (!err && (cap_set_proc(none) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_DUMPABLE, 0)))
		err = -errno;
	cap_free(none);
	set_limit(RLIMIT_CORE, 0);
	if (!sym_debuginfod_wanted())
		set_limit(RLIMIT_FSIZE, 0);
#ifndef __SANITIZE_ADDRESS__ /* whose shadow is larger than any limit */
	set_limit(RLIMIT_DATA, DATA_MAX);
#endif
	return err;
}

static void reset_signals(void)
{
	sigset_t none;

	/* Ctrl-C is for heaptrace, which still needs its names then. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Keeps standard input, output and error as something harmless, and @fd as 3; everything else is closed. */
static int keep_only(int fd)
{
	int null = open("/dev/null", O_RDWR);

	if (null < 0)
		return -errno;
	for (int i = 0; i < 3; i++)
		if (dup2(null, i) < 0)
			return -errno;
	if (fd != 3 && dup2(fd, 3) < 0)
		return -errno;
	return syscall(SYS_close_range, 4, ~0u, 0) ? -errno : 0;
}

/* Runs a worker, and another when that has died, until one ends by itself. The status to exit with. */
static int supervise(int fd)
{
	struct sym_head died = { .kind = SYM_DIED };
	int status;
	pid_t pid;

	for (;;) {
		pid = fork();
		if (pid < 0)
			return EXIT_FAILURE;
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			serve(fd);
		}
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS)
			return EXIT_SUCCESS;
		if (send(fd, &died, sizeof(died), MSG_NOSIGNAL) < 0)
			return EXIT_FAILURE;
	}
}

int sym_worker_start(int *ret_fd, pid_t *ret_pid)
{
	pid_t pid, parent = getpid();
	int fds[2], status;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds))
		return -errno;
	pid = fork();
	if (pid < 0) {
		int err = -errno;

		close(fds[0]);
		close(fds[1]);
		return err;
	}
	if (!pid) {
		reset_signals();
		if (keep_only(fds[1]) || confine() || prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
			_exit(EXIT_FAILURE);
		prctl(PR_SET_NAME, "heaptrace-names", 0, 0, 0);
		sym_debuginfod_begin();
		status = supervise(3);
		sym_debuginfod_end();
		_exit(status);
	}
	close(fds[1]);
	*ret_fd = fds[0];
	*ret_pid = pid;
	return 0;
}
