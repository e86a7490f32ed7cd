/* SPDX-License-Identifier: GPL-2.0-only */
/* stack: who called. The user's stack is walked by the rules that the loader has compiled from .eh_frame, or along frame
 * pointers; each distinct chain of addresses goes once through the ring, and rows carry its id. Where the rules do not
 * suffice, or are not there yet, registers and a piece of the stack are sent for user space to walk. */
#ifndef HEAPTRACE_STACK_BPF_H
#define HEAPTRACE_STACK_BPF_H

#include "bpf/frame.bpf.h"
#include "bpf/memo.bpf.h"

#if defined(__TARGET_ARCH_x86)

/* Same code: a fault within this many bytes of the last one's instruction, in the same frame. */
#define CODE_NEAR     128
#define GUESSED_FRAME (1u << 20) /* a frame that only a frame pointer tells is no larger */
#define USER_CS	      0x33	 /* 64-bit code; __USER_CS of arch/x86/include/asm/segment.h */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, u64); /* number of the mm */
	__type(value, struct wire_space);
} spaces SEC(".maps");

/* Ids of the stacks that the reader has. The reader takes them out again. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 17);
	__type(key, u64);
	__type(value, u32);
} sent_stacks SEC(".maps");

struct walk {
	struct walk_frame frame;
	u64 mm_id, code_order;	       /* whose stack it is */
	u64 pc, regs[STACK_REGISTERS]; /* where it begins */
	u32 end;		       /* enum walk_end */
	struct wire_stack stack;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct walk);
} walks SEC(".maps");

/* A copy that is being made: the two are too large for one per-CPU value. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct wire_stack_copy);
} copies SEC(".maps");

/* What the steps of a walk share: on the stack, where bpf_loop wants it. */
struct walk_context {
	struct walk *walk;
	struct wire_space *space;
};

/* The mapping that @address is in; NULL where there is none. */
static __always_inline struct wire_mapping *mapping_find(struct wire_space *space, u64 address)
{
	struct wire_mapping *mapping;
	u32 at = 0;

	for (u32 half = SPACE_MAPPINGS / 2; half; half >>= 1)
		at += half_if(space->mappings[at + half].start, address & (~0ull >> 1), half);
	mapping = &space->mappings[at & (SPACE_MAPPINGS - 1)];
	return address >= mapping->start && address < mapping->end ? mapping : NULL;
}

/* Has the frame's rule be the one for its address. */
static __always_inline u32 rule_get(struct walk *walk, struct wire_space *space, u64 address)
{
	u32 at = (address * 0x9e3779b97f4a7c15ull) >> RULE_SHIFT, end;
	struct found_rule *found = bpf_map_lookup_elem(&found_rules, &at);
	struct walk_frame *frame = &walk->frame;
	struct wire_mapping *mapping;

	if (found && found->address == address && found->code_order == walk->code_order &&
	    found->mm_id == walk->mm_id) {
		frame->rule = found->rule;
		return WALK_ON;
	}
	mapping = mapping_find(space, address);
	if (!mapping)
		return space->more ? WALK_UNKNOWN : WALK_MADE;
	end = rule_find(frame, mapping->object, address - mapping->bias);
	if (end == WALK_ON && found)
		*found = (struct found_rule){ walk->mm_id, walk->code_order, address, frame->rule };
	return end;
}

/* From a frame whose code has no rules to its caller: made code keeps frame pointers where anything helps; a file's code may,
 * as Go's does, or not. */
static __always_inline u32 guess_step(struct walk *walk, bool is_made)
{
	struct walk_frame *frame = &walk->frame;
	u64 rbp = frame->regs[STACK_RBP];

	/* Where a guess has led out of all code, that was no address. */
	if (is_made && frame->guessed) {
		walk->stack.count--;
		return WALK_STOPPED;
	}
	register_note(frame, STACK_RBP);
	if (!rbp || rbp - frame->regs[STACK_RSP] > GUESSED_FRAME)
		return WALK_STOPPED;
	frame->guessed |= !is_made;
	return pointer_step(frame);
}

