/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/ptrace_stacks.h"

#include "source/ptrace_claims.h"
#include "source/ptrace_state.h"
#include "source/unwind.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define WINDOWS	       4    /* pages of stack that are kept during a walk */
#define REGS_BYTES     1024 /* more than any NT_PRSTATUS */
#define RETRY_STEP_MAX 4096

/* A piece of a page, from @from to its end. */
struct window {
	uint64_t page, from;
	char *data; /* of the whole page; NULL: not used yet */
};

struct ptrace_stacks {
	enum source_stacks how;
	struct unwind_cache *cache;
	struct unwind_stack scratch;
	struct frame frames[UNWIND_FRAMES_MAX];
	size_t page_size;
	struct window windows[WINDOWS];
	unsigned int used; /* windows that hold something of this walk */
	struct ptrace_task *task;
	bool swaps;
};

struct ptrace_stacks *stacks_new(enum source_stacks how)
{
	struct ptrace_stacks *stacks = how == SOURCE_STACKS_NONE ? NULL : calloc(1, sizeof(*stacks));

	if (!stacks)
		return NULL;
	stacks->how = how;
	stacks->cache = unwind_cache_new();
	if (!stacks->cache) {
		free(stacks);
		return NULL;
	}
	return stacks;
}

void stacks_free(struct ptrace_stacks *stacks)
{
	if (!stacks)
		return;
	for (unsigned int i = 0; i < WINDOWS; i++)
		free(stacks->windows[i].data);
	unwind_cache_free(stacks->cache);
	free(stacks);
}

/* Whether the page may be read. One that is not there is left alone: reading would make it come, or wait for somebody who serves
 * it. The one that the thread's stack was on at its last stop is not asked for again. */
static bool page_is_there(const struct ptrace_stacks *stacks, uint64_t page)
{
	const struct ptrace_mm *mm = stacks->task->mm;

	if (mm->pagemap_fd < 0 || (page == stacks->task->stack_page && !stacks->swaps))
		return true;
	return claims_page(mm, page) != PAGE_NONE;
}

/* Reads from @addr to the end of its page. */
static const struct window *window_read(struct ptrace_stacks *stacks, uint64_t addr)
{
	struct window *window = &stacks->windows[stacks->used % WINDOWS];
	uint64_t page = addr & ~(uint64_t)(stacks->page_size - 1);
	struct iovec local, remote;

	if (!page_is_there(stacks, page))
		return NULL;
	if (!window->data)
		window->data = malloc(stacks->page_size);
	if (!window->data)
		return NULL;
	local = (struct iovec){ window->data + (addr - page), stacks->page_size - (addr - page) };
	remote = (struct iovec){ (void *)(uintptr_t)addr, local.iov_len };
	window->page = 1; /* none */
	stacks->used++;
	if (process_vm_readv(stacks->task->tid, &local, 1, &remote, 1, 0) != (ssize_t)local.iov_len) {
		stacks->task->stack_page = 0;
		return NULL;
	}
	if (stacks->used == 1)
		stacks->task->stack_page = page;
	window->page = page;
	window->from = addr;
	return window;
}

static const struct window *window_get(struct ptrace_stacks *stacks, uint64_t addr)
{
	uint64_t page = addr & ~(uint64_t)(stacks->page_size - 1);
	unsigned int count = stacks->used < WINDOWS ? stacks->used : WINDOWS;

	for (unsigned int i = 0; i < count; i++) {
		if (stacks->windows[i].page == page && stacks->windows[i].from <= addr)
			return &stacks->windows[i];
	}
	return window_read(stacks, addr);
}

static bool stack_read(void *ctx, uint64_t addr, void *out, size_t len)
{
	struct ptrace_stacks *stacks = ctx;

	if (addr + len < addr || (int64_t)(addr + len) < 0)
		return false;
	while (len) {
		size_t part = stacks->page_size - (addr & (stacks->page_size - 1));
		const struct window *window = window_get(stacks, addr);

		if (!window)
			return false;
		if (part > len)
			part = len;
		memcpy(out, window->data + (addr - window->page), part);
		out = (char *)out + part;
		addr += part;
		len -= part;
	}
	return true;
}

/* Reads the code of the mm where that is due. False where it cannot be had. */
static bool code_ready(struct ptrace_stacks *stacks, struct ptrace_mm *mm)
{
	struct ptrace_code *code = &mm->code;

	if (!code->space) {
		code->space = unwind_space_new(stacks->cache, mm->fd_tid);
		code->stale = true;
	}
	if (!code->space)
		return false;
	unwind_space_set_pid(code->space, mm->fd_tid);
	if (code->stale && !unwind_space_read(code->space))
		code->stale = false;
	return true;
}

/* An address in no code that is known: some was mapped unseen, or it is none. That is looked into less and less often. */
static bool code_reread(struct ptrace_mm *mm)
{
	struct ptrace_code *code = &mm->code;

	if (mm->order < code->retry_order)
		return false;
	if (code->retry_step < RETRY_STEP_MAX)
		code->retry_step = code->retry_step * 2 + 1;
	code->retry_order = mm->order + code->retry_step;
	return !unwind_space_read(code->space);
}

