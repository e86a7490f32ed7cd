/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/unwind.h"

#include "source/unwind_arch.h"
#include "source/unwind_space.h"

#include <errno.h>
#include <string.h>

/* One walk, at the frame that it has come to. */
struct walk {
	struct unwind_space *space;
	const struct unwind_arch *arch;
	struct unwind_regs at;
	bool exact; /* at.pc is that of an instruction, not of one behind a call */
	bool guess; /* a frame may be missing */
	dwarf_read_fn read;
	void *ctx;
	struct unwind_stack *out;
};

enum step { STEP_ON, STEP_OUTERMOST, STEP_LOST };

int unwind_regs_take(const void *user_regs, size_t len, struct unwind_regs *out)
{
	const struct unwind_arch *arch = unwind_arch_host();
	const uint64_t *words = user_regs;

	if (!arch || len < arch->user_words * sizeof(*words))
		return -EINVAL;
	memset(out, 0, sizeof(*out));
	out->pc = words[arch->user_pc];
	/* A program of another architecture that this machine runs too: its registers are not what their names say. */
	if (arch->user_mode_mask && (words[arch->user_mode] & arch->user_mode_mask) != arch->user_mode_native)
		return 0;
	for (unsigned int i = 0; i < arch->reg_count; i++) {
		out->regs[i] = words[arch->user_regs[i]];
		out->known |= 1ull << i;
	}
	return 0;
}

static void regs_few(const struct unwind_arch *arch, uint64_t pc, uint64_t sp, struct unwind_regs *out)
{
	memset(out, 0, sizeof(*out));
	out->pc = pc;
	out->regs[arch->sp] = sp;
	out->known = 1ull << arch->sp;
}

bool unwind_regs_few(uint32_t audit_arch, uint64_t pc, uint64_t sp, struct unwind_regs *out)
{
	const struct unwind_arch *arch = unwind_arch_host();

	if (!arch || audit_arch != arch->audit_arch)
		return false;
	regs_few(arch, pc, sp, out);
	return true;
}

void unwind_regs_perf(const uint64_t *values, struct unwind_regs *out)
{
	const struct unwind_arch *arch = unwind_arch_host();

	memset(out, 0, sizeof(*out));
	if (!arch)
		return;
	for (unsigned int i = 0; i < arch->reg_count; i++) {
		uint64_t before = arch->perf_mask & ((1ull << arch->perf_regs[i]) - 1);

		out->regs[i] = values[__builtin_popcountll(before)];
		out->known |= 1ull << i;
	}
	out->pc = values[__builtin_popcountll(arch->perf_mask & ((1ull << arch->perf_pc) - 1))];
}

uint64_t unwind_regs_sp(const struct unwind_regs *regs)
{
	const struct unwind_arch *arch = unwind_arch_host();

	return arch && regs->known >> arch->sp & 1 ? regs->regs[arch->sp] : 0;
}

bool unwind_copy_read(void *copy, uint64_t addr, void *out, size_t len)
{
	const struct unwind_copy *from = copy;

	if (addr < from->addr || addr - from->addr > from->len || len > from->len - (addr - from->addr))
		return false;
	memcpy(out, (const char *)from->data + (addr - from->addr), len);
	return true;
}

static bool read_word(const struct walk *walk, uint64_t addr, uint64_t *out)
{
	return walk->read(walk->ctx, addr, out, sizeof(*out));
}

static bool reg_get(const struct unwind_regs *regs, unsigned int reg, uint64_t *out)
{
	if (!(regs->known >> reg & 1))
		return false;
	*out = regs->regs[reg];
	return true;
}

static void reg_set(struct unwind_regs *regs, unsigned int reg, bool known, uint64_t value)
{
	if (known) {
		regs->regs[reg] = value;
		regs->known |= 1ull << reg;
	} else {
		regs->known &= ~(1ull << reg);
	}
}

static bool evaluate(const struct walk *walk, const struct cfi *code, const struct cfi_rule *rule,
		     const uint64_t *first, uint64_t *out)
{
	const struct dwarf_expr_frame frame = {
		.regs = walk->at.regs, .known = walk->at.known, .read = walk->read, .ctx = walk->ctx
	};

	return !dwarf_expr(code->data + rule->offset, rule->len, &frame, first, out);
}

static bool cfa_get(const struct walk *walk, const struct cfi_row *row, const struct cfi *code, uint64_t *out)
{
	if (row->cfa.kind == CFI_EXPR)
		return evaluate(walk, code, &row->cfa, NULL, out);
	if (row->cfa.kind != CFI_REGISTER || !reg_get(&walk->at, row->cfa.reg, out))
		return false;
	*out += (uint64_t)(int64_t)row->cfa.offset;
	return true;
}

