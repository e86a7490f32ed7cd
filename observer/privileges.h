/* SPDX-License-Identifier: GPL-2.0-only */
/* privileges: giving up what is not needed once everything is armed. */
#ifndef HEAPTRACE_PRIVILEGES_H
#define HEAPTRACE_PRIVILEGES_H

/* Keeps of the capabilities only those that watching and letting go need, and forbids to gain any. 0 or -errno; without
 * capabilities there is nothing to do. */
int privileges_drop(void);

#endif
