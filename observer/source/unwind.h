/* SPDX-License-Identifier: GPL-2.0-only */
/* unwind: the call chain of a thread that is stopped, or of which registers and a piece of stack were copied, by the call
 * frame information of the objects that it has mapped. Frame pointers serve where code has none, as code made at run time.
 *
 * Files, memory and registers are the target's and not trusted: every loop and every allocation is bounded. Nothing here
 * blocks for longer than a read of a mapped file does. One thread at a time uses a cache with its spaces. */
#ifndef HEAPTRACE_UNWIND_H
#define HEAPTRACE_UNWIND_H

#include "base/dwarf_expr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define UNWIND_FRAMES_MAX 511

/* Objects and rows that have been read, shared by all address spaces. */
struct unwind_cache;

/* The code that one address space has mapped. */
struct unwind_space;

struct unwind_regs {
	uint64_t pc;
	uint64_t regs[64]; /* by DWARF number */
	uint64_t known;	   /* bit set: that register has a value */
};

struct unwind_frame {
	uint64_t addr;
	bool exact; /* as in struct frame of event.h */
};

struct unwind_stack {
	unsigned int count;
	bool complete; /* the walk reached the thread's start routine */
	bool unmapped; /* it ended at an address where no code is known to be */
	uint64_t id;   /* equal for equal frames in the same objects of one space; else different; never 0 */
	struct unwind_frame frames[UNWIND_FRAMES_MAX]; /* innermost first */
};

struct unwind_mapping {
	uint64_t start, end, offset;
	uint32_t prot;	     /* PROT_* */
	uint64_t dev, inode; /* 0, 0: no file */
	const char *path;    /* as in /proc/PID/maps; NULL: none. Copied */
};

/* A piece of stack that was copied. */
struct unwind_copy {
	uint64_t addr;
	const void *data;
	size_t len;
};

/* NULL on lack of memory. */
struct unwind_cache *unwind_cache_new(void);

/* Frees it; its spaces must be gone. NULL is legal. */
void unwind_cache_free(struct unwind_cache *cache);

/* The space of process @pid, through whose /proc files are opened; nothing mapped yet. NULL on lack of memory. */
struct unwind_space *unwind_space_new(struct unwind_cache *cache, pid_t pid);

/* The space of a child @pid, with all that its parent has mapped. NULL on lack of memory. */
struct unwind_space *unwind_space_fork(const struct unwind_space *parent, pid_t pid);

/* Frees it; what was read of its objects stays cached. NULL is legal. */
void unwind_space_free(struct unwind_space *space);

/* Another process or thread through whose /proc files are opened from now on. */
void unwind_space_set_pid(struct unwind_space *space, pid_t pid);

/* A mapping takes the place of what was there; without PROT_EXEC it only does away with that. 0 or -ENOMEM. */
int unwind_space_map(struct unwind_space *space, const struct unwind_mapping *mapping);

/* Nothing is mapped there any more. 0 or -ENOMEM. */
int unwind_space_unmap(struct unwind_space *space, uint64_t start, uint64_t end);

/* Brings all mappings up to date with /proc/PID/maps. 0 or -errno. */
int unwind_space_read(struct unwind_space *space);

/* Whether code is mapped somewhere in the range. */
bool unwind_space_has(const struct unwind_space *space, uint64_t start, uint64_t end);

/* Opens and reads what is mapped and was not read yet, as long as the process lives. Without this it is done at need. */
void unwind_space_load(struct unwind_space *space);

/* Where the function with an instruction at @addr begins, by its frame information; 0 where that is not known. */
uint64_t unwind_space_function(struct unwind_space *space, uint64_t addr);

/* Registers as PTRACE_GETREGSET gives them (NT_PRSTATUS), or the kernel's struct pt_regs, of this machine's architecture.
 * 0, or -EINVAL where @len is too short or the architecture has no table. */
int unwind_regs_take(const void *user_regs, size_t len, struct unwind_regs *out);

/* Registers of which only instruction and stack pointer are known, as a stop at a system call of architecture @audit_arch
 * (AUDIT_ARCH_*) tells: most walks need no more, as functions save what they use of the others. False where it is none of
 * this machine's own. */
bool unwind_regs_few(uint32_t audit_arch, uint64_t pc, uint64_t sp, struct unwind_regs *out);

/* Registers as perf events have them: those of perf_mask of unwind_arch.h, in the order of its bits. */
void unwind_regs_perf(const uint64_t *values, struct unwind_regs *out);

/* The stack pointer, 0 where it is not known. */
uint64_t unwind_regs_sp(const struct unwind_regs *regs);

/* Walks from @regs outward; memory is read by @read with @ctx. A walk that cannot go on ends there: it is not complete. */
void unwind_walk(struct unwind_space *space, const struct unwind_regs *regs, dwarf_read_fn read, void *ctx,
		 struct unwind_stack *out);

/* The same by frame pointers alone: for programs that keep them everywhere. */
void unwind_walk_fp(struct unwind_space *space, const struct unwind_regs *regs, dwarf_read_fn read, void *ctx,
		    struct unwind_stack *out);

/* A reader of a struct unwind_copy. */
bool unwind_copy_read(void *copy, uint64_t addr, void *out, size_t len);

#endif
