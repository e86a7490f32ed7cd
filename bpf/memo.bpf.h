/* SPDX-License-Identifier: GPL-2.0-only */
/* memo: walks that this CPU has made, kept with all that they depend on: the registers that they began with and the words of the
 * stack that they read. Where all of these are the same again, as in a loop that allocates and frees, so is the stack, and
 * comparing is several times faster than walking. */
#ifndef HEAPTRACE_MEMO_BPF_H
#define HEAPTRACE_MEMO_BPF_H

#include "bpf/frame.bpf.h"

#define MEMOS	   16
#define MEMO_SHIFT 60

struct memo {
	u64 mm_id, code_order;
	u64 pc, regs[STACK_REGISTERS];
	u64 id;
	u64 slot, caller; /* of the innermost frame */
	struct walk_words words;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MEMOS);
	__type(key, u32);
	__type(value, struct memo);
} memos SEC(".maps");

/* The memo that a walk from @pc and @sp has its place in. */
static __always_inline struct memo *memo_at(u64 pc, u64 sp)
{
	u32 at = ((pc ^ sp << 16) * 0x9e3779b97f4a7c15ull) >> MEMO_SHIFT;

	return bpf_map_lookup_elem(&memos, &at);
}

/* Whether the words at @stack, WALK_SPAN bytes, are those of @words. */
static __always_inline bool words_match(const struct walk_words *words, const u64 *stack)
{
	u64 differ = 0;
	u32 count = words->count;

	for (u32 i = 0; i < WALK_WORDS; i++) {
		if (i >= count)
			break;
		differ |= stack[words->at[i] & (WALK_SPAN / 8 - 1)] ^ words->value[i];
	}
	return !differ;
}

#endif
