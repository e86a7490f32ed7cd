/* SPDX-License-Identifier: GPL-2.0-only */
/* perf_faults: the page faults that threads take in user mode, with their addresses, from the kernel's software events.
 * Needs no rights beyond those to trace the threads, as long as kernel.perf_event_paranoid is at most 2. */
#ifndef HEAPTRACE_PERF_FAULTS_H
#define HEAPTRACE_PERF_FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct perf_faults;

/* One fault, as the kernel has completed it. */
struct perf_fault {
	uint64_t ts_ns; /* CLOCK_MONOTONIC */
	uint64_t addr;
	uint64_t ip; /* of the instruction; 0: not asked for */
	pid_t pid, tid;
	bool major;
	uint64_t len; /* PERF_FAULTS_MAPPING: of the mapping at @addr; else 0 */
};

/* What a record of the ring is. */
enum perf_faults_kind { PERF_FAULTS_ONE, PERF_FAULTS_MAPPING, PERF_FAULTS_LOST, PERF_FAULTS_OTHER };

/* Takes one fault or mapping. */
typedef void (*perf_fault_fn)(void *ctx, const struct perf_fault *fault);

/* Nothing watched yet; @with_ip: faults are to have the address of their instruction. Mappings that are made are told of, too, as
 * far as they are not to be executed, as what they are when they have become one with their neighbours. SIGIO goes to the calling thread whenever
 * a buffer has filled by another quarter. NULL on lack of memory. */
struct perf_faults *perf_faults_new(bool with_ip);

/* Closes everything; NULL is legal. */
void perf_faults_free(struct perf_faults *faults);

/* Watches thread @tid and all threads and processes that it makes from now on; with @on_exec, beginning at its next exec.
 * 0, or -errno: -EACCES where the kernel does not allow it, -EMFILE where there are too few descriptors, -EAGAIN where there
 * may be no more threads. */
int perf_faults_watch(struct perf_faults *faults, pid_t tid, bool on_exec);

/* Hands over all faults and mappings that have been recorded, in the order of their times. Returns how many. */
size_t perf_faults_drain(struct perf_faults *faults, perf_fault_fn fn, void *ctx);

/* How many faults found no room since the last call. */
uint64_t perf_faults_lost(struct perf_faults *faults);

/* Decodes one record of @size bytes, given whether it has an instruction's address. PERF_FAULTS_ONE or, of an anonymous mapping, PERF_FAULTS_MAPPING with @out filled, PERF_FAULTS_LOST with the number in out->addr, or
 * PERF_FAULTS_OTHER. */
enum perf_faults_kind perf_faults_parse(const void *record, size_t size, bool with_ip, struct perf_fault *out);

#endif
