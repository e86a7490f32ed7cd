/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/ptrace_decode.h"

#include <errno.h>
#include <linux/mman.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define X32_BIT 0x40000000u /* x32 calls come with the architecture of x86-64 and this bit in the number */

#define MAX_ERRNO      4095
#define RESTART_FIRST  512 /* ERESTARTSYS .. ERESTART_RESTARTBLOCK of include/linux/errno.h: never seen by the caller */
#define RESTART_LAST   516
#define MAP_POPULATES  (MAP_POPULATE | MAP_LOCKED | MAP_HUGETLB | MAP_GROWSDOWN)
#define MREMAP_UNUSUAL (MREMAP_FIXED | MREMAP_DONTUNMAP)

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

bool ptrace_restarts(int64_t ret)
{
	return ret <= -RESTART_FIRST && ret >= -RESTART_LAST;
}

bool ptrace_failed(int64_t ret)
{
	return ret < 0 && ret >= -MAX_ERRNO;
}

static uint64_t round_up(uint64_t value, uint64_t page_size)
{
	return (value + page_size - 1) & ~(page_size - 1);
}

/* Advice that neither fills nor drops a page. MADV_FREE is none: it drops what is in swap at once. */
static bool advice_is_idle(uint64_t advice)
{
	static const unsigned char idle[] = { MADV_NORMAL,   MADV_RANDOM,   MADV_SEQUENTIAL, MADV_DONTFORK,
					      MADV_DOFORK,   MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_DONTDUMP,
					      MADV_DODUMP,   MADV_COLD,	    MADV_WIPEONFORK, MADV_KEEPONFORK,
					      MADV_MERGEABLE };

	for (size_t i = 0; i < sizeof(idle); i++) {
		if ((uint32_t)advice == idle[i])
			return true;
	}
	return false;
}

/* Only private or shared anonymous mappings at an address of the kernel's choice: their length is a matter of pages, and
 * nothing is there before. */
static enum ptrace_effect mmap_effect(const uint64_t args[static 6], const struct ptrace_view *view)
{
	uint64_t flags = args[3];

	if (!(flags & MAP_ANONYMOUS) || (flags & (MAP_POPULATES | MAP_FIXED)) || view->locked)
		return EFFECT_MEASURED;
	return EFFECT_GROWTH;
}

static enum ptrace_effect brk_effect(const uint64_t args[static 6], const struct ptrace_view *view)
{
	if (!args[0])
		return EFFECT_NONE;
	if (!view->brk || view->locked || args[0] < view->brk)
		return EFFECT_MEASURED;
	return EFFECT_GROWTH;
}

enum ptrace_effect ptrace_effect(const struct memcall *call, const uint64_t args[static 6],
				 const struct ptrace_view *view)
{
	switch (call->nr) {
	case SYS_mmap:
		return mmap_effect(args, view);
	case SYS_brk:
		return brk_effect(args, view);
	case SYS_mprotect:
	case SYS_pkey_mprotect: /* makes locked pages that could not be filled before */
		return view->locked ? EFFECT_MEASURED : EFFECT_NONE;
	case SYS_madvise:
		return advice_is_idle(args[2]) ? EFFECT_NONE : EFFECT_MEASURED;
	case SYS_munlock:
	case SYS_munlockall:
		return EFFECT_NONE;
	default:
		return EFFECT_MEASURED;
	}
}

int64_t ptrace_growth(const struct memcall *call, const uint64_t args[static 6], int64_t ret,
		      const struct ptrace_view *view)
{
	if (ptrace_failed(ret))
		return 0;
	if (call->nr == SYS_brk)
		return (int64_t)(round_up((uint64_t)ret, view->page_size) - round_up(view->brk, view->page_size));
	return (int64_t)round_up(args[1], view->page_size);
}

bool ptrace_locks(const struct memcall *call, const uint64_t args[static 6])
{
	if (call->nr == SYS_mmap)
		return args[3] & MAP_LOCKED;
	return call->nr == SYS_mlock || call->nr == SYS_mlock2 || call->nr == SYS_mlockall;
}

