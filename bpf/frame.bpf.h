/* SPDX-License-Identifier: GPL-2.0-only */
/* frame: from one frame of a user's stack to its caller's: by the rules that the loader has compiled from .eh_frame, or
 * along frame pointers. */
#ifndef HEAPTRACE_FRAME_BPF_H
#define HEAPTRACE_FRAME_BPF_H

#include "bpf/wire_stack.h"

#define WALK_WORDS   64	   /* words of the stack that a kept walk may depend on */
#define WALK_SPAN    4096u /* and bytes from its top that they lie in */
#define WINDOW_BELOW 56u   /* bytes that are read below what is wanted: six registers and the return address */
#define WINDOW_BYTES 256u  /* and in all */
#define RULE_SLOTS   512
#define RULE_SHIFT   55 /* what a hash of 64 bits is shifted by to be the number of a slot */

struct table_chunk {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, TABLE_CHUNK_PAGES);
	__uint(key_size, sizeof(u32));
	__uint(value_size, sizeof(struct wire_page));
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, TABLE_CHUNKS);
	__type(key, u32);
	__array(values, struct table_chunk);
} chunks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, STACK_OBJECTS);
	__type(key, u32);
	__type(value, struct wire_object);
} objects SEC(".maps");

/* A rule that was found, and for what. The list of mappings that @code_order numbers leads there for good. */
struct found_rule {
	u64 mm_id, code_order;
	u64 address;
	struct wire_rule rule;
};

/* Programs come by the same addresses again and again, and a search takes as long as all else in a step. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, RULE_SLOTS);
	__type(key, u32);
	__type(value, struct found_rule);
} found_rules SEC(".maps");

enum walk_end {
	WALK_ON,
	WALK_WHOLE,   /* reached the start routine */
	WALK_STOPPED, /* nothing is known further up */
	WALK_UNKNOWN, /* user space may know more */
	WALK_MADE,    /* no file's code, but made at run time: it has no rules */
	WALK_BARE,    /* code of a file that has no rules */
};

/* What a walk depends on, besides the code: the words of the stack that it has read, and registers as they were when it
 * began. */
struct walk_words {
	u64 from;	    /* the innermost frame's stack pointer */
	u32 count;	    /* more than WALK_WORDS: not all are here */
	u32 span;	    /* bytes from there to the end of the outermost one */
	u32 initial;	    /* bits of the registers that are as they were */
	u32 registers;	    /* bits of those of them that were used */
	u64 rbp_at, rbx_at; /* where they were read, 0 where that is noted or they were not */
	u16 at[WALK_WORDS]; /* in words from there */
	u64 value[WALK_WORDS];
};

/* The frame that a walk has come to. */
struct walk_frame {
	u64 regs[STACK_REGISTERS];
	u64 pc;
	u64 cfa;
	u64 slot; /* where the innermost frame's return address lies, 0 = nowhere */
	struct wire_rule rule;
	u32 known;   /* bits of the registers that are known */
	u32 exact;   /* pc is the next instruction's address, not the end of a call */
	u32 outer;   /* it is not the innermost one */
	u32 guessed; /* an inner one's caller was, so that one may be missing */
	struct walk_words words;
	/* A piece of the stack that has been read. */
	u64 window_from;
	u32 window_bytes;
	u64 window[WALK_SPAN / 8];
};

/* The functions that are not static are verified once, by themselves, and not again in each state that they are called
 * in: that is what keeps loading short. */

/* Without a branch, so that the verifier has one path: @half where @entry <= @wanted, both below 2^63; else 0. */
static __always_inline u32 half_if(u64 entry, u64 wanted, u32 half)
{
	u64 less = entry - wanted - 1; /* bit 63 is its sign */

	asm volatile("%[less] >>= 63" : [less] "+r"(less));
	return (u32)less * half;
}

static __always_inline struct wire_page *page_get(u32 number)
{
	u32 chunk = number >> TABLE_CHUNK_SHIFT, index = number & (TABLE_CHUNK_PAGES - 1);
	void *map = bpf_map_lookup_elem(&chunks, &chunk);

	return map ? bpf_map_lookup_elem(map, &index) : NULL;
}