static __always_inline u32 rule_step(struct walk *walk, struct wire_space *space)
{
	struct walk_frame *frame = &walk->frame;
	u32 end = rule_get(walk, space, frame->pc - !frame->exact);

	if (end == WALK_MADE || end == WALK_BARE)
		return guess_step(walk, end == WALK_MADE);
	return end == WALK_ON ? caller_find(frame) : end;
}

/* Notes the frame that the walk has come to. */
static __always_inline void frame_note(struct walk *walk)
{
	u32 at = walk->stack.count;

	walk->stack.frames[at & STACK_DEPTH] = walk->frame.pc;
	walk->stack.exact[at / 64 % STACK_EXACT] |= (u64)walk->frame.exact << (at & 63);
	walk->stack.id = stack_hash(walk->stack.id, walk->frame.pc);
	walk->stack.count = at + 1;
}

static long walk_step(u32 index, struct walk_context *context)
{
	struct walk *walk = context->walk;
	struct wire_space *space = context->space;
	u32 end;

	if (config.stacks == WIRE_STACKS_FP || !space)
		end = pointer_step(&walk->frame);
	else
		end = rule_step(walk, space);
	if (end == WALK_ON && !walk->frame.pc)
		end = WALK_WHOLE;
	walk->end = end;
	if (end != WALK_ON || walk->stack.count >= STACK_DEPTH)
		return 1;
	frame_note(walk);
	return 0;
}

static long copy_step(u32 index, struct wire_stack_copy *const *context)
{
	struct wire_stack_copy *copy = *context;
	u32 at = copy->len;

	if (at > STACK_COPY_BYTES - STACK_COPY_PIECE)
		return 1;
	if (!bpf_probe_read_user(copy->bytes + at, STACK_COPY_PIECE, (const void *)(copy->base + at))) {
		copy->len = at + STACK_COPY_PIECE;
		return 0;
	}
	/* The top of the stack may not be in memory yet: a fault on it is what is looked at. */
	if (!at)
		copy->base += STACK_COPY_PIECE;
	return at > 0;
}

/* Goes to the frame that the walk begins with. */
static __always_inline void frame_begin(struct walk *walk)
{
	struct walk_frame *frame = &walk->frame;

	__builtin_memcpy(frame->regs, walk->regs, sizeof(frame->regs));
	frame->pc = walk->pc;
	frame->known = 0xffff;
	frame->exact = 1;
	frame->outer = 0;
	frame->guessed = 0;
	frame->slot = 0;
	frame->words.from = frame->regs[STACK_RSP];
	frame->words.count = 0;
	frame->words.span = 0;
	frame->words.initial = 0xffff;
	frame->words.rbp_at = frame->words.rbx_at = 0;
	frame->words.registers = 1 << STACK_RSP;
	walk->end = WALK_ON;
	walk->stack.count = 0;
	__builtin_memset(walk->stack.exact, 0, sizeof(walk->stack.exact));
	walk->stack.id = config.stack_seed;
	frame_note(walk);
}

/* Sends what user space needs to walk the stack. Returns its id. */
static __noinline u64 copy_send(struct walk *walk)
{
	u64 used = bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA);
	struct wire_stack_copy *copy;
	u32 zero = 0, len;

	copy = bpf_map_lookup_elem(&copies, &zero);
	/* Rows come first: what is left of the ring's room is half of it. Copies fill that within milliseconds. */
	if (!copy || used > config.ring_limit / 2)
		goto dropped;
	if (used > config.ring_limit / 16)
		shared.reader_sleeps = 1;
	head_fill(&copy->head, WIRE_STACK_COPY, walk->mm_id);
	copy->id = STACK_ID_COPY | __sync_fetch_and_add(&shared.stats.copies, 1);
	copy->code_order = walk->code_order;
	copy->pc = walk->pc;
	__builtin_memcpy(copy->regs, walk->regs, sizeof(copy->regs));
	/* Pieces do not cross pages, and the stack ends at one. */
	copy->base = copy->regs[STACK_RSP] & ~(u64)(STACK_COPY_PIECE - 1);
	copy->len = 0;
	bpf_loop(2 * STACK_COPY_BYTES / STACK_COPY_PIECE, copy_step, &copy, 0);
	len = copy->len;
	if (len > STACK_COPY_BYTES)
		len = STACK_COPY_BYTES;
	if (ring_send(copy, offsetof(struct wire_stack_copy, bytes) + len))
		goto dropped;
	__sync_fetch_and_add(&shared.stats.copied_stacks, 1);
	return copy->id;
