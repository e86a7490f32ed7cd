/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/ptrace_follow.h"

#include "base/procfs.h"
#include "source/ptrace_decode.h"

#include <string.h>

/* So many stops of one thread in a row make it worth while, and so often is looked where it is. */
#define STREAK_MIN  32
#define STREAK_LOOK 64

void follow_init(struct follow *follow)
{
	memset(follow, 0, sizeof(*follow));
	follow->usable = !sched_getaffinity(0, sizeof(follow->allowed), &follow->allowed);
}

void follow_release(struct follow *follow)
{
	if (follow->pinned)
		sched_setaffinity(0, sizeof(follow->allowed), &follow->allowed);
	follow->pinned = false;
}

/* The CPU that @tid last ran on; -1 where it is not known. */
static int cpu_of(pid_t tid)
{
	struct buf stat = { 0 };
	uint64_t cpu = CPU_SETSIZE;

	if (!procfs_read(tid, "stat", &stat))
		(void)ptrace_parse_stat(stat.data, stat.len, STAT_CPU, &cpu);
	buf_free(&stat);
	return cpu < CPU_SETSIZE ? (int)cpu : -1;
}

void follow_stop(struct follow *follow, pid_t tid)
{
	cpu_set_t one;
	int cpu;

	follow->stopped = true;
	if (tid != follow->tid) {
		if (follow->streak < STREAK_MIN)
			follow_release(follow); /* several take turns */
		follow->tid = tid;
		follow->streak = 0;
		return;
	}
	follow->streak++;
	if (!follow->usable || follow->streak < STREAK_MIN || follow->streak % STREAK_LOOK != STREAK_MIN)
		return;
	cpu = cpu_of(tid);
	if (cpu < 0 || !CPU_ISSET(cpu, &follow->allowed) || (follow->pinned && cpu == sched_getcpu()))
		return;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	follow->pinned = !sched_setaffinity(0, sizeof(one), &one);
}

void follow_tick(struct follow *follow)
{
	if (!follow->stopped)
		follow_release(follow);
	follow->stopped = false;
}