/* The last of @page's addresses that is not above @pc. */
static __always_inline u32 page_search(const struct wire_page *page, u32 pc)
{
	u32 at = 0;

	for (u32 half = TABLE_FAN / 2; half; half >>= 1)
		at += half_if(page->pcs[at + half], pc, half);
	return at;
}

/* Has @frame->rule be the one for @pc of the object numbered @index. */
__noinline int rule_find(struct walk_frame *frame, u32 index, u64 pc)
{
	struct wire_object *object = bpf_map_lookup_elem(&objects, &index);
	struct wire_page *page;
	u32 at = 0, rule;

	if (!frame || !object || object->state == OBJECT_UNKNOWN)
		return WALK_UNKNOWN;
	if (object->state != OBJECT_READY)
		return WALK_BARE;
	pc -= object->base;
	if (pc >= ~0u)
		return WALK_STOPPED;
	if (object->depth > 2) {
		page = page_get(object->level[2]);
		if (!page)
			return WALK_UNKNOWN;
		at = page_search(page, pc);
	}
	if (object->depth > 1) {
		page = page_get(object->level[1] + at);
		if (!page)
			return WALK_UNKNOWN;
		at = at * TABLE_FAN + page_search(page, pc);
	}
	page = page_get(object->level[0] + at);
	if (!page)
		return WALK_UNKNOWN;
	rule = page->rule_of[page_search(page, pc)];
	page = page_get(object->rules + (rule >> TABLE_RULE_SHIFT));
	if (!page)
		return WALK_UNKNOWN;
	frame->rule = page->rules[rule & (TABLE_RULES - 1)];
	return WALK_ON;
}

/* Notes that @value was read at @address. */
static __always_inline void word_note(struct walk_words *words, u64 address, u64 value)
{
	u64 off = address - words->from;
	u32 count = words->count;

	if (count >= WALK_WORDS || off & 7 || off >= WALK_SPAN) {
		words->count = WALK_WORDS + 1;
		return;
	}
	words->at[count] = off >> 3;
	words->value[count] = value;
	words->count = count + 1;
	if (off + 8 > words->span)
		words->span = off + 8;
}

/* Notes that register @reg was used: what was read into it matters only then. */
static __always_inline void register_note(struct walk_frame *frame, u32 reg)
{
	struct walk_words *words = &frame->words;

	words->registers |= words->initial & 1u << reg;
	if (reg == STACK_RBP && words->rbp_at) {
		word_note(words, words->rbp_at, frame->regs[STACK_RBP]);
		words->rbp_at = 0;
	}
	if (reg == STACK_RBX && words->rbx_at) {
		word_note(words, words->rbx_at, frame->regs[STACK_RBX]);
		words->rbx_at = 0;
	}
}

/* Reads the stack from a little below @address on, where the registers of the frame whose return address it is are, to
 * those of the next frames. */
__noinline int window_move(struct walk_frame *frame, u64 address)
{
	if (!frame)
		return 0;
	frame->window_from = (address & ~7ull) - WINDOW_BELOW;
	frame->window_bytes = 0;
	if (!bpf_probe_read_user(frame->window, WINDOW_BYTES, (const void *)frame->window_from))
		frame->window_bytes = WINDOW_BYTES;
	return 0;
}

/* Reads the word of the stack at @address into *@out. */
static __always_inline bool word_read(struct walk_frame *frame, u64 address, u64 *out)
{
	if (address - frame->window_from >= frame->window_bytes)
		window_move(frame, address);
	address -= frame->window_from;
	if (address >= frame->window_bytes || address & 7)
		return !bpf_probe_read_user(out, sizeof(*out), (const void *)(address + frame->window_from));
	*out = frame->window[address >> 3 & (WALK_SPAN / 8 - 1)];
	return true;
}

/* Where what was saved as @how says, at @off, is. */
static __always_inline u64 saved_at(struct walk_frame *frame, u32 how, s32 off)
{
	if (how == SAVED_RSP)
		return frame->regs[STACK_RSP] + (s64)off;
	if (how != SAVED_RBP)
		return frame->cfa + (s64)off;
	register_note(frame, STACK_RBP);
	return frame->regs[STACK_RBP] + (s64)off;
}

