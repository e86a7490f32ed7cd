/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel as the judge: a child makes random calls, the map is told of them and must agree with /proc after each. */
#include "base/buf.h"
#include "base/procfs.h"
#include "vmap_rows.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mman.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

#define WINDOW 48 /* pages in which the calls take place, so that they meet */
#define CALLS  4000

struct call {
	const char *name;
	long nr;
	uint64_t args[6];
};

struct live {
	pid_t child;
	int to_child, from_child;
	int file, zero, segment;
	uint64_t base, heap_end, random;
	unsigned int reseeded;
	struct vmap *vmap;
	struct buf maps;
};

/* Does what it is told, with no memory of its own. */
static void serve(int from_parent, int to_parent)
{
	struct call call;

	while (read(from_parent, &call, sizeof(call)) == sizeof(call)) {
		const uint64_t *args = call.args;
		long ret = syscall(call.nr, args[0], args[1], args[2], args[3], args[4], args[5]);

		if (ret == -1)
			ret = -errno;
		if (write(to_parent, &ret, sizeof(ret)) != sizeof(ret))
			break;
	}
	_exit(0);
}

static void read_maps(struct live *live)
{
	assert_int_equal(procfs_read(live->child, "maps", &live->maps), 0);
}

static bool next_map(const struct live *live, size_t *pos, struct procfs_map *map)
{
	int got = procfs_parse_map(live->maps.data, live->maps.len, pos, map);

	assert_true(got >= 0);
	/* The kernel's own page at the end of the address space is in no count of VIRT. */
	return got && map->start < 1ULL << 62;
}

static void seed(struct live *live)
{
	struct procfs_map map;
	size_t pos = 0;

	read_maps(live);
	while (next_map(live, &pos, &map)) {
		char *path = strndup(map.path, map.path_len);
		struct event_vma vma = { .start = map.start,
					 .end = map.end,
					 .offset = map.offset,
					 .prot = map.prot,
					 .flags = map.shared ? MAP_SHARED : MAP_PRIVATE,
					 .inode = map.inode,
					 .path = map.path_len ? path : NULL };

		assert_non_null(path);
		assert_int_equal(vmap_seed(live->vmap, &vma), 0);
		if (map.path_len == 6 && !strcmp(path, "[heap]"))
			live->heap_end = map.end;
		free(path);
	}
}

static uint64_t virt_of(const struct live *live)
{
	struct procfs_status status;

	assert_int_equal(procfs_status(live->child, &status), 0);
	return (uint64_t)status.mem.virt;
}

/* A new map of what is there now. */
static void reseed(struct live *live)
{
	struct event_open attached = { .how = OPEN_ATTACH };

	vmap_free(live->vmap);
	live->vmap = vmap_new(&attached);
	assert_non_null(live->vmap);
	seed(live);
	live->reseeded++;
}

static void start(struct live *live, uint64_t random)
{
	int down[2], up[2];
	char *room;

	*live = (struct live){ .random = random };
	live->file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	live->zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	live->segment = shmget(IPC_PRIVATE, pages(3), IPC_CREAT | 0600);
	assert_true(live->file >= 0 && live->zero >= 0 && live->segment >= 0);
	/* Where the kernel puts nothing by itself, with room for stacks to grow. */
	room = mmap(NULL, 1ULL << 30, PROT_NONE, PRIVATE_ANON | MAP_NORESERVE, -1, 0);
	assert_true(room != MAP_FAILED);
	live->base = (uint64_t)room + (1ULL << 29);
	assert_int_equal(munmap(room, 1ULL << 30), 0);
	assert_int_equal(pipe(down), 0);
	assert_int_equal(pipe(up), 0);
	live->child = fork();
	assert_true(live->child >= 0);
	if (!live->child) {
		close(down[1]);
		close(up[0]);
		serve(down[0], up[1]);
	}
	close(down[0]);
	close(up[1]);
	live->to_child = down[1];
	live->from_child = up[0];
	reseed(live);
	live->reseeded = 0;
}

static void stop(struct live *live)
{
	int status;

	close(live->to_child);
	close(live->from_child);
	assert_int_equal(waitpid(live->child, &status, 0), live->child);
	assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
	assert_int_equal(shmctl(live->segment, IPC_RMID, NULL), 0);
	close(live->file);
	close(live->zero);
	buf_free(&live->maps);
	vmap_free(live->vmap);
}

static uint64_t draw(struct live *live, uint64_t below)
{
	live->random ^= live->random << 13;
	live->random ^= live->random >> 7;
	live->random ^= live->random << 17;
	return (live->random >> 11) % below;
}

static uint64_t draw_addr(struct live *live)
{
	return live->base + pages(draw(live, WINDOW));
}

static uint64_t draw_len(struct live *live)
{
	return pages(draw(live, 8)) + 1 + draw(live, pages(1));
}