dropped:
	__sync_fetch_and_add(&shared.stats.dropped_stacks, 1);
	return STACK_ID_LOST;
}

/* Has the reader know the stack walked. Returns its id. */
static __noinline u64 stack_send(struct walk *walk)
{
	struct wire_stack *stack = &walk->stack;
	u32 count = stack->count, one = 1;
	u64 id;

	stack->complete = walk->end == WALK_WHOLE && !walk->frame.guessed;
	id = stack->id = stack_hash(stack->id, stack->complete) & ~STACK_ID_COPY;
	if (bpf_map_lookup_elem(&sent_stacks, &id))
		return id;
	if (!ring_has_room() || count > STACK_DEPTH)
		goto dropped;
	head_fill(&stack->head, WIRE_STACK, walk->mm_id);
	if (ring_send(stack, offsetof(struct wire_stack, frames) + count * sizeof(u64)))
		goto dropped;
	bpf_map_update_elem(&sent_stacks, &id, &one, BPF_ANY);
	return id;
dropped:
	__sync_fetch_and_add(&shared.stats.dropped_stacks, 1);
	return STACK_ID_LOST;
}

/* Whether the stack at hand is the one of @memo, which the reader still has. Then the walk is as if it had been made. */
static __always_inline bool memo_holds(const struct memo *memo, struct walk *walk)
{
	struct walk_frame *frame = &walk->frame;
	u32 span = memo->words.span;
	u64 id = memo->id;
	u64 differ = (memo->mm_id ^ walk->mm_id) | (memo->code_order ^ walk->code_order) | (memo->pc ^ walk->pc);

	for (u32 i = 0; i < STACK_REGISTERS; i++)
		differ |= (memo->regs[i] ^ walk->regs[i]) & -(u64)(memo->words.registers >> i & 1);
	if (differ || span > WALK_SPAN || !bpf_map_lookup_elem(&sent_stacks, &id))
		return false;
	if (bpf_probe_read_user(frame->window, span, (const void *)walk->regs[STACK_RSP]))
		return false;
	frame->window_from = walk->regs[STACK_RSP];
	frame->window_bytes = span;
	if (!words_match(&memo->words, frame->window))
		return false;
	frame->slot = memo->slot;
	walk->stack.frames[1] = memo->caller;
	walk->stack.id = id;
	return true;
}

static __always_inline void memo_keep(struct memo *memo, const struct walk *walk)
{
	if (walk->stack.id == STACK_ID_LOST || walk->frame.words.count > WALK_WORDS)
		return;
	memo->mm_id = walk->mm_id;
	memo->code_order = walk->code_order;
	memo->pc = walk->pc;
	__builtin_memcpy(memo->regs, walk->regs, sizeof(memo->regs));
	memo->id = walk->stack.id;
	memo->slot = walk->frame.slot;
	memo->caller = walk->stack.frames[1];
	memo->words = walk->frame.words;
}

/* Walks what this CPU's walk was made ready for. 0; the id is left in the walk's stack. */
__noinline int walk_run(void)
{
	struct walk_context context = {};
	struct memo *memo = NULL;
	struct walk *walk;
	u32 zero = 0;
	u64 mm_id;

	walk = bpf_map_lookup_elem(&walks, &zero);
	if (!walk)
		return 0;
	context.walk = walk;
	walk->frame.window_bytes = 0;
	if (config.stacks == WIRE_STACKS_CFI) {
		memo = memo_at(walk->pc, walk->regs[STACK_RSP]);
		if (memo && memo_holds(memo, walk))
			return 0;
		mm_id = walk->mm_id;
		context.space = bpf_map_lookup_elem(&spaces, &mm_id);
		walk->frame.slot = 0;
		if (!context.space || context.space->code_order != walk->code_order) {
			walk->stack.id = copy_send(walk);
			return 0;
		}
	}
	frame_begin(walk);
	bpf_loop(STACK_DEPTH, walk_step, &context, 0);
	if (walk->end == WALK_UNKNOWN) {
		walk->stack.id = copy_send(walk);
		return 0;
	}
	walk->stack.id = stack_send(walk);
	if (memo)
		memo_keep(memo, walk);
	return 0;
}

