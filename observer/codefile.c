/* SPDX-License-Identifier: GPL-2.0-only */
#include "codefile.h"

#include "base/mapfile.h"
#include "event/memcalls.h"

#include <sys/mman.h>
#include <unistd.h>

/* What an mmap that succeeded has mapped as code. */
static bool call_maps(const struct event_change *change, struct mapfile *out)
{
	uint64_t page;

	if (change->cause != CAUSE_SYSCALL || !change->call || change->call->id != CALL_MMAP || !change->has_ret ||
	    change->ret < 0 || change->folded || !(change->args[2] & PROT_EXEC) || change->args[3] & MAP_ANONYMOUS)
		return false;
	page = (uint64_t)sysconf(_SC_PAGESIZE);
	out->start = (uint64_t)change->ret;
	out->end = out->start + (change->args[1] + page - 1) / page * page;
	out->path = change->text;
	return true;
}

static bool vma_maps(const struct event_vma *vma, struct mapfile *out)
{
	if (!(vma->prot & PROT_EXEC))
		return false;
	out->start = vma->start;
	out->end = vma->end;
	out->path = vma->path;
	out->dev = vma->dev;
	out->inode = vma->inode;
	return true;
}

int codefile_open(const struct event *event)
{
	/* By way of the process only: what else has the name now can be seen later, too. */
	struct mapfile map = { .pid = event->pid, .foreign = true };
	struct stat status;
	bool maps = false;
	int fd;

	if (event->kind == EVENT_CHANGE)
		maps = call_maps(&event->change, &map);
	else if (event->kind == EVENT_VMA)
		maps = vma_maps(&event->vma, &map);
	if (!maps || !map.path || map.path[0] != '/')
		return -1;
	fd = mapfile_open(&map, &status);
	return fd < 0 ? -1 : fd;
}