static void draw_mmap(struct live *live, struct call *call)
{
	static const uint64_t prots[] = { PROT_NONE, PROT_READ, RW, RW };
	static const uint64_t flags[] = { PRIVATE_ANON, PRIVATE_ANON, SHARED_ANON,
					  MAP_PRIVATE,	MAP_SHARED,   PRIVATE_ANON | MAP_GROWSDOWN };
	static const uint64_t places[] = { 0, MAP_FIXED, MAP_FIXED, MAP_FIXED_NOREPLACE };

	*call = (struct call){ .name = "mmap", .nr = SYS_mmap };
	call->args[0] = draw_addr(live);
	call->args[1] = draw_len(live);
	call->args[2] = prots[draw(live, 4)];
	call->args[3] = flags[draw(live, 6)] | places[draw(live, 4)];
	call->args[4] = (uint64_t)(draw(live, 8) ? live->file : live->zero);
	call->args[5] = pages(draw(live, 4));
}

static void draw_mremap(struct live *live, struct call *call)
{
	static const uint64_t flags[] = { 0, MREMAP_MAYMOVE, MREMAP_MAYMOVE | MREMAP_FIXED,
					  MREMAP_MAYMOVE | MREMAP_DONTUNMAP,
					  MREMAP_MAYMOVE | MREMAP_DONTUNMAP | MREMAP_FIXED };

	*call = (struct call){ .name = "mremap", .nr = SYS_mremap };
	call->args[0] = draw_addr(live);
	call->args[1] = draw(live, 6) ? draw_len(live) : 0;
	call->args[2] = draw(live, 2) ? call->args[1] : draw_len(live);
	call->args[3] = flags[draw(live, 5)];
	call->args[4] = draw_addr(live);
}

/* Kernel-mode faults at the same addresses: below a MAP_GROWSDOWN mapping it grows. */
static void draw_touch(struct live *live, struct call *call)
{
	*call = (struct call){ .name = "read", .nr = SYS_read };
	call->args[0] = (uint64_t)live->zero;
	call->args[1] = draw_addr(live);
	call->args[2] = 1;
}

static void draw_range_call(struct live *live, struct call *call)
{
	static const struct call calls[] = {
		{ .name = "munmap", .nr = SYS_munmap },
		{ .name = "munmap", .nr = SYS_munmap },
		{ .name = "mprotect", .nr = SYS_mprotect, .args = { 0, 0, PROT_READ } },
		{ .name = "mprotect", .nr = SYS_mprotect, .args = { 0, 0, RW } },
		{ .name = "mprotect", .nr = SYS_mprotect, .args = { 0, 0, PROT_NONE } },
		{ .name = "madvise", .nr = SYS_madvise, .args = { 0, 0, MADV_DONTFORK } },
		{ .name = "madvise", .nr = SYS_madvise, .args = { 0, 0, MADV_DONTNEED } },
		{ .name = "mlock", .nr = SYS_mlock },
	};

	*call = calls[draw(live, sizeof(calls) / sizeof(calls[0]))];
	call->args[0] = draw_addr(live);
	call->args[1] = draw_len(live);
}

static void draw_call(struct live *live, struct call *call)
{
	switch (draw(live, 16)) {
	case 0:
		*call = (struct call){ .name = "brk", .nr = SYS_brk };
		call->args[0] = live->heap_end + pages(draw(live, 6)) - draw(live, pages(5));
		break;
	case 1:
		*call = (struct call){ .name = "shmat", .nr = SYS_shmat };
		call->args[0] = (uint64_t)live->segment;
		call->args[1] = draw_addr(live);
		call->args[2] = draw(live, 2) ? SHM_RDONLY : 0;
		break;
	case 2:
		*call = (struct call){ .name = "shmdt", .nr = SYS_shmdt };
		call->args[0] = draw_addr(live);
		break;
	case 3:
		*call = (struct call){ .name = "remap_file_pages", .nr = SYS_remap_file_pages };
		call->args[0] = draw_addr(live);
		call->args[1] = draw_len(live);
		call->args[3] = draw(live, 4);
		break;
	case 4:
		draw_touch(live, call);
		break;
	case 5:
	case 6:
	case 7:
		draw_mremap(live, call);
		break;
	case 8:
	case 9:
	case 10:
	case 11:
		draw_mmap(live, call);
		break;
	default:
		draw_range_call(live, call);
		break;
	}
}

/* Has the child make the call, and tells the map of it. */
static long make(struct live *live, const struct call *call)
{
	uint64_t before = virt_of(live);
	struct event_change change = { .cause = CAUSE_SYSCALL,
				       .has_ret = true,
				       .name = call->name,
				       .count = 1,
				       .call = memcall_by_name(call->name),
				       .attributed = true };
	struct region region;
	long ret;

	assert_int_equal(write(live->to_child, call, sizeof(*call)), sizeof(*call));
	assert_int_equal(read(live->from_child, &ret, sizeof(ret)), sizeof(ret));
	change.ret = ret;
	memcpy(change.args, call->args, sizeof(change.args));
	change.delta.virt = (int64_t)(virt_of(live) - before);
	if (call->nr == SYS_mmap && !(call->args[3] & MAP_ANONYMOUS))
		change.text = call->args[4] == (uint64_t)live->zero ? "/dev/zero" : "/exe";
	if (call->nr == SYS_read) {
		change.cause = CAUSE_KERNEL_FAULT;
		change.addr = call->args[1];
		change.len = call->args[2];
	}
	apply(live->vmap, &change, &region);
	return ret;
}

