/* SPDX-License-Identifier: GPL-2.0-only */
#include "doctor.h"

#include "base/diag.h"
#include "base/procfs.h"
#include "options.h"
#include "source/bpf_kernel.h"
#include "source/bpf_probe.h"
#include "source/bpf_stacks.h"
#include "source/perf_faults.h"
#include "source/source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/utsname.h>
#include <unistd.h>

/* One thing to try. Returns 0 where it works, with what was found in @diag or nothing; -errno with the reason and the
 * mend otherwise. */
struct check {
	const char *name;
	const char *use; /* what it is needed for */
	int (*try)(struct diag *diag);
};

/* Left by try_programs for the lines below its own, and for the last one. */
static struct bpf_kernel_side *loaded;
static bool programs_load;

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

static bool has(cap_t now, cap_value_t capability)
{
	cap_flag_value_t value = CAP_CLEAR;

	return now && !cap_get_flag(now, capability, CAP_EFFECTIVE, &value) && value == CAP_SET;
}

static int try_rights(struct diag *diag)
{
	cap_t now = cap_get_proc();
	bool bpf = has(now, CAP_BPF), perfmon = has(now, CAP_PERFMON), ptrace = has(now, CAP_SYS_PTRACE);

	cap_free(now);
	if (bpf && perfmon)
		return FOUND(diag, "CAP_BPF and CAP_PERFMON%s",
			     ptrace ? ", and CAP_SYS_PTRACE for processes of others"
				    : "; without CAP_SYS_PTRACE only for your own processes");
	return diag_set(diag, -EPERM,
			"%s%s%s missing: run it with sudo for the bpf source; ptrace needs no rights for your own "
			"processes",
			bpf ? "" : "CAP_BPF ", perfmon ? "" : "CAP_PERFMON ", bpf || perfmon ? "is" : "are");
}

/* One line of @path without its end; false where it cannot be read. */
static bool line_of(const char *path, char *out, size_t size)
{
	FILE *file = fopen(path, "re");
	bool got = file && fgets(out, (int)size, file);

	if (file)
		fclose(file);
	if (got)
		out[strcspn(out, "\n")] = '\0';
	return got;
}

/* "none [integrity] confidentiality": the last forbids programs that read kernel memory. */
static int try_lockdown(struct diag *diag)
{
	char text[128];

	if (!line_of("/sys/kernel/security/lockdown", text, sizeof(text)))
		return FOUND(diag, "none that can be seen (/sys/kernel/security/lockdown is not there)");
	if (strstr(text, "[confidentiality]"))
		return diag_set(diag, -EPERM,
				"confidentiality: programs may not read kernel memory; boot without "
				"lockdown=confidentiality");
	return FOUND(diag, "%s", text);
}

static int try_seccomp(struct diag *diag)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[256];
	int mode = 0;

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "Seccomp: %d", &mode) == 1)
			break;
	if (file)
		fclose(file);
	return FOUND(diag, "%s",
		     mode == 2 ? "a filter is in force (a container?); what it forbids shows below" : "no filter");
}

static int try_btf(struct diag *diag)
{
	if (!access("/sys/kernel/btf/vmlinux", R_OK))
		return 0;
	return diag_set(diag, -errno,
			"/sys/kernel/btf/vmlinux cannot be read: boot a kernel built with "
			"CONFIG_DEBUG_INFO_BTF");
}