bool ptrace_drops(const struct memcall *call, const uint64_t args[static 6], const struct ptrace_view *view)
{
	switch (call->nr) {
	case SYS_munmap:
		return true;
	case SYS_mmap:
		return args[3] & MAP_FIXED && !(args[3] & (MAP_POPULATE | MAP_LOCKED)) && !view->locked;
	case SYS_brk:
		return args[0] && args[0] < view->brk;
	case SYS_madvise:
		return (int)args[2] == MADV_DONTNEED || (int)args[2] == MADV_DONTNEED_LOCKED ||
		       (int)args[2] == MADV_REMOVE;
	default:
		return false;
	}
}

static void range_add(struct ptrace_range *ranges, unsigned int *count, uint64_t start, uint64_t len,
		      uint64_t page_size)
{
	struct ptrace_range range;

	if (!len || start + len < start || start + len > UINT64_MAX - page_size)
		return;
	range.start = start & ~(page_size - 1);
	range.end = round_up(start + len, page_size);
	for (unsigned int i = 0; i < *count; i++) {
		if (range.start >= ranges[i].end || range.end <= ranges[i].start)
			continue;
		if (range.start < ranges[i].start)
			ranges[i].start = range.start;
		if (range.end > ranges[i].end)
			ranges[i].end = range.end;
		return;
	}
	ranges[(*count)++] = range;
}

static void mremap_ranges(const uint64_t args[static 6], uint64_t page_size, bool moved, int64_t ret,
			  struct ptrace_range *out, unsigned int *count)
{
	range_add(out, count, args[0], args[1] ? args[1] : args[2], page_size);
	if (args[3] & MREMAP_FIXED)
		range_add(out, count, args[4], args[2], page_size);
	else if (moved)
		range_add(out, count, (uint64_t)ret, args[2], page_size);
}

unsigned int ptrace_ranges(const struct memcall *call, const uint64_t args[static 6], const struct ptrace_view *view,
			   bool returned, int64_t ret, struct ptrace_range out[static PTRACE_RANGES])
{
	bool success = returned && !ptrace_failed(ret);
	unsigned int count = 0;

	switch (call->nr) {
	case SYS_mmap:
		if (args[3] & MAP_FIXED)
			range_add(out, &count, args[0], args[1], view->page_size);
		else if (success)
			range_add(out, &count, (uint64_t)ret, args[1], view->page_size);
		break;
	case SYS_mremap:
		mremap_ranges(args, view->page_size, success, ret, out, &count);
		break;
	case SYS_brk:
		if (view->brk && args[0] > view->brk)
			range_add(out, &count, view->brk, args[0] - view->brk, view->page_size);
		else if (view->brk && args[0] && round_up(args[0], view->page_size) < view->brk)
			range_add(out, &count, round_up(args[0], view->page_size),
				  view->brk - round_up(args[0], view->page_size), view->page_size);
		break;
	case SYS_munmap:
	case SYS_madvise:
	case SYS_mlock:
	case SYS_mlock2:
	case SYS_mprotect:
	case SYS_pkey_mprotect:
	case SYS_remap_file_pages:
		range_add(out, &count, args[0], args[1], view->page_size);
		break;
	default:
		break;
	}
	return count;
}

#define UNTRANSLATED (-1)

/* Those of arch/x86/entry/syscalls/syscall_32.tbl that are memory calls, change memory beside their purpose, or tell us
 * something. Untranslated ones hide their arguments in a structure. */
static const struct i386_call {
	unsigned short nr;
	short native;
	const char *name;
} i386_calls[] = {
#if defined(__x86_64__)
	{ 2, SYS_fork, "fork" },
	{ 4, SYS_write, "write" },
	{ 11, SYS_execve, "execve" },
	{ 45, SYS_brk, "brk" },
	{ 90, UNTRANSLATED, "mmap" },
	{ 91, SYS_munmap, "munmap" },
	{ 92, SYS_truncate, "truncate" },
	{ 93, SYS_ftruncate, "ftruncate" },
	{ 117, UNTRANSLATED, "ipc" },
	{ 120, SYS_clone, "clone" },
	{ 125, SYS_mprotect, "mprotect" },
	{ 150, SYS_mlock, "mlock" },
	{ 151, SYS_munlock, "munlock" },
	{ 152, SYS_mlockall, "mlockall" },
	{ 153, SYS_munlockall, "munlockall" },
	{ 163, SYS_mremap, "mremap" },
	{ 172, SYS_prctl, "prctl" },
	{ 190, SYS_vfork, "vfork" },
	{ 192, SYS_mmap, "mmap2" },
	{ 193, SYS_truncate, "truncate64" },
	{ 194, SYS_ftruncate, "ftruncate64" },
	{ 219, SYS_madvise, "madvise" },
	{ 245, SYS_io_setup, "io_setup" },
	{ 246, SYS_io_destroy, "io_destroy" },
	{ 257, SYS_remap_file_pages, "remap_file_pages" },
	{ 324, SYS_fallocate, "fallocate" },
	{ 358, SYS_execveat, "execveat" },
	{ 376, SYS_mlock2, "mlock2" },
	{ 380, SYS_pkey_mprotect, "pkey_mprotect" },
	{ 397, SYS_shmat, "shmat" },
	{ 398, SYS_shmdt, "shmdt" },
	{ 435, SYS_clone3, "clone3" },
	{ 440, SYS_process_madvise, "process_madvise" },
#endif
	{ 0, UNTRANSLATED, NULL }
};

