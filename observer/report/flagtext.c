/* SPDX-License-Identifier: GPL-2.0-only */
/* The numbers are those of the kernel's interface, written out here as the headers of an older system lack the newest
 * (include/uapi/asm-generic/mman-common.h, mman.h, include/uapi/linux/mman.h, sched.h; arch/{x86,arm64}/include/uapi/asm/mman.h). */
#include "report/flagtext.h"

#include "base/errname.h"

#include <stddef.h>

struct bit_name {
	uint64_t bit;
	const char *name;
};

#define BITS_END        \
	{               \
		0, NULL \
	}

static const struct bit_name prot_bits[] = {
#ifdef __aarch64__
	{ 0x10, "bti" },
	{ 0x20, "mte" },
#else
	{ 0x8, "sem" },
#endif
	{ 0x01000000, "growsdown" },
	{ 0x02000000, "growsup" },
	BITS_END,
};

/* MAP_TYPE: the low four bits are one value. */
#define MAP_TYPE_MASK 0xfu
static const char *const map_types[] = { [1] = "shared", [2] = "private", [3] = "shared_validate", [8] = "droppable" };

/* MAP_HUGE_SHIFT and _MASK: the logarithm of the page size of MAP_HUGETLB. */
#define MAP_HUGETLB_BIT	    0x40000u
#define MAP_HUGE_SHIFT_BITS 26
#define MAP_HUGE_BITS	    0x3fu

static const struct bit_name map_bits[] = {
	{ 0x20, "anon" },
	{ 0x10, "fixed" },
#ifdef __x86_64__
	{ 0x40, "32bit" },
	{ 0x80, "above4g" },
#endif
	{ 0x100, "growsdown" },
	{ 0x800, "denywrite" },
	{ 0x1000, "executable" },
	{ 0x2000, "locked" },
	{ 0x4000, "noreserve" },
	{ 0x8000, "populate" },
	{ 0x10000, "nonblock" },
	{ 0x20000, "stack" },
	{ MAP_HUGETLB_BIT, "hugetlb" },
	{ 0x80000, "sync" },
	{ 0x100000, "fixed_noreplace" },
	{ 0x4000000, "uninitialized" },
	BITS_END,
};

static const struct bit_name remap_bits[] = { { 1, "maymove" }, { 2, "fixed" }, { 4, "dontunmap" }, BITS_END };

static const struct bit_name mlock_bits[] = { { 1, "onfault" }, BITS_END };

static const struct bit_name mlockall_bits[] = { { 1, "current" }, { 2, "future" }, { 4, "onfault" }, BITS_END };

static const struct bit_name shm_bits[] = {
	{ 010000, "rdonly" }, { 020000, "rnd" }, { 040000, "remap" }, { 0100000, "exec" }, BITS_END
};

static const struct bit_name clone_bits[] = {
	{ 0x100, "vm" },
	{ 0x200, "fs" },
	{ 0x400, "files" },
	{ 0x800, "sighand" },
	{ 0x1000, "pidfd" },
	{ 0x2000, "ptrace" },
	{ 0x4000, "vfork" },
	{ 0x8000, "parent" },
	{ 0x10000, "thread" },
	{ 0x20000, "newns" },
	{ 0x40000, "sysvsem" },
	{ 0x80000, "settls" },
	{ 0x100000, "parent_settid" },
	{ 0x200000, "child_cleartid" },
	{ 0x400000, "detached" },
	{ 0x800000, "untraced" },
	{ 0x1000000, "child_settid" },
	{ 0x2000000, "newcgroup" },
	{ 0x4000000, "newuts" },
	{ 0x8000000, "newipc" },
	{ 0x10000000, "newuser" },
	{ 0x20000000, "newpid" },
	{ 0x40000000, "newnet" },
	{ 0x80000000, "io" },
	BITS_END,
};