static bool regs_read(const struct ptrace_task *task, struct unwind_regs *out)
{
	uint64_t words[REGS_BYTES / sizeof(uint64_t)];
	struct iovec all = { words, sizeof(words) };

	return !ptrace(PTRACE_GETREGSET, task->tid, (void *)NT_PRSTATUS, &all) &&
	       !unwind_regs_take(words, all.iov_len, out);
}

static void walk(struct ptrace_stacks *stacks, const struct ptrace_task *task, const struct unwind_regs *regs,
		 struct unwind_stack *out)
{
	if (stacks->how == SOURCE_STACKS_FP)
		unwind_walk_fp(task->mm->code.space, regs, stack_read, stacks, out);
	else
		unwind_walk(task->mm->code.space, regs, stack_read, stacks, out);
}

void stacks_take(struct tracer *tracer, struct ptrace_task *task)
{
	struct ptrace_stacks *stacks = tracer->stacks;
	struct unwind_regs regs;

	if (!stacks)
		return;
	if (!task->stack)
		task->stack = malloc(sizeof(*task->stack));
	if (!task->stack)
		return;
	task->stack->count = 0;
	task->stack->complete = task->stack->unmapped = false;
	stacks->page_size = (size_t)tracer->page_size;
	stacks->used = 0;
	stacks->task = task;
	stacks->swaps = tracer->has_swap;
	if (!code_ready(stacks, task->mm))
		return;
	/* The other registers cost another call of the kernel, and are wanted only where the walk does not come to its end. */
	if (stacks->how == SOURCE_STACKS_DWARF && unwind_regs_few(task->arch, task->pc, task->sp, &regs)) {
		walk(stacks, task, &regs, task->stack);
		if (task->stack->complete)
			return;
	}
	if (!regs_read(task, &regs)) {
		task->stack->count = 0;
		return;
	}
	walk(stacks, task, &regs, task->stack);
	if (task->stack->unmapped && code_reread(task->mm))
		walk(stacks, task, &regs, task->stack);
}

void stacks_put_frames(struct tracer *tracer, const struct unwind_frame *frames, unsigned int count,
		       struct event_change *change)
{
	struct ptrace_stacks *stacks = tracer->stacks;

	if (!stacks)
		return;
	for (unsigned int i = 0; i < count; i++)
		stacks->frames[i] = (struct frame){ .addr = frames[i].addr, .exact = frames[i].exact };
	change->stack = stacks->frames;
	change->stack_len = count;
}

void stacks_put(struct tracer *tracer, const struct ptrace_task *task, struct event_change *change)
{
	if (!tracer->stacks || !task || !task->stack)
		return;
	stacks_put_frames(tracer, task->stack->frames, task->stack->count, change);
	change->stack_complete = task->stack->complete;
	change->stack_id = task->stack->count ? task->stack->id : 0;
}

bool stacks_walk_copy(struct tracer *tracer, struct ptrace_mm *mm, const struct unwind_regs *regs,
		      struct unwind_copy *copy, struct unwind_stack *out)
{
	struct ptrace_stacks *stacks = tracer->stacks;

	if (!stacks || !code_ready(stacks, mm))
		return false;
	if (stacks->how == SOURCE_STACKS_FP)
		unwind_walk_fp(mm->code.space, regs, unwind_copy_read, copy, out);
	else
		unwind_walk(mm->code.space, regs, unwind_copy_read, copy, out);
	return true;
}

bool stacks_same_function(struct tracer *tracer, struct ptrace_mm *mm, uint64_t a, uint64_t b)
{
	uint64_t function;

	if (a == b || !tracer->stacks)
		return true;
	if (!code_ready(tracer->stacks, mm))
		return false;
	function = unwind_space_function(mm->code.space, a);
	return function && function == unwind_space_function(mm->code.space, b);
}

static bool touches_code(const struct ptrace_mm *mm, uint64_t start, uint64_t len)
{
	uint64_t end = start + len;

	return unwind_space_has(mm->code.space, start, end < start ? UINT64_MAX : end);
}

void stacks_call_done(struct ptrace_mm *mm, const struct ptrace_call *call, int64_t ret)
{
	if (!mm->code.space || mm->code.stale || ptrace_failed(ret))
		return;
	switch (call->nr) {
	case SYS_mmap:
		mm->code.stale = call->args[2] & PROT_EXEC || touches_code(mm, (uint64_t)ret, call->args[1]);
		break;
	case SYS_mprotect:
	case SYS_pkey_mprotect:
		mm->code.stale = call->args[2] & PROT_EXEC || touches_code(mm, call->args[0], call->args[1]);
		break;
	case SYS_munmap:
		mm->code.stale = touches_code(mm, call->args[0], call->args[1]);
		break;
	case SYS_mremap:
		mm->code.stale = touches_code(mm, call->args[0], call->args[1]) ||
				 touches_code(mm, (uint64_t)ret, call->args[2]);
		break;
	case SYS_shmat:
		mm->code.stale = call->args[2] & SHM_EXEC || call->args[2] & SHM_REMAP;
		break;
	default:
		break;
	}
}

void stacks_fork(const struct ptrace_mm *parent, struct ptrace_mm *mm)
{
	if (!parent->code.space)
		return;
	mm->code.space = unwind_space_fork(parent->code.space, mm->fd_tid);
	mm->code.stale = parent->code.stale;
}

void stacks_mm_free(struct ptrace_mm *mm)
{
	unwind_space_free(mm->code.space);
	mm->code.space = NULL;
}