#define I386_PAGE_SHIFT 12 /* of the offset of mmap2 */

static const struct i386_call *i386_find(const struct ptrace_entry *entry)
{
	if (entry->arch != AUDIT_ARCH_I386)
		return NULL;
	for (const struct i386_call *call = i386_calls; call->name; call++) {
		if (call->nr == entry->nr)
			return call;
	}
	return NULL;
}

bool ptrace_translate(struct ptrace_entry *entry)
{
	const struct i386_call *call = i386_find(entry);
	uint64_t swap;

	if (entry->arch == PTRACE_NATIVE_ARCH)
		return !(entry->nr & X32_BIT);
	if (!call || call->native == UNTRANSLATED)
		return false;
	for (int i = 0; i < 6; i++)
		entry->args[i] = (uint32_t)entry->args[i];
	if (call->native == SYS_mmap) {
		entry->args[4] = (uint64_t)(int64_t)(int32_t)entry->args[4];
		entry->args[5] <<= I386_PAGE_SHIFT;
	} else if (call->native == SYS_clone) {
		swap = entry->args[3];
		entry->args[3] = entry->args[4];
		entry->args[4] = swap;
	}
	entry->arch = PTRACE_NATIVE_ARCH;
	entry->nr = (uint64_t)call->native;
	return true;
}

const char *ptrace_foreign_name(const struct ptrace_entry *entry)
{
	const struct i386_call *call = i386_find(entry);

	return call ? call->name : "foreign syscall";
}

static bool number_parse(const char **at, const char *end, uint64_t *out)
{
	const char *first = *at;
	uint64_t value = 0;

	while (*at < end && **at >= '0' && **at <= '9') {
		if (__builtin_mul_overflow(value, 10u, &value) ||
		    __builtin_add_overflow(value, (unsigned int)(**at - '0'), &value))
			return false;
		(*at)++;
	}
	*out = value;
	return *at > first;
}

int ptrace_parse_statm(const char *text, size_t len, struct ptrace_statm *out)
{
	const char *at = text, *end = text + len;
	uint64_t values[3];

	for (int i = 0; i < 3; i++) {
		if (i && (at == end || *at++ != ' '))
			return -EBADMSG;
		if (!number_parse(&at, end, &values[i]))
			return -EBADMSG;
	}
	*out = (struct ptrace_statm){ .size = values[0], .resident = values[1], .shared = values[2] };
	return 0;
}

int ptrace_parse_stat(const char *text, size_t len, unsigned int field, uint64_t *out)
{
	/* The name, field 2, may hold anything: it ends at the last parenthesis. */
	const char *at = memrchr(text, ')', len), *end = text + len;

	for (unsigned int i = 2; at && i < field; i++) {
		at = memchr(at, ' ', (size_t)(end - at));
		if (at)
			at++;
	}
	return at && field >= 4 && number_parse(&at, end, out) ? 0 : -EBADMSG;
}

bool ptrace_run_touches(const struct ptrace_run *run, uint64_t page, uint64_t page_size, bool major)
{
	return run->major == major && page <= run->end && page + page_size >= run->start;
}

bool ptrace_run_extend(struct ptrace_run *run, uint64_t page, uint64_t page_size, bool major)
{
	if (!ptrace_run_touches(run, page, page_size, major))
		return false;
	if (page == run->end)
		run->end += page_size;
	else if (page + page_size == run->start)
		run->start = page;
	run->count++;
	return true;
}
