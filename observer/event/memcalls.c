/* SPDX-License-Identifier: GPL-2.0-only */
#include "event/memcalls.h"

#include <asm/unistd.h>
#include <stddef.h>
#include <string.h>

/* Calls that an architecture lacks. */
#ifndef __NR_fork
#define __NR_fork -1
#endif
#ifndef __NR_vfork
#define __NR_vfork -1
#endif

/* Calls that are newer than the headers of some machines; numbers from 424 on are the same everywhere. */
#ifndef __NR_clone3
#define __NR_clone3 435
#endif
#ifndef __NR_process_madvise
#define __NR_process_madvise 440
#endif
#ifndef __NR_process_mrelease
#define __NR_process_mrelease 448
#endif
#ifndef __NR_map_shadow_stack
#define __NR_map_shadow_stack 453
#endif
#ifndef __NR_mseal
#define __NR_mseal 462
#endif

/* The last two arguments of clone(2) change places: CONFIG_CLONE_BACKWARDS. */
#ifdef __aarch64__
#define CLONE_ARG_4 "tls"
#define CLONE_ARG_5 "child_tid"
#else
#define CLONE_ARG_4 "child_tid"
#define CLONE_ARG_5 "tls"
#endif

#define CALL(id, call) #call, CALL_##id, __NR_##call

/* Argument names are those of the manual pages, except that mmap's length and offset are "len" and "off". */
static const struct memcall calls[] = {
	{ CALL(BRK, brk), MEMCALL_MAP | MEMCALL_RSS, RET_ADDR, { { "addr", ARG_ADDR } } },
	{ CALL(MMAP, mmap),
	  MEMCALL_MAP | MEMCALL_RSS,
	  RET_ADDR,
	  { { "addr", ARG_ADDR },
	    { "len", ARG_LEN },
	    { "prot", ARG_PROT },
	    { "flags", ARG_MAPFLAGS },
	    { "fd", ARG_FD },
	    { "off", ARG_OFFSET } } },
	{ CALL(MUNMAP, munmap), MEMCALL_MAP | MEMCALL_RSS, RET_ZERO, { { "addr", ARG_ADDR }, { "len", ARG_LEN } } },
	{ CALL(MREMAP, mremap),
	  MEMCALL_MAP | MEMCALL_RSS,
	  RET_ADDR,
	  { { "old_address", ARG_ADDR },
	    { "old_size", ARG_LEN },
	    { "new_size", ARG_LEN },
	    { "flags", ARG_REMAPFLAGS },
	    { "new_address", ARG_ADDR } } },
	{ CALL(MPROTECT, mprotect),
	  MEMCALL_PROT,
	  RET_ZERO,
	  { { "addr", ARG_ADDR }, { "len", ARG_LEN }, { "prot", ARG_PROT } } },
	{ CALL(PKEY_MPROTECT, pkey_mprotect),
	  MEMCALL_PROT,
	  RET_ZERO,
	  { { "addr", ARG_ADDR }, { "len", ARG_LEN }, { "prot", ARG_PROT }, { "pkey", ARG_INT } } },
	{ CALL(MADVISE, madvise),
	  MEMCALL_RSS,
	  RET_ZERO,
	  { { "addr", ARG_ADDR }, { "length", ARG_LEN }, { "advice", ARG_ADVICE } } },
	{ CALL(PROCESS_MADVISE, process_madvise),
	  MEMCALL_RSS | MEMCALL_OTHER,
	  RET_COUNT,
	  { { "pidfd", ARG_FD },
	    { "iovec", ARG_PTR },
	    { "vlen", ARG_INT },
	    { "advice", ARG_ADVICE },
	    { "flags", ARG_HEX } } },
	{ CALL(MLOCK, mlock), MEMCALL_RSS, RET_ZERO, { { "addr", ARG_ADDR }, { "len", ARG_LEN } } },
	{ CALL(MLOCK2, mlock2),
	  MEMCALL_RSS,
	  RET_ZERO,
	  { { "addr", ARG_ADDR }, { "len", ARG_LEN }, { "flags", ARG_MLOCKFLAGS } } },
	{ CALL(MUNLOCK, munlock), MEMCALL_RSS, RET_ZERO, { { "addr", ARG_ADDR }, { "len", ARG_LEN } } },
	{ CALL(MLOCKALL, mlockall), MEMCALL_RSS, RET_ZERO, { { "flags", ARG_MLOCKALL } } },
	{ CALL(MUNLOCKALL, munlockall), MEMCALL_RSS, RET_ZERO, { { NULL, ARG_NONE } } },
	{ CALL(SHMAT, shmat),
	  MEMCALL_MAP | MEMCALL_RSS,
	  RET_ADDR,
	  { { "shmid", ARG_INT }, { "shmaddr", ARG_ADDR }, { "shmflg", ARG_SHMFLAGS } } },
	{ CALL(SHMDT, shmdt), MEMCALL_MAP | MEMCALL_RSS, RET_ZERO, { { "shmaddr", ARG_ADDR } } },
	{ CALL(REMAP_FILE_PAGES, remap_file_pages),
	  MEMCALL_MAP | MEMCALL_RSS,
	  RET_ZERO,
	  { { "addr", ARG_ADDR },
	    { "size", ARG_LEN },
	    { "prot", ARG_PROT },
	    { "pgoff", ARG_HEX },
	    { "flags", ARG_MAPFLAGS } } },
	{ CALL(MAP_SHADOW_STACK, map_shadow_stack),
	  MEMCALL_MAP | MEMCALL_RSS,
	  RET_ADDR,
	  { { "addr", ARG_ADDR }, { "size", ARG_LEN }, { "flags", ARG_HEX } } },
	{ CALL(MSEAL, mseal),
	  MEMCALL_PROT,
	  RET_ZERO,
	  { { "addr", ARG_ADDR }, { "len", ARG_LEN }, { "flags", ARG_HEX } } },
	{ CALL(PROCESS_MRELEASE, process_mrelease),
	  MEMCALL_RSS | MEMCALL_OTHER,
	  RET_ZERO,
	  { { "pidfd", ARG_FD }, { "flags", ARG_HEX } } },
	{ CALL(EXECVE, execve),
	  MEMCALL_LIFE,
	  RET_ZERO,
	  { { "pathname", ARG_PATH }, { "argv", ARG_PTR }, { "envp", ARG_PTR } } },
	{ CALL(EXECVEAT, execveat),
	  MEMCALL_LIFE,
	  RET_ZERO,
	  { { "dirfd", ARG_FD },
	    { "pathname", ARG_PATH },
	    { "argv", ARG_PTR },
	    { "envp", ARG_PTR },
	    { "flags", ARG_HEX } } },
	{ CALL(FORK, fork), MEMCALL_LIFE, RET_PID, { { NULL, ARG_NONE } } },
	{ CALL(VFORK, vfork), MEMCALL_LIFE, RET_PID, { { NULL, ARG_NONE } } },
	{ CALL(CLONE, clone),
	  MEMCALL_LIFE,
	  RET_PID,
	  { { "flags", ARG_CLONEFLAGS },
	    { "stack", ARG_ADDR },
	    { "parent_tid", ARG_PTR },
	    { CLONE_ARG_4, ARG_PTR },
	    { CLONE_ARG_5, ARG_PTR } } },
	{ CALL(CLONE3, clone3), MEMCALL_LIFE, RET_PID, { { "cl_args", ARG_PTR }, { "size", ARG_LEN } } },
};

