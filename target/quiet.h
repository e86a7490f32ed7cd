/* SPDX-License-Identifier: GPL-2.0-only */
/* quiet: makes resident, before the experiment, whatever the experiment's own code and data would fault in on their
 * way, so that what the readings show is the memory under test and nothing else. */
#ifndef TARGET_QUIET_H
#define TARGET_QUIET_H

/* Makes the loaded objects (code, read-only data, and a private copy of each writable page) resident. Goes as far as
 * the kernel allows; what it cannot do is left to be faulted in. */
void quiet_objects(void);

/* Makes the stack of the calling thread resident below its present end, and zeroes it there. */
void quiet_stack(void);

#endif