/* The next stretch of equal protection, from *@at on, as the map has it. */
static bool stretch(const struct vmap *vmap, uint64_t *at, struct vmap_range *ret_stretch)
{
	struct vmap_range next;

	if (!vmap_next(vmap, *at, ret_stretch))
		return false;
	while (vmap_next(vmap, ret_stretch->end, &next) && next.start == ret_stretch->end &&
	       next.prot == ret_stretch->prot && next.shared == ret_stretch->shared)
		ret_stretch->end = next.end;
	*at = ret_stretch->end;
	return true;
}

static bool agrees(struct live *live)
{
	struct procfs_map map;
	struct vmap_range have = { .start = 0 }, piece;
	uint64_t at = 0, kernel_at = 0;
	size_t pos = 0;

	read_maps(live);
	while (next_map(live, &pos, &map)) {
		if (map.start >= have.end) {
			/* What is left of the last stretch, and a gap that the map does not have. */
			if (kernel_at != have.end || !stretch(live->vmap, &at, &have) || have.start != map.start)
				return false;
		} else if (map.start != kernel_at) {
			return false;
		}
		if (map.end > have.end || map.prot != have.prot || map.shared != have.shared)
			return false;
		/* Of anonymous memory, /dev/zero included, the kernel has offsets too, which no call tells. */
		if (vmap_next(live->vmap, map.start, &piece) && piece.kind == REGION_FILE && piece.path &&
		    piece.offset + (map.start - piece.start) != map.offset)
			return false;
		kernel_at = map.end;
	}
	return kernel_at == have.end && !stretch(live->vmap, &at, &have) &&
	       vmap_total_bytes(live->vmap) == virt_of(live);
}

/* Both maps around the calls' window. */
static void print_window(const struct live *live)
{
	uint64_t low = live->base - pages(2 * WINDOW), high = live->base + pages(2 * WINDOW);
	struct procfs_map map;
	struct vmap_range range;
	size_t pos = 0;

	for (uint64_t at = low; vmap_next(live->vmap, at, &range) && range.start < high; at = range.end)
		print_error("map:    %lx-%lx prot %u shared %d offset %lx\n", range.start, range.end, range.prot,
			    range.shared, range.offset);
	while (next_map(live, &pos, &map)) {
		if (map.start >= low && map.start < high)
			print_error("kernel: %lx-%lx prot %u shared %d offset %lx %.*s\n", map.start, map.end, map.prot,
				    map.shared, map.offset, (int)map.path_len, map.path);
	}
	print_error("VIRT of the map %lu, of the kernel %lu\n", vmap_total_bytes(live->vmap), virt_of(live));
}

static void fail_with(const struct live *live, const struct call *call, long ret, unsigned int at)
{
	print_window(live);
	print_error("call %u: %s(%#lx, %#lx, %#lx, %#lx, %#lx, %#lx) = %#lx\n", at, call->name, call->args[0],
		    call->args[1], call->args[2], call->args[3], call->args[4], call->args[5], (unsigned long)ret);
	fail();
}

/* Since Linux 6.17 mremap moves several mappings one after the other, and stops in the middle at one that must not move
 * so: what it did then, no result tells, nor the kernel's version in a recording. */
static bool half_moved(const struct call *call, long ret)
{
	return call->nr == SYS_mremap && (call->args[3] & MREMAP_FIXED) && ret == -EFAULT;
}

/* maps does not tell which mappings grow down, so the new map must not begin with any that are used. */
static void begin_anew(struct live *live)
{
	struct call call = { .name = "munmap", .nr = SYS_munmap };

	call.args[0] = live->base - pages(2 * WINDOW);
	call.args[1] = pages(4 * WINDOW);
	assert_int_equal(make(live, &call), 0);
	reseed(live);
}

/* A run in which all calls fail would prove nothing, nor would one in which none does. */
static void run(uint64_t random)
{
	struct live live;
	unsigned int done = 0, failed = 0;

	start(&live, random);
	assert_true(agrees(&live));
	for (unsigned int i = 0; i < CALLS; i++) {
		struct call call;
		long ret;

		draw_call(&live, &call);
		ret = make(&live, &call);
		if (!agrees(&live) && half_moved(&call, ret))
			begin_anew(&live);
		if (!agrees(&live))
			fail_with(&live, &call, ret, i);
		if (ret < 0 && ret >= -4095)
			failed++;
		else
			done++;
	}
	assert_true(done > CALLS / 4);
	assert_true(failed > CALLS / 20);
	assert_true(live.reseeded < CALLS / 100);
	stop(&live);
}

static void test_random_calls(void **state)
{
	(void)state;
	for (uint64_t random = 1; random <= 3; random++)
		run(random * 0x9e3779b97f4a7c15);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_calls),
	};

	return cmocka_run_group_tests_name("vmap_live", tests, NULL, NULL);
}