#define CALLS (sizeof(calls) / sizeof(calls[0]))

/* By syscall number: 1 + the index in calls, 0 where there is none. Filled on first use. */
#define NR_LIMIT 512
static unsigned char index_by_nr[NR_LIMIT];

static void fill_index(void)
{
	for (unsigned int i = 0; i < CALLS; i++) {
		if (calls[i].nr >= 0)
			index_by_nr[calls[i].nr] = (unsigned char)(i + 1);
	}
}

const struct memcall *memcall_by_nr(int nr)
{
	if (!index_by_nr[calls[0].nr])
		fill_index();
	if (nr < 0 || nr >= NR_LIMIT || !index_by_nr[nr])
		return NULL;
	return &calls[index_by_nr[nr] - 1];
}

const struct memcall *memcall_by_name(const char *name)
{
	for (unsigned int i = 0; i < CALLS; i++) {
		if (!strcmp(calls[i].name, name))
			return &calls[i];
	}
	return NULL;
}

const struct memcall *memcall_at(unsigned int index)
{
	for (unsigned int i = 0; i < CALLS; i++) {
		if (calls[i].nr >= 0 && !index--)
			return &calls[i];
	}
	return NULL;
}

unsigned int memcall_arg_count(const struct memcall *call)
{
	unsigned int count = 0;

	while (count < 6 && call->args[count].role != ARG_NONE)
		count++;
	return count;
}
