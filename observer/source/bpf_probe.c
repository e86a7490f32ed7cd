/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/bpf_probe.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Whether a capability is in force; CAP_SYS_ADMIN stands for both that bpf(2) asks for. */
static bool has_capability(cap_value_t wanted)
{
	cap_t now = cap_get_proc();
	cap_flag_value_t has = CAP_CLEAR, all = CAP_CLEAR;

	if (!now)
		return true; /* bpf(2) will say */
	cap_get_flag(now, wanted, CAP_EFFECTIVE, &has);
	cap_get_flag(now, CAP_SYS_ADMIN, CAP_EFFECTIVE, &all);
	cap_free(now);
	return has == CAP_SET || all == CAP_SET;
}

int bpf_probe(struct diag *diag)
{
	union bpf_attr attr = { 0 };
	long fd;

	if (access("/sys/kernel/btf/vmlinux", R_OK))
		return diag_set(diag, -ENOTSUP,
				"the kernel offers no type information (/sys/kernel/btf/vmlinux): boot one built with "
				"CONFIG_DEBUG_INFO_BTF, or use --source ptrace");
	attr.map_type = BPF_MAP_TYPE_RINGBUF;
	attr.max_entries = (unsigned int)sysconf(_SC_PAGESIZE);
	fd = syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));
	if (fd >= 0) {
		close((int)fd);
		if (has_capability(CAP_PERFMON))
			return 0;
		return diag_set(
			diag, -EPERM,
			"eBPF needs root or the capabilities CAP_BPF and CAP_PERFMON, and CAP_PERFMON is missing: "
			"run it with sudo, or use --source ptrace");
	}
	if (errno == EPERM)
		return diag_set(
			diag, -EPERM,
			!has_capability(CAP_BPF)
				? "eBPF needs root or the capabilities CAP_BPF and CAP_PERFMON, and CAP_BPF is missing: run "
				  "it with sudo, or use --source ptrace"
				: "bpf(2) is refused in spite of CAP_BPF (a container's seccomp profile, or kernel "
				  "lockdown): run it on the host, or use --source ptrace");
	if (errno == EINVAL)
		return diag_set(diag, -ENOTSUP,
				"the kernel has no BPF ring buffer (Linux 5.8 brought it): use --source ptrace");
	if (errno == ENOSYS)
		return diag_set(diag, -ENOTSUP, "the kernel has no bpf(2): use --source ptrace");
	return diag_set(diag, -errno, "bpf(2) fails: %s: use --source ptrace", strerror(errno));
}

bool bpf_may_read_kernel(void)
{
	const struct bpf_insn program[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_1, .src_reg = BPF_REG_10 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_1, .imm = -8 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_2, .imm = 8 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = 0 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_probe_read_kernel },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_RAW_TRACEPOINT, "may_read", "GPL", program,
			       sizeof(program) / sizeof(*program), NULL);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}