static const char *const advices[] = {
	[0] = "normal",		  [1] = "random",	   [2] = "sequential",
	[3] = "willneed",	  [4] = "dontneed",	   [8] = "free",
	[9] = "remove",		  [10] = "dontfork",	   [11] = "dofork",
	[12] = "mergeable",	  [13] = "unmergeable",	   [14] = "hugepage",
	[15] = "nohugepage",	  [16] = "dontdump",	   [17] = "dodump",
	[18] = "wipeonfork",	  [19] = "keeponfork",	   [20] = "cold",
	[21] = "pageout",	  [22] = "populate_read",  [23] = "populate_write",
	[24] = "dontneed_locked", [25] = "collapse",	   [100] = "hwpoison",
	[101] = "soft_offline",	  [102] = "guard_install", [103] = "guard_remove",
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A list of words with '|' between them. */
struct words {
	struct buf *buf;
	bool any;
};

static void add_word(struct words *words, const char *word)
{
	if (words->any)
		buf_add_char(words->buf, '|');
	buf_add_str(words->buf, word);
	words->any = true;
}

/* What has no name, and the 0 of no word at all. */
static void add_rest(struct words *words, uint64_t rest)
{
	if (!rest && words->any)
		return;
	if (words->any)
		buf_add_char(words->buf, '|');
	if (rest)
		buf_add_hex(words->buf, rest);
	else
		buf_add_char(words->buf, '0');
}

/* Adds the names of the bits and returns those without a name. */
static uint64_t add_bits(struct words *words, const struct bit_name *bits, uint64_t value)
{
	for (; value && bits->name; bits++) {
		if (!(value & bits->bit))
			continue;
		add_word(words, bits->name);
		value &= ~bits->bit;
	}
	return value;
}

static void add_flags(struct buf *buf, const struct bit_name *bits, uint64_t value)
{
	struct words words = { .buf = buf };

	add_rest(&words, add_bits(&words, bits, value));
}

static void add_prot(struct buf *buf, uint64_t value)
{
	static const char *const rwx[] = { "none", "r", "w", "rw", "x", "rx", "wx", "rwx" };
	struct words words = { .buf = buf };

	add_word(&words, rwx[value & 7]);
	add_rest(&words, add_bits(&words, prot_bits, value & ~(uint64_t)7));
}

/* "hugetlb:2MB" and the like. */
static void add_huge_size(struct words *words, uint64_t log2_bytes)
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB", "EB" };

	add_word(words, "hugetlb:");
	buf_add_u64(words->buf, 1u << log2_bytes % 10);
	buf_add_str(words->buf, units[log2_bytes / 10]);
}

static void add_map_flags(struct buf *buf, uint64_t value)
{
	struct words words = { .buf = buf };
	uint64_t type = value & MAP_TYPE_MASK, rest = value & ~(uint64_t)MAP_TYPE_MASK, huge;

	if (type < COUNT(map_types) && map_types[type])
		add_word(&words, map_types[type]);
	else
		rest |= type;
	huge = value & MAP_HUGETLB_BIT ? value >> MAP_HUGE_SHIFT_BITS & MAP_HUGE_BITS : 0;
	if (huge)
		rest &= ~((uint64_t)MAP_HUGE_BITS << MAP_HUGE_SHIFT_BITS | MAP_HUGETLB_BIT);
	rest = add_bits(&words, map_bits, rest);
	if (huge)
		add_huge_size(&words, huge);
	add_rest(&words, rest);
}

static void add_clone_flags(struct buf *buf, uint64_t value)
{
	struct words words = { .buf = buf };
	int signal = (int)(value & 0xff); /* CSIGNAL: what the child's end sends */
	uint64_t rest = add_bits(&words, clone_bits, value & ~(uint64_t)0xff);

	if (signal && signame(signal))
		add_word(&words, signame(signal));
	else
		rest |= (uint64_t)signal;
	add_rest(&words, rest);
}

static void add_advice(struct buf *buf, uint64_t value)
{
	uint32_t advice = (uint32_t)value;

	if (advice < COUNT(advices) && advices[advice])
		buf_add_str(buf, advices[advice]);
	else
		buf_add_hex(buf, advice);
}

bool flagtext_add(struct buf *buf, enum arg_role role, uint64_t value)
{
	switch (role) {
	case ARG_PROT:
		add_prot(buf, value);
		return true;
	case ARG_MAPFLAGS:
		add_map_flags(buf, value);
		return true;
	case ARG_REMAPFLAGS:
		add_flags(buf, remap_bits, value);
		return true;
	case ARG_ADVICE:
		add_advice(buf, value);
		return true;
	case ARG_MLOCKFLAGS:
		add_flags(buf, mlock_bits, value);
		return true;
	case ARG_MLOCKALL:
		add_flags(buf, mlockall_bits, value);
		return true;
	case ARG_SHMFLAGS:
		add_flags(buf, shm_bits, value);
		return true;
	case ARG_CLONEFLAGS:
		add_clone_flags(buf, value);
		return true;
	case ARG_NONE:
	case ARG_ADDR:
	case ARG_LEN:
	case ARG_FD:
	case ARG_OFFSET:
	case ARG_INT:
	case ARG_HEX:
	case ARG_PATH:
	case ARG_PTR:
		break;
	}
	return false;
}