static __always_inline void regs_take(u64 *out, struct pt_regs *regs)
{
	out[STACK_RAX] = regs->ax;
	out[STACK_RDX] = regs->dx;
	out[STACK_RCX] = regs->cx;
	out[STACK_RBX] = regs->bx;
	out[STACK_RSI] = regs->si;
	out[STACK_RDI] = regs->di;
	out[STACK_RBP] = regs->bp;
	out[STACK_RSP] = regs->sp;
	out[8] = regs->r8;
	out[9] = regs->r9;
	out[10] = regs->r10;
	out[11] = regs->r11;
	out[12] = regs->r12;
	out[13] = regs->r13;
	out[14] = regs->r14;
	out[15] = regs->r15;
}

/* The id of the stack that @regs, the current task's, are the top of; the reader knows it from then on. 0: none. */
static __always_inline u64 stack_walk(struct task_state *ts, struct pt_regs *regs)
{
	struct wire_mm *state = mm_of_pending(ts);
	u32 zero = 0;
	struct walk *walk = bpf_map_lookup_elem(&walks, &zero);

	if (!state || !walk || regs->cs != USER_CS)
		return 0;
	regs_take(walk->regs, regs);
	walk->pc = regs->ip;
	walk->mm_id = state->id;
	walk->code_order = state->code_order;
	walk_run();
	return walk->stack.id;
}

/* The stack of the call that the current task returns from. */
static __always_inline u64 call_stack(struct task_state *ts, struct pt_regs *regs)
{
	/* An exec that succeeds has no caller any more; what it still does is no call of the new image. */
	return ts->executed ? 0 : stack_walk(ts, regs);
}

/* Whether a fault at @ip with the stack pointer @sp is of the code that took the last one. */
static __always_inline bool is_same_code(struct task_state *ts, u64 ip, u64 sp)
{
	struct fault_code *code = &ts->code;
	u64 caller = 0;

	if (!code->stack || code->stack == STACK_ID_LOST || sp != code->sp)
		return false;
	if (ip == code->ip && !code->slot)
		return true;
	if (!code->slot || ip - code->ip + CODE_NEAR > 2 * CODE_NEAR)
		return false;
	bpf_probe_read_user(&caller, sizeof(caller), (const void *)code->slot);
	return caller == code->caller;
}

/* The stack of a user fault. It is walked only where other code than that of the fault before takes it. */
static __always_inline u64 fault_stack(struct task_state *ts, struct pt_regs *regs)
{
	struct fault_code *code = &ts->code;
	struct walk *walk;
	u32 zero = 0;

	if (is_same_code(ts, regs->ip, regs->sp))
		return code->stack;
	code->stack = stack_walk(ts, regs);
	code->ip = regs->ip;
	code->sp = regs->sp;
	walk = bpf_map_lookup_elem(&walks, &zero);
	code->slot = walk ? walk->frame.slot : 0;
	code->caller = walk ? walk->stack.frames[1] : 0;
	return code->stack;
}

/* Gives the new mm @mm, a copy of that of @above, the same code. */
static __always_inline void code_inherit(struct wire_mm *above, u64 mm)
{
	struct wire_mm *state;
	struct wire_space *space;
	u64 id = above->id;

	if (config.stacks != WIRE_STACKS_CFI)
		return;
	state = mm_find(mm);
	space = bpf_map_lookup_elem(&spaces, &id);
	if (!state || !space)
		return;
	state->code_order = above->code_order;
	id = state->id;
	bpf_map_update_elem(&spaces, &id, space, BPF_NOEXIST);
}

#else

static __always_inline u64 fault_stack(struct task_state *ts, struct pt_regs *regs)
{
	return 0;
}

static __always_inline void code_inherit(struct wire_mm *above, u64 mm)
{
}

static __always_inline u64 call_stack(struct task_state *ts, struct pt_regs *regs)
{
	return 0;
}

#endif

#endif