/* The caller's value of a register that has rule @rule. False where it is lost. */
static bool rule_apply(const struct walk *walk, const struct cfi_rule *rule, const struct cfi *code, uint64_t cfa,
		       uint64_t *out)
{
	uint64_t offset = (uint64_t)(int64_t)rule->offset, addr;

	switch ((enum cfi_kind)rule->kind) {
	case CFI_AT_CFA:
		return read_word(walk, cfa + offset, out);
	case CFI_CFA_OFFSET:
		*out = cfa + offset;
		return true;
	case CFI_REGISTER:
		return reg_get(&walk->at, rule->reg, out);
	case CFI_AT_EXPR:
		return evaluate(walk, code, rule, &cfa, &addr) && read_word(walk, addr, out);
	case CFI_EXPR:
		return evaluate(walk, code, rule, &cfa, out);
	case CFI_UNSET:
	case CFI_SAME:
	case CFI_UNDEFINED:
		break;
	}
	return false;
}

/* Goes to the caller by what @row says. */
static enum step step_by_row(struct walk *walk, const struct cfi_row *row, const struct cfi *code)
{
	struct unwind_regs next = walk->at;
	uint64_t cfa, value, named = row->named & ~(1ull << row->ra);
	const struct cfi_rule *ra = &row->regs[row->ra];

	if (ra->kind == CFI_UNDEFINED)
		return STEP_OUTERMOST;
	if (!cfa_get(walk, row, code, &cfa))
		return STEP_LOST;
	/* In a leaf the return address may still be in its register, but only the innermost frame can be one. */
	if (ra->kind == CFI_UNSET || ra->kind == CFI_SAME) {
		if (!walk->exact || !reg_get(&walk->at, row->ra, &value))
			return STEP_LOST;
	} else if (!rule_apply(walk, ra, code, cfa, &value)) {
		return STEP_LOST;
	}
	next.pc = value & walk->arch->code_mask;
	reg_set(&next, row->ra, true, value);
	reg_set(&next, walk->arch->sp, true, cfa);
	for (; named; named &= named - 1) {
		unsigned int reg = (unsigned int)__builtin_ctzll(named);
		bool known;

		if (row->regs[reg].kind == CFI_SAME)
			continue;
		known = rule_apply(walk, &row->regs[reg], code, cfa, &value);
		reg_set(&next, reg, known, value);
	}
	walk->exact = row->signal;
	walk->at = next;
	return STEP_ON;
}

/* The ABI's mark of the outermost frame: a frame pointer of 0. In an innermost function, which may be without, it may mean
 * nothing. */
static bool is_marked_outermost(const struct walk *walk)
{
	uint64_t fp;

	return !walk->exact && reg_get(&walk->at, walk->arch->fp, &fp) && !fp;
}

/* Goes to the caller by the frame pointer. */
static enum step step_by_fp(struct walk *walk)
{
	const struct unwind_arch *arch = walk->arch;
	uint64_t fp, sp, saved, pc;

	if (is_marked_outermost(walk))
		return STEP_OUTERMOST;
	if (!reg_get(&walk->at, arch->fp, &fp) || !reg_get(&walk->at, arch->sp, &sp) || fp < sp ||
	    fp % sizeof(uint64_t) || !read_word(walk, fp, &saved) || !read_word(walk, fp + sizeof(uint64_t), &pc))
		return STEP_LOST;
	pc &= arch->code_mask;
	if (pc && !space_find(walk->space, pc - 1))
		return STEP_LOST;
	regs_few(arch, pc, fp + 2 * sizeof(uint64_t), &walk->at);
	reg_set(&walk->at, arch->fp, true, saved);
	walk->exact = false;
	return STEP_ON;
}

static struct unwind_cached_row *slot_of(struct unwind_cache *cache, uint64_t serial, uint64_t addr)
{
	uint64_t hash = (addr + serial * 0x9e3779b97f4a7c15ull) * 0xbf58476d1ce4e5b9ull;

	return &cache->rows[hash >> 32 & (UNWIND_ROWS - 1)];
}

/* The row at @addr, kept for the next time. NULL where there is none. */
static const struct unwind_cached_row *row_get(struct unwind_cache *cache, const struct unwind_file *file,
					       uint64_t addr)
{
	struct unwind_cached_row *slot = slot_of(cache, file->serial, addr);

	if (slot->serial == file->serial && slot->addr == addr)
		return slot;
	slot->serial = 0;
	if (object_row(&file->object, addr, &slot->row, &slot->code))
		return NULL;
	slot->serial = file->serial;
	slot->addr = addr;
	return slot;
}

/* C libraries end the description of clone(2)'s wrapper before its system call instruction, as what comes after it is true for
 * the parent only, which is where it was before. */
static const struct unwind_cached_row *row_behind_syscall(const struct walk *walk, const struct unwind_file *file,
							  uint64_t addr)
{
	uint64_t before = addr - walk->arch->syscall_len - 1;

	return walk->exact && before < addr ? row_get(walk->space->cache, file, before) : NULL;
}