/* What the loaded programs found out about the kernel: the ways that they take here. */
static void mechanisms_print(const struct bpf_kernel_side *side)
{
	static const char *const rss[] = {
		[WIRE_RSS_PERCPU] = "per-CPU counters (Linux 6.2 and newer): seen as they change",
		[WIRE_RSS_ATOMIC] = "one counter an mm: seen as it changes",
		[WIRE_RSS_CACHED] =
			"one counter an mm and a cache a thread (before Linux 6.2): caches are read at each end of "
			"a fault or call",
	};
	volatile struct wire_shared *shared = bpf_kernel_shared(side);
	unsigned int found = shared->found;

	printf("     %-20s %s\n", "RSS is kept in", rss[shared->rss_kind <= WIRE_RSS_CACHED ? shared->rss_kind : 0]);
	printf("     %-20s %s\n", "VIRT is told by", "the mmap_lock tracepoints");
	printf("     %-20s %s\n", "calls are known by",
	       found & WIRE_FOUND_ANNOUNCED ? "sys_enter and sys_exit"
					    : "the registers that a thread came with, and sys_exit");
	printf("     %-20s %s\n", "the kernel is read",
	       !(found & WIRE_FOUND_LOADS)    ? "by calls (before Linux 6.2): each event costs more"
	       : (found & WIRE_FOUND_CURRENT) ? "by loads, the current task too"
					      : "by loads, but for the current task: each event costs more");
	printf("     %-20s %s\n", "mappings at exec",
	       found & WIRE_FOUND_VMA_ITER ? "by the kernel's iterator"
	       : found & WIRE_FOUND_MAPLE  ? "by walking the maple tree (the kernel has no iterator for programs)"
					   : "not known: rows on them name no region");
	printf("     %-20s %s\n", "call stacks",
	       bpf_stacks_mode(SOURCE_STACKS_AUTO) != WIRE_STACKS_CFI
		       ? "none: the registers of this architecture are not known; the ptrace source takes them"
	       : found & WIRE_FOUND_VMA_ITER
		       ? "walked in the kernel by .eh_frame, from copies where that is not compiled yet"
		       : "walked in the kernel by .eh_frame, from copies (the kernel has no iterator for programs) where "
			 "heaptrace has not read yet what was mapped");
	printf("     %-20s %s\n", "end of a process",
	       found & WIRE_FOUND_EXIT_GROUP ? "by sched_process_exit" : "by the count of living threads");
}

static int try_programs(struct diag *diag)
{
	struct bpf_kernel_config config = { .follow = true,
					    .attach = true,
					    .stacks = bpf_stacks_mode(SOURCE_STACKS_AUTO) };
	struct bpf_kernel_side *side = NULL;
	int err = bpf_kernel_load(&config, &side, diag);

	if (!err)
		err = bpf_kernel_attach(side, diag);
	if (err)
		bpf_kernel_free(side);
	else
		loaded = side;
	programs_load = !err;
	return err;
}

static int try_judge(struct diag *diag)
{
	if (procfs_status_is_exact())
		return FOUND(diag, "status has every page at once: the books are held against it");
	if (access("/proc/self/smaps_rollup", R_OK))
		return diag_set(
			diag, -ENOTSUP,
			"status lags behind by some pages, and there is no smaps_rollup: --sample and the ptrace source "
			"are not exact");
	return FOUND(diag,
		     "status lags behind by some pages: the books are held against smaps_rollup, which has file and "
		     "shmem in one");
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
	struct perf_faults *faults = perf_faults_new(false);
	int err = faults ? perf_faults_watch(faults, getpid(), true) : -ENOMEM;

	perf_faults_free(faults);
	if (!err)
		return FOUND(diag, "kernel.perf_event_paranoid = %ld", paranoid);
	if (paranoid > 2 && err == -EACCES) /* a level of Debian's kernels; others allow as much as at 2 */
		return diag_set(diag, err,
				"kernel.perf_event_paranoid is %ld: set it to 2 for faults with addresses; till then "
				"the ptrace source sees them as differences in /proc",
				paranoid);
	return diag_set(diag, err, "%s: the ptrace source sees faults only as differences in /proc",
			paranoid < 0 ? "the kernel has no perf events" : strerror(-err));
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
	{ "lockdown", "bpf source", try_lockdown },
	{ "seccomp", "bpf source", try_seccomp },
	{ "BTF", "bpf source", try_btf },
	{ "bpf(2), ring buffer", "bpf source", bpf_probe },
	{ "BPF programs", "bpf source", try_programs },
	{ "ptrace", "ptrace source", try_ptrace_scope },
	{ "perf events", "ptrace source", try_perf },
	{ "smaps_rollup", "checks of the books", try_smaps_rollup },
	{ "judge of the books", "checks of the books", try_judge },
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
		if (loaded) {
			mechanisms_print(loaded);
			bpf_kernel_free(loaded);
			loaded = NULL;
		}
	}
	for (unsigned int i = 0; source_at(i) && !best; i++) {
		struct diag diag = { "" };

		if (!source_at(i)->selectable || (source_at(i) == &source_bpf && !programs_load))
			continue;
		if (!source_at(i)->probe || !source_at(i)->probe(&diag))
			best = source_at(i);
	}
	if (best)
		printf("--source auto takes %s.\n", best->name);
	else
		printf("No source works here.\n");
	return fflush(stdout) || !best ? EXIT_FAILED : 0;
}
