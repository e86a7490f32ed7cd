/* SPDX-License-Identifier: GPL-2.0-only */
/* wire_stack: what both sides need to know to walk a stack: the rules that .eh_frame is compiled to, the pages that
 * they are searched in, the mappings of one mm, and the records that carry the stacks. */
#ifndef HEAPTRACE_WIRE_STACK_H
#define HEAPTRACE_WIRE_STACK_H

#include "bpf/wire.h"

#define STACK_DEPTH 511 /* frames of one stack at most */
#define STACK_EXACT ((STACK_DEPTH + 1) / 64)

/* DWARF's numbers of the registers of x86-64 that matter here. */
enum stack_register {
	STACK_RAX,
	STACK_RDX,
	STACK_RCX,
	STACK_RBX,
	STACK_RSI,
	STACK_RDI,
	STACK_RBP,
	STACK_RSP,
	STACK_R15 = 15,
	STACK_RA, /* the return address has a number, too */
};
#define STACK_REGISTERS 16

/* How the canonical frame address (CFA) is found. */
enum rule_cfa {
	RULE_NONE,  /* no rule for this address */
	RULE_OTHER, /* a rule that is not expressible here: the stack is copied and walked in user space */
	RULE_END,   /* nobody called: the start routine of a thread, or of the program */
	RULE_REG,   /* reg + off */
	RULE_DEREF, /* *(reg + off) + add */
	RULE_PLT,   /* rsp + 8, and 8 more from byte off of the 16-byte entry on */
};

/* Where a caller's register is. */
enum rule_saved {
	SAVED_NOT, /* it has it still */
	SAVED_CFA, /* at CFA + off */
	SAVED_RSP, /* at this frame's rsp + off */
	SAVED_RBP, /* at this frame's rbp + off */
};

/* What holds from one address of the code to the next row's. */
struct wire_rule {
	s32 off;
	s16 add;
	s16 ra, rbp, rbx; /* offsets */
	u8 cfa;		  /* enum rule_cfa */
	u8 reg;
	u8 saved;     /* enum rule_saved of ra, rbp, rbx: two bits each, from the lowest */
	u8 signalled; /* the caller was interrupted: its address is that of the next instruction, not of a call's end */
};

#define RULE_SAVED_RA(saved)	 ((saved)&3)
#define RULE_SAVED_RBP(saved)	 ((saved) >> 2 & 3)
#define RULE_SAVED_RBX(saved)	 ((saved) >> 4 & 3)
#define RULE_SAVED(ra, rbp, rbx) ((u8)((ra) | (rbp) << 2 | (rbx) << 4))

/* The rules of all objects lie in pages. An object has its own, in a row: those of its rules, then those of its rows by
 * level: the leaves, and above each level, where that has more than one page, one with the first addresses of its pages.
 * So an address is found by at most TABLE_LEVELS searches in a page of TABLE_FAN addresses. */
#define TABLE_FAN	  512
#define TABLE_FAN_SHIFT	  9
#define TABLE_LEVELS	  3
#define TABLE_RULES	  128 /* a page */
#define TABLE_RULE_SHIFT  7
#define TABLE_CHUNK_PAGES 512 /* pages of one map */
#define TABLE_CHUNK_SHIFT 9
#define TABLE_CHUNKS	  64

struct wire_page {
	union {
		struct {
			u32 pcs[TABLE_FAN];	/* of rows or pages; unused ones are all ones */
			u16 rule_of[TABLE_FAN]; /* leaves only */
		};
		struct wire_rule rules[TABLE_RULES];
	};
};

enum object_state {
	OBJECT_UNKNOWN, /* its table is not there yet: stacks are copied */
	OBJECT_READY,
	OBJECT_BARE, /* it has none */
};

struct wire_object {
	u32 state;		 /* enum object_state; set last */
	u32 depth;		 /* levels */
	u32 rules;		 /* number of its first page of rules */
	u32 level[TABLE_LEVELS]; /* numbers of the first page of each level, leaves first */
	u64 base;		 /* address that pcs count from */
};

#define STACK_OBJECTS 4096

/* A mapping with code. An address less bias is the object's own. */
struct wire_mapping {
	u64 start, end;
	u64 bias;
	u32 object; /* index in the array of objects */
	u32 pad;
};

#define SPACE_MAPPINGS	    256
#define SPACE_MAPPING_SHIFT 8

#define SPACE_NO_START (~0ull >> 1)

/* The code that one mm has mapped, by address; unused starts are SPACE_NO_START. */
struct wire_space {
	u32 count;
	u32 more;	/* not all found room: what is not here may be known to the reader */
	u64 code_order; /* the mm's when this was the state of things */
	struct wire_mapping mappings[SPACE_MAPPINGS];
};

/* A file in the state in which its rules were compiled; all 0: the vDSO. */
struct wire_file {
	u64 inode, size;
	s64 mtime_s;
	u32 mtime_ns;
	u32 dev; /* the kernel's dev_t */
};

/* Where its rules are. An address in a mapping is at the mapping's start, less its offset in the file, plus shift plus
 * the object's own address. */
struct wire_known {
	u64 shift;
	u32 object;
	u32 pad;
};

/* A stack whose rows come from now on. Sent once per id, mostly; twice does no harm. */
struct wire_stack {
	struct wire_head head;
	u64 id;
	u32 count;
	u32 complete;
	u64 exact[STACK_EXACT]; /* bit n: frame n is the address of the next instruction, not of a call's end */
	u64 frames[STACK_DEPTH + 1];
};

#define STACK_COPY_PIECE 1024u
#define STACK_COPY_BYTES 24576u /* with the rest of its record, a per-CPU value has at most 32 KiB */

/* What is needed to walk a stack in user space, for one row. */
struct wire_stack_copy {
	struct wire_head head;
	u64 id;
	u64 code_order;
	u64 regs[STACK_REGISTERS]; /* by DWARF's numbers */
	u64 pc;
	u64 base; /* address of the first byte */
	u32 len;
	u32 pad;
	u8 bytes[STACK_COPY_BYTES];
};

/* Ids of copies have this bit, those of stacks do not. */
#define STACK_ID_COPY (1ull << 63)

/* Says that a stack was to be taken, and that the ring had no room for it. */
#define STACK_ID_LOST (~0ull)

/* One step of the hash that an id is; begins with the session's seed. */
static inline u64 stack_hash(u64 hash, u64 address)
{
	hash = (hash ^ address) * 0x9e3779b97f4a7c15ull;
	return hash ^ hash >> 29;
}

#endif
