/* SPDX-License-Identifier: GPL-2.0-only */
/* Any registers and any stack, in the code of a real process: this one. A word of which the top byte is 0xc0 becomes the address
 * of an instruction, one with 0x51 that of a word of the stack. */
#include "source/unwind.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STACK_ADDR 0x7f0000000000ull

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	struct unwind_space *space;
	const uint8_t *data;
	size_t size;
};

static struct unwind_space *own_space(void)
{
	static struct unwind_space *space;
	struct unwind_cache *cache;

	if (space)
		return space;
	cache = unwind_cache_new();
	space = cache ? unwind_space_new(cache, getpid()) : NULL;
	if (!space || unwind_space_read(space))
		abort();
	return space;
}

static uint64_t word(const struct input *input, size_t at)
{
	uint64_t value;

	memcpy(&value, input->data + at, sizeof(value));
	if (value >> 56 == 0xc0)
		return (uint64_t)(uintptr_t)&memcpy + (uint64_t)((int64_t)(value << 40) >> 40);
	return value >> 56 == 0x51 ? STACK_ADDR + (value & 0xffff) : value;
}

static bool stack_read(void *ctx, uint64_t addr, void *out, size_t len)
{
	const struct input *input = ctx;
	uint64_t at = addr - STACK_ADDR, value;

	if (addr < STACK_ADDR || at >= input->size || input->size - at < sizeof(value) || len > sizeof(value))
		return false;
	value = word(input, at);
	memcpy(out, &value, len);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { own_space(), data, size };
	struct unwind_regs regs = { .known = 0x1ffff };
	struct unwind_stack one, other;

	if (size < 17 * sizeof(uint64_t))
		return 0;
	for (unsigned int i = 0; i < 17; i++)
		regs.regs[i] = word(&input, i * sizeof(uint64_t));
	regs.pc = regs.regs[16];
	unwind_walk(input.space, &regs, stack_read, &input, &one);
	if (one.count < 1 || one.count > UNWIND_FRAMES_MAX || one.frames[0].addr != regs.pc || !one.id)
		abort();
	/* What was remembered of the first walk changes nothing in the second one. */
	unwind_walk(input.space, &regs, stack_read, &input, &other);
	if (one.count != other.count || one.complete != other.complete || one.id != other.id)
		abort();
	for (unsigned int i = 0; i < one.count; i++) {
		if (one.frames[i].addr != other.frames[i].addr || one.frames[i].exact != other.frames[i].exact)
			abort();
	}
	unwind_walk_fp(input.space, &regs, stack_read, &input, &one);
	return 0;
}