/* Code that nothing describes. */
static enum step step_undescribed(struct walk *walk, const struct unwind_object *object, uint64_t addr)
{
	if (object_is_start(object, addr))
		return STEP_OUTERMOST;
	/* A return to the very beginning of a function was put there by hand: the routine at the end of a context's stack, as
	 * that of makecontext(3). */
	if (!walk->exact && object_begins_function(object, addr + 1))
		return STEP_OUTERMOST;
	/* What makes code at run time keeps frame pointers, or is lost. In a file's code any function may be without. */
	if (!is_marked_outermost(walk))
		walk->guess = true;
	return step_by_fp(walk);
}

static enum step step(struct walk *walk)
{
	uint64_t pc = walk->at.pc - !walk->exact, addr;
	struct unwind_map *map = space_find(walk->space, pc);
	const struct unwind_cached_row *row;
	const struct unwind_file *file;

	if (!map) {
		walk->out->unmapped = true;
		return STEP_LOST;
	}
	file = space_file(walk->space, map);
	if (!file || !object_addr(&file->object, pc - map->start + map->offset, &addr)) {
		walk->guess |= map->kind != UNWIND_MADE;
		return step_by_fp(walk);
	}
	row = row_get(walk->space->cache, file, addr);
	if (!row && !object_is_start(&file->object, addr))
		row = row_behind_syscall(walk, file, addr);
	return row ? step_by_row(walk, &row->row, row->code) : step_undescribed(walk, &file->object, addr);
}

/* Whether the step from @before has led outward: a walk in circles ends. Signal handlers may have a stack of their own. */
static bool is_progress(const struct walk *walk, const struct unwind_regs *before)
{
	unsigned int sp = walk->arch->sp;

	return walk->exact || walk->at.regs[sp] > before->regs[sp] ||
	       (walk->at.regs[sp] == before->regs[sp] && walk->at.pc != before->pc);
}

static void frame_add(struct walk *walk, uint64_t *hash)
{
	struct unwind_map *map = space_find(walk->space, walk->at.pc - !walk->exact);
	const struct unwind_file *file = map ? space_file(walk->space, map) : NULL;
	uint64_t object = file ? file->serial : 0;

	walk->out->frames[walk->out->count++] = (struct unwind_frame){ .addr = walk->at.pc, .exact = walk->exact };
	*hash = (*hash ^ (walk->at.pc + (object << 48) + walk->exact)) * 0x9fb21c651e98df25ull;
	*hash ^= *hash >> 29;
}

static void walk_from(struct walk *walk, const struct unwind_regs *regs, enum step (*next)(struct walk *))
{
	uint64_t hash = walk->space->cache->seed;
	struct unwind_regs before;
	enum step step;

	walk->arch = unwind_arch_host();
	walk->at = *regs;
	walk->exact = true;
	step = walk->arch ? STEP_ON : STEP_LOST;
	walk->out->count = 0;
	walk->out->unmapped = false;
	while (step == STEP_ON && walk->out->count < UNWIND_FRAMES_MAX) {
		frame_add(walk, &hash);
		if (walk->arch->pc)
			reg_set(&walk->at, walk->arch->pc, true, walk->at.pc);
		before = walk->at;
		step = next(walk);
		/* Some begin a stack by a return address of 0. */
		if (step == STEP_ON && !walk->at.pc)
			step = STEP_OUTERMOST;
		else if (step == STEP_ON && !is_progress(walk, &before))
			step = STEP_LOST;
	}
	walk->out->complete = step == STEP_OUTERMOST && !walk->guess;
	hash = (hash ^ walk->out->count << 1 ^ walk->out->complete) * 0xbf58476d1ce4e5b9ull;
	hash ^= hash >> 32;
	walk->out->id = hash ? hash : 1;
}

void unwind_walk(struct unwind_space *space, const struct unwind_regs *regs, dwarf_read_fn read, void *ctx,
		 struct unwind_stack *out)
{
	struct walk walk = { .space = space, .read = read, .ctx = ctx, .out = out };

	walk_from(&walk, regs, step);
}

void unwind_walk_fp(struct unwind_space *space, const struct unwind_regs *regs, dwarf_read_fn read, void *ctx,
		    struct unwind_stack *out)
{
	struct walk walk = { .space = space, .read = read, .ctx = ctx, .out = out };

	walk_from(&walk, regs, step_by_fp);
}

uint64_t unwind_space_function(struct unwind_space *space, uint64_t addr)
{
	struct unwind_map *map = space_find(space, addr);
	const struct unwind_file *file = map ? space_file(space, map) : NULL;
	const struct cfi_fde *fde = NULL;
	uint64_t linked;

	if (!file || !object_addr(&file->object, addr - map->start + map->offset, &linked))
		return 0;
	for (int i = 0; i < 2 && !fde; i++)
		fde = cfi_find(&file->object.frames[i], linked);
	return fde ? addr - (linked - fde->start) : 0;
}
