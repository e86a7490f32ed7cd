/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/proc.h"

#include "base/clock.h"
#include "base/map.h"
#include "base/procfs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct sampled {
	uint64_t mm;
	int32_t pid;
	char comm[EVENT_COMM_LEN];
};

struct proc_sampler {
	struct map alive; /* mm number -> struct sampled */
};

struct proc_sampler *proc_sampler_new(void)
{
	return calloc(1, sizeof(struct proc_sampler));
}

void proc_sampler_free(struct proc_sampler *sampler)
{
	size_t at = 0;
	void *value;

	if (!sampler)
		return;
	while ((value = map_next(&sampler->alive, &at, NULL)))
		free(value);
	map_free(&sampler->alive);
	free(sampler);
}

int proc_sampler_note(struct proc_sampler *sampler, const struct event *event)
{
	struct sampled *sampled;

	if (event->kind == EVENT_MM_CLOSE)
		free(map_del(&sampler->alive, event->mm));
	if (event->kind != EVENT_MM_OPEN)
		return 0;
	sampled = malloc(sizeof(*sampled));
	if (!sampled)
		return -ENOMEM;
	sampled->mm = event->mm;
	sampled->pid = event->pid;
	memcpy(sampled->comm, event->comm, sizeof(sampled->comm));
	if (!map_put(&sampler->alive, event->mm, sampled))
		return 0;
	free(sampled);
	return -ENOMEM;
}

int proc_sampler_tick(struct proc_sampler *sampler, event_fn fn, void *ctx)
{
	struct sampled *sampled;
	struct procfs_mem mem;
	size_t at = 0;
	int err = 0;

	while (!err && (sampled = map_next(&sampler->alive, &at, NULL))) {
		struct event event = {
			.kind = EVENT_SAMPLE, .pid = sampled->pid, .tid = sampled->pid, .mm = sampled->mm
		};

		if (procfs_mem(sampled->pid, &mem))
			continue;
		event.ts_ns = clock_ns(CLOCK_MONOTONIC);
		memcpy(event.comm, sampled->comm, sizeof(event.comm));
		event.sample.usage = (struct usage){
			.virt = mem.virt, .anon = mem.anon, .file = mem.file, .shmem = mem.shmem, .swap = mem.swap
		};
		err = fn(ctx, &event);
	}
	return err;
}
