/* SPDX-License-Identifier: GPL-2.0-only */
/* memcalls: the one table of syscalls that change the address space or what of it is resident. A source decodes by it,
 * the model applies it to the map of the mm, reports print by it. */
#ifndef HEAPTRACE_MEMCALLS_H
#define HEAPTRACE_MEMCALLS_H

#include <stdbool.h>
#include <stdint.h>

/* How an argument is to be printed; its name in jsonl is arg.name. */
enum arg_role {
	ARG_NONE, /* no further argument */
	ARG_ADDR, /* address, NULL for 0 */
	ARG_LEN,  /* size in bytes */
	ARG_PROT, /* PROT_* */
	ARG_MAPFLAGS,
	ARG_REMAPFLAGS,
	ARG_ADVICE,
	ARG_MLOCKFLAGS,
	ARG_MLOCKALL,
	ARG_SHMFLAGS,
	ARG_CLONEFLAGS,
	ARG_FD,	    /* signed int */
	ARG_OFFSET, /* bytes */
	ARG_INT,    /* signed int */
	ARG_HEX,    /* unsigned, in hex */
	ARG_PATH,   /* a string: event_change.text */
	ARG_PTR,    /* a pointer whose target is not decoded */
};

/* What the return value of success means. */
enum ret_role { RET_ZERO, RET_ADDR, RET_COUNT, RET_PID };

enum memcall_flag {
	MEMCALL_MAP = 1 << 0,	/* may change which ranges are mapped: VIRT */
	MEMCALL_PROT = 1 << 1,	/* may change the protection of ranges */
	MEMCALL_RSS = 1 << 2,	/* may change residency */
	MEMCALL_LIFE = 1 << 3,	/* begins a process, a thread or an mm */
	MEMCALL_OTHER = 1 << 4, /* acts on another process's mm (process_madvise) */
};

/* Which it is, whatever its number: for tables and switches. */
enum memcall_id {
	CALL_BRK,
	CALL_MMAP,
	CALL_MUNMAP,
	CALL_MREMAP,
	CALL_MPROTECT,
	CALL_PKEY_MPROTECT,
	CALL_MADVISE,
	CALL_PROCESS_MADVISE,
	CALL_MLOCK,
	CALL_MLOCK2,
	CALL_MUNLOCK,
	CALL_MLOCKALL,
	CALL_MUNLOCKALL,
	CALL_SHMAT,
	CALL_SHMDT,
	CALL_REMAP_FILE_PAGES,
	CALL_MAP_SHADOW_STACK,
	CALL_MSEAL,
	CALL_PROCESS_MRELEASE,
	CALL_EXECVE,
	CALL_EXECVEAT,
	CALL_FORK,
	CALL_VFORK,
	CALL_CLONE,
	CALL_CLONE3,
};
#define CALL_COUNT (CALL_CLONE3 + 1)

struct memcall_arg {
	const char *name;
	enum arg_role role;
};

struct memcall {
	const char *name;
	enum memcall_id id;
	int nr; /* the number on this architecture, -1 where it has none */
	unsigned int flags;
	enum ret_role ret;
	struct memcall_arg args[6];
};

/* The description of syscall @nr, or NULL where it is none of the memory calls. Static. */
const struct memcall *memcall_by_nr(int nr);

/* The same by name; for recordings. */
const struct memcall *memcall_by_name(const char *name);

/* How many arguments it has. */
unsigned int memcall_arg_count(const struct memcall *call);

/* Walks the table: the @index-th entry, NULL past the end. Entries with nr -1 are left out. */
const struct memcall *memcall_at(unsigned int index);

/* The name of any syscall of this architecture, "syscall_N" for unknown numbers. Static or interned for ever. */
const char *syscall_name(int nr);

#endif
