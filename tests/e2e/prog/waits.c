/* SPDX-License-Identifier: GPL-2.0-only */
/* waits: one thread for each call that can wait, most of which end with EINTR where they are stopped (signal(7)). Says "ready"
 * when all of them wait; at a line of standard input it gives each what it waits for, and prints a line "NAME: RESULT" for
 * each, as "epoll_wait: 1" or "semop: Interrupted system call". */
#include "prog.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <time.h>

#define LIMIT_S 600 /* of those that have one: never reached */

struct wait {
	const char *name;
	int nr;
	int (*call)(void);
	void (*give)(const struct wait *wait);
	int result;
	int error;
	atomic_int tid;
	pthread_t thread;
};

static const struct timespec limit = { .tv_sec = LIMIT_S };
static int event_fd, epoll_fd, semaphores, queue, listener, pair[2];

static int wait_epoll(void)
{
	struct epoll_event event;

	return epoll_wait(epoll_fd, &event, 1, -1);
}

static int wait_epoll_pwait(void)
{
	struct epoll_event event;
	sigset_t none;

	sigemptyset(&none);
	sigaddset(&none, SIGUSR1);
	return epoll_pwait(epoll_fd, &event, 1, LIMIT_S * 1000, &none);
}

static int wait_poll(void)
{
	struct pollfd poll_fd = { .fd = event_fd, .events = POLLIN };

	return poll(&poll_fd, 1, LIMIT_S * 1000);
}

static void give_event(const struct wait *wait)
{
	uint64_t one = 1;

	(void)wait;
	must(write(event_fd, &one, sizeof(one)) == sizeof(one));
}

static int wait_semop(void)
{
	struct sembuf down = { .sem_num = 0, .sem_op = -1 };

	return semop(semaphores, &down, 1);
}

static int wait_semtimedop(void)
{
	struct sembuf down = { .sem_num = 0, .sem_op = -1 };

	return (int)syscall(SYS_semtimedop, semaphores, &down, 1, &limit);
}

static void give_semaphore(const struct wait *wait)
{
	struct sembuf up = { .sem_num = 0, .sem_op = 1 };

	(void)wait;
	must(semop(semaphores, &up, 1) == 0);
}

static int wait_signal(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	return sigtimedwait(&set, NULL, &limit);
}

static void give_signal(const struct wait *wait)
{
	must(pthread_kill(wait->thread, SIGUSR1) == 0);
}

static int wait_recv(void)
{
	char byte;

	return (int)recv(pair[0], &byte, 1, 0);
}

static void give_byte(const struct wait *wait)
{
	(void)wait;
	must(send(pair[1], "x", 1, 0) == 1);
}

static int wait_accept(void)
{
	int fd = accept(listener, NULL, NULL);

	return fd < 0 ? fd : 0;
}

static void give_connection(const struct wait *wait)
{
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);

	(void)wait;
	must(getsockname(listener, (struct sockaddr *)&addr, &len) == 0);
	must(connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&addr, len) == 0);
}

static int wait_message(void)
{
	struct {
		long type;
		char text[8];
	} message;

	return (int)msgrcv(queue, &message, sizeof(message.text), 0, 0);
}

static void give_message(const struct wait *wait)
{
	const struct {
		long type;
		char text[8];
	} message = { .type = 1 };

	(void)wait;
	must(msgsnd(queue, &message, 1, 0) == 0);
}

#ifdef SYS_epoll_wait
#define NR_EPOLL SYS_epoll_wait
#else
#define NR_EPOLL SYS_epoll_pwait
#endif
#ifdef SYS_poll
#define NR_POLL SYS_poll
#else
#define NR_POLL SYS_ppoll
#endif

static struct wait waits[] = {
	{ .name = "epoll_wait", .nr = NR_EPOLL, .call = wait_epoll, .give = give_event },
	{ .name = "epoll_pwait", .nr = SYS_epoll_pwait, .call = wait_epoll_pwait, .give = give_event },
	{ .name = "poll", .nr = NR_POLL, .call = wait_poll, .give = give_event },
	{ .name = "semop", .nr = -1, .call = wait_semop, .give = give_semaphore },
	{ .name = "semtimedop", .nr = SYS_semtimedop, .call = wait_semtimedop, .give = give_semaphore },
	{ .name = "rt_sigtimedwait", .nr = SYS_rt_sigtimedwait, .call = wait_signal, .give = give_signal },
	{ .name = "recvfrom", .nr = SYS_recvfrom, .call = wait_recv, .give = give_byte },
	{ .name = "accept", .nr = SYS_accept, .call = wait_accept, .give = give_connection },
	{ .name = "msgrcv", .nr = SYS_msgrcv, .call = wait_message, .give = give_message },
};

#define WAITS (sizeof(waits) / sizeof(waits[0]))

static void *worker(void *arg)
{
	struct wait *wait = arg;

	wait->tid = (int)gettid();
	wait->result = wait->call();
	wait->error = wait->result < 0 ? errno : 0;
	return NULL;
}

/* Whether the thread sleeps in its call, as far as /proc tells (semop is semtimedop in some C libraries). */
static bool is_waiting(const struct wait *wait)
{
	char path[64], text[64] = "";
	int fd, nr;

	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", wait->tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	must(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	if (sscanf(text, "%d", &nr) != 1) /* "running" */
		return false;
	return wait->nr < 0 ? nr == SYS_semop || nr == SYS_semtimedop : nr == wait->nr;
}

/* Sockets are stopped like that only if they have a limit. */
static void limit_set(int fd)
{
	const struct timeval time = { .tv_sec = LIMIT_S };

	must(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time)) == 0);
}

static void set_up(void)
{
	struct epoll_event event = { .events = EPOLLIN };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	event_fd = eventfd(0, EFD_CLOEXEC);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	must(event_fd >= 0 && epoll_ctl(epoll_fd, EPOLL_CTL_ADD, event_fd, &event) == 0);
	semaphores = semget(IPC_PRIVATE, 1, 0600);
	queue = msgget(IPC_PRIVATE, 0600);
	must(semaphores >= 0 && queue >= 0);
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	must(listener >= 0 && listen(listener, 1) == 0);
	limit_set(pair[0]);
	limit_set(listener);
}

int main(void)
{
	char line[16];

	set_up();
	for (size_t i = 0; i < WAITS; i++)
		must(pthread_create(&waits[i].thread, NULL, worker, &waits[i]) == 0);
	for (size_t i = 0; i < WAITS; i++) {
		while (!waits[i].tid || !is_waiting(&waits[i]))
			sched_yield();
	}
	must(write(STDOUT_FILENO, "ready\n", 6) == 6);
	(void)!read(STDIN_FILENO, line, sizeof(line));
	for (size_t i = 0; i < WAITS; i++)
		waits[i].give(&waits[i]);
	for (size_t i = 0; i < WAITS; i++) {
		const struct wait *wait = &waits[i];

		pthread_join(wait->thread, NULL);
		if (wait->error)
			printf("%s: %s\n", wait->name, strerror(wait->error));
		else
			printf("%s: %d\n", wait->name, wait->result);
	}
	semctl(semaphores, 0, IPC_RMID);
	msgctl(queue, IPC_RMID, NULL);
	return 0;
}
