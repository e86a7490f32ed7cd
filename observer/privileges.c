/* SPDX-License-Identifier: GPL-2.0-only */
#include "privileges.h"

#include <errno.h>
#include <linux/capability.h>
#include <stddef.h>
#include <sys/capability.h>
#include <sys/prctl.h>

/* BPF and PERFMON: reading maps, and the programs that run at the detach. SYS_PTRACE: /proc of other users' processes,
 * and ptrace itself. KILL: passing a signal on to a command that runs as somebody else. CHECKPOINT_RESTORE and
 * DAC_READ_SEARCH: opening the files that are mapped, deleted ones and those of mode 0711 among them; they are read by
 * a process without any capability (model/sym_worker.h). */
static const cap_value_t needed[] = {
	CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE, CAP_KILL, CAP_CHECKPOINT_RESTORE, CAP_DAC_READ_SEARCH
};

int privileges_drop(void)
{
	cap_t now = cap_get_proc(), kept = cap_init();
	int err = 0;

	if (!now || !kept) {
		err = -ENOMEM;
		goto out;
	}
	for (size_t i = 0; i < sizeof(needed) / sizeof(*needed); i++) {
		cap_flag_value_t has = CAP_CLEAR;

		if (cap_get_flag(now, needed[i], CAP_PERMITTED, &has) || has == CAP_CLEAR)
			continue;
		if (cap_set_flag(kept, CAP_PERMITTED, 1, &needed[i], CAP_SET) ||
		    cap_set_flag(kept, CAP_EFFECTIVE, 1, &needed[i], CAP_SET)) {
			err = -errno;
			goto out;
		}
	}
	if (cap_set_proc(kept) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		err = -errno;
out:
	cap_free(now);
	cap_free(kept);
	return err;
}
