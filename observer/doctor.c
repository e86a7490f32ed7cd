/* SPDX-License-Identifier: GPL-2.0-only */
#include "doctor.h"

#include "base/diag.h"
#include "base/procfs.h"
#include "options.h"
#include "source/bpf_kernel.h"
#include "source/source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* One thing to try. Returns 0 where it works, with what was found in @diag or nothing; -errno with the reason and the
 * mend otherwise. */
struct check {
	const char *name;
	const char *use; /* what it is needed for */
	int (*try)(struct diag *diag);
};

/* Notes a finding that is no failure. */
#define FOUND(diag, ...) (diag_set(diag, 0, __VA_ARGS__))

static int try_kernel(struct diag *diag)
{
	struct utsname name;

	if (uname(&name))
		return diag_set(diag, -errno, "uname(2) fails: %s", strerror(errno));
	return FOUND(diag, "Linux %s, %s, %ld CPUs, pages of %ld bytes", name.release, name.machine,
		     sysconf(_SC_NPROCESSORS_CONF), sysconf(_SC_PAGESIZE));
}

static int try_rights(struct diag *diag)
{
	if (!geteuid())
		return FOUND(diag, "root");
	return diag_set(diag, -EPERM,
			"not root: run it with sudo for the bpf source; ptrace needs no rights for your own "
			"processes");
}

static int try_btf(struct diag *diag)
{
	if (!access("/sys/kernel/btf/vmlinux", R_OK))
		return 0;
	return diag_set(diag, -errno,
			"/sys/kernel/btf/vmlinux cannot be read: boot a kernel built with "
			"CONFIG_DEBUG_INFO_BTF");
}

static int try_programs(struct diag *diag)
{
	struct bpf_kernel_config config = { .follow = true };
	struct bpf_kernel_side *side = NULL;
	int err = bpf_kernel_load(&config, &side, diag);

	if (!err)
		err = bpf_kernel_attach(side, diag);
	bpf_kernel_free(side);
	return err;
}

/* Reads one number from @path; -1 where there is none. */
static long number_of(const char *path)
{
	FILE *file = fopen(path, "re");
	char text[32] = "";
	char *end;
	long value;

	if (!file)
		return -1;
	if (!fgets(text, sizeof(text), file))
		text[0] = '\0';
	fclose(file);
	value = strtol(text, &end, 10);
	return end == text ? -1 : value;
}

static int try_ptrace_scope(struct diag *diag)
{
	long scope = number_of("/proc/sys/kernel/yama/ptrace_scope");

	if (scope <= 0)
		return FOUND(diag, "not restricted");
	if (scope < 3)
		return FOUND(diag, "restricted to descendants%s (kernel.yama.ptrace_scope = %ld): -p needs root",
			     scope == 2 ? " of administrators" : "", scope);
	return diag_set(diag, -EPERM, "forbidden (kernel.yama.ptrace_scope = 3): only a reboot lifts that");
}

static int try_perf(struct diag *diag)
{
	long paranoid = number_of("/proc/sys/kernel/perf_event_paranoid");

	if (paranoid < 0)
		return diag_set(diag, -ENOTSUP,
				"the kernel has no perf events: the ptrace source then sees faults only as "
				"differences in /proc");
	if (geteuid() && paranoid > 2)
		return diag_set(diag, -EPERM,
				"kernel.perf_event_paranoid is %ld: set it to 2 for faults with addresses", paranoid);
	return FOUND(diag, "kernel.perf_event_paranoid = %ld", paranoid);
}

static int try_smaps_rollup(struct diag *diag)
{
	if (!access("/proc/self/smaps_rollup", R_OK))
		return 0;
	return diag_set(diag, -errno, "/proc/PID/smaps_rollup is missing (Linux 4.14 brought it)");
}

static const struct check checks[] = {
	{ "kernel", "", try_kernel },
	{ "rights", "bpf source", try_rights },
	{ "BTF", "bpf source", try_btf },
	{ "bpf(2), ring buffer", "bpf source", bpf_kernel_probe },
	{ "BPF programs", "bpf source", try_programs },
	{ "ptrace", "ptrace source", try_ptrace_scope },
	{ "perf events", "ptrace source", try_perf },
	{ "smaps_rollup", "checks of the books", try_smaps_rollup },
};

int doctor_run(void)
{
	const struct source_ops *best = NULL;

	for (size_t i = 0; i < sizeof(checks) / sizeof(*checks); i++) {
		const struct check *check = &checks[i];
		struct diag diag = { "" };
		int err = check->try(&diag);

		printf("%-4s %-20s %s", err ? "no" : "ok", check->name, diag.text[0] ? diag.text : "works");
		if (err && check->use[0])
			printf(" [%s]", check->use);
		printf("\n");
	}
	for (unsigned int i = 0; source_at(i) && !best; i++) {
		struct diag diag = { "" };

		if (source_at(i)->selectable && (!source_at(i)->probe || !source_at(i)->probe(&diag)))
			best = source_at(i);
	}
	if (best)
		printf("--source auto takes %s.\n", best->name);
	else
		printf("No source works here.\n");
	return fflush(stdout) || !best ? EXIT_FAILED : 0;
}
