/* SPDX-License-Identifier: GPL-2.0-only */
/* doctor: what works on this machine, what is missing, and how to mend it. */
#ifndef HEAPTRACE_DOCTOR_H
#define HEAPTRACE_DOCTOR_H

/* Tries each mechanism and prints a line for each on standard output. Returns 0 where a source works, else 125. */
int doctor_run(void);

#endif
