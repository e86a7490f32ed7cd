/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/bpf_enter.h"

#include "base/procfs.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static int pid_enter(struct bpf_kernel_side *side, pid_t pid, pid_t tgid, struct diag *diag)
{
	int err = bpf_kernel_seed(side, SEED_ATTACH, tgid, 0);

	if (!err && bpf_kernel_shared(side)->seed_errors)
		err = -ENOMEM;
	if (!err)
		err = bpf_kernel_seed_vmas(side, tgid);
	if (err)
		return diag_set(diag, err, "cannot attach to process %d: %s", pid, strerror(-err));
	if (!bpf_kernel_shared(side)->stats.live_tasks)
		return diag_set(diag, -ESRCH,
				"process %d has no memory of its own (a zombie or a kernel thread): nothing to "
				"watch",
				pid);
	return 0;
}

static int watch_refused(pid_t pid, struct diag *diag)
{
	return diag_set(diag, -EACCES,
			"no right to watch process %d, which belongs to another user or has more rights: run heaptrace "
			"as root or with CAP_SYS_PTRACE",
			pid);
}

/* The programs would watch anybody. Whom the caller may watch is the kernel's rule for ptrace, asked before and after the
 * attach: in between the process may have begun to run a program with more rights. */
static int pid_attach(struct bpf_kernel_side *side, pid_t pid, struct diag *diag)
{
	pid_t tgid = procfs_tgid(pid);
	int dir = tgid < 0 ? tgid : procfs_open(tgid);
	int err = dir < 0 ? dir : procfs_may_watch(dir);

	if (dir < 0)
		err = diag_set(diag, err, "no process %d: check the number with ps", pid);
	else if (err == -EACCES)
		err = watch_refused(pid, diag);
	else if (err && err != -ESRCH) /* no memory: pid_enter says why */
		err = diag_set(diag, err, "cannot look into process %d: %s", pid, strerror(-err));
	else
		err = pid_enter(side, pid, tgid, diag);
	if (!err && procfs_may_watch(dir) == -EACCES)
		err = watch_refused(pid, diag);
	if (dir >= 0)
		close(dir);
	return err;
}

int bpf_enter(struct bpf_kernel_side *side, const struct source_config *config, struct diag *diag)
{
	int err = 0;

	if (config->child > 0) {
		err = bpf_kernel_seed(side, SEED_AWAIT_EXEC, 0, config->child);
		if (!err && bpf_kernel_shared(side)->stats.live_tasks != 1)
			err = -ESRCH;
		if (err)
			return diag_set(diag, err, "cannot watch the command: %s", strerror(-err));
	}
	for (unsigned int i = 0; i < config->pid_count && !err; i++)
		err = pid_attach(side, config->pids[i], diag);
	if (!err && config->pid_count)
		err = bpf_kernel_seed(side, SEED_SHARERS, 0, 0);
	if (!err && config->pid_count && bpf_kernel_shared(side)->rss_kind == WIRE_RSS_CACHED)
		err = bpf_kernel_seed(side, SEED_ENTERED, 0, 0);
	return err;
}