/* Computes the CFA as the frame's rule says. */
static __always_inline u32 cfa_find(struct walk_frame *frame)
{
	const struct wire_rule *rule = &frame->rule;
	u32 reg = rule->reg & (STACK_REGISTERS - 1);
	u64 base = frame->regs[reg];

	if (rule->cfa == RULE_END)
		return WALK_WHOLE;
	if (rule->cfa == RULE_PLT) {
		frame->cfa = frame->regs[STACK_RSP] + 8 + ((frame->pc & 15) >= (u64)rule->off ? 8 : 0);
		return WALK_ON;
	}
	if ((rule->cfa != RULE_REG && rule->cfa != RULE_DEREF) || !(frame->known >> reg & 1))
		return WALK_UNKNOWN;
	register_note(frame, reg);
	base += (s64)rule->off;
	if (rule->cfa == RULE_DEREF) {
		u64 at = base;

		if (!word_read(frame, at, &base))
			return WALK_STOPPED;
		word_note(&frame->words, at, base);
		base += (s64)rule->add;
	}
	frame->cfa = base;
	return WALK_ON;
}

/* From a frame to its caller, by the frame's rule. */
__noinline int caller_find(struct walk_frame *frame)
{
	u64 rbp, rbx, at, rbp_at, rbx_at, pc = 0;
	u32 end, saved;

	if (!frame)
		return WALK_STOPPED;
	rbp = frame->regs[STACK_RBP];
	rbx = frame->regs[STACK_RBX];
	saved = frame->rule.saved;
	end = cfa_find(frame);
	if (end != WALK_ON)
		return end;
	at = saved_at(frame, RULE_SAVED_RA(saved), frame->rule.ra);
	if (!word_read(frame, at, &pc))
		return WALK_STOPPED;
	word_note(&frame->words, at, pc);
	if (!frame->outer)
		frame->slot = RULE_SAVED_RA(saved) == SAVED_CFA ? at : 0;
	rbp_at = saved_at(frame, RULE_SAVED_RBP(saved), frame->rule.rbp);
	rbx_at = saved_at(frame, RULE_SAVED_RBX(saved), frame->rule.rbx);
	if (RULE_SAVED_RBP(saved) != SAVED_NOT) {
		if (!word_read(frame, rbp_at, &rbp))
			return WALK_STOPPED;
		frame->words.initial &= ~(1 << STACK_RBP);
		frame->words.rbp_at = rbp_at;
	}
	if (RULE_SAVED_RBX(saved) != SAVED_NOT) {
		if (!word_read(frame, rbx_at, &rbx))
			return WALK_STOPPED;
		frame->words.initial &= ~(1 << STACK_RBX);
		frame->words.rbx_at = rbx_at;
	}
	frame->words.initial &= 1 << STACK_RBP | 1 << STACK_RBX;
	frame->regs[STACK_RSP] = frame->cfa;
	frame->regs[STACK_RBP] = rbp;
	frame->regs[STACK_RBX] = rbx;
	frame->known = 1 << STACK_RSP | 1 << STACK_RBP | 1 << STACK_RBX;
	frame->pc = pc;
	frame->exact = frame->rule.signalled;
	frame->outer = 1;
	return WALK_ON;
}

/* One step along frame pointers. */
__noinline int pointer_step(struct walk_frame *frame)
{
	u64 rbp, above, pc;

	if (!frame)
		return WALK_STOPPED;
	rbp = frame->regs[STACK_RBP];
	register_note(frame, STACK_RBP);
	if (!rbp)
		return WALK_WHOLE;
	if (rbp & 7 || rbp < frame->regs[STACK_RSP] || !word_read(frame, rbp, &above) ||
	    !word_read(frame, rbp + 8, &pc))
		return WALK_STOPPED;
	frame->words.initial = 0;
	frame->words.rbp_at = rbp;
	word_note(&frame->words, rbp + 8, pc);
	frame->regs[STACK_RSP] = rbp + 16;
	frame->regs[STACK_RBP] = above;
	frame->known = 1 << STACK_RSP | 1 << STACK_RBP;
	frame->pc = pc;
	frame->exact = 0;
	frame->outer = 1;
	return WALK_ON;
}

#endif
