/* SPDX-License-Identifier: GPL-2.0-only */
/* sym_worker: the process that reads hostile files. It has no capabilities, runs as nobody where heaptrace runs as root,
 * and has bounded memory and time; when it dies of a file, another takes its place. */
#ifndef HEAPTRACE_SYM_WORKER_H
#define HEAPTRACE_SYM_WORKER_H

#include <sys/types.h>

/* Starts it while nothing of value is open and before capabilities are given up. *@ret_fd is our end of the socket; the
 * process ends when that is closed. 0 or -errno. */
int sym_worker_start(int *ret_fd, pid_t *ret_pid);

#endif
