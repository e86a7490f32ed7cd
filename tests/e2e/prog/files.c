/* SPDX-License-Identifier: GPL-2.0-only */
/* files: mappings of files and shared memory, and system calls that touch memory on the caller's behalf; each step
 * between the marks "NAME {" and "NAME }". Its only argument is a folder to work in (not on tmpfs: there the pages of a
 * file count as shmem). */
#include "prog.h"

#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define RW	   (PROT_READ | PROT_WRITE)
#define FILE_PAGES 128UL

static char path[256];

static char *map_anon(size_t pages)
{
	char *at = mmap(NULL, pages * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(at != MAP_FAILED);
	return at;
}

/* A file whose pages are all in the page cache. */
static int make_file(const char *folder)
{
	static char block[PAGE];
	int fd;

	snprintf(path, sizeof(path), "%s/heaptrace-files-%d", folder, (int)getpid());
	fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	must(fd >= 0);
	for (size_t i = 0; i < FILE_PAGES; i++)
		must(write(fd, block, sizeof(block)) == (ssize_t)sizeof(block));
	return fd;
}

static void do_private(int fd)
{
	char *at;

	STEP("map private", at = mmap(NULL, FILE_PAGES * PAGE, RW, MAP_PRIVATE, fd, 0));
	must(at != MAP_FAILED);
	STEP("read private", peek(at, FILE_PAGES * PAGE));
	STEP("write private 32", touch(at, 32 * PAGE));
	STEP("write unread private", must(madvise(at, 128 * PAGE, MADV_DONTNEED) == 0);
	     touch(at + 64 * PAGE, 16 * PAGE));
	STEP("unmap private", must(munmap(at, FILE_PAGES * PAGE) == 0));
}

static void do_shared(int fd)
{
	char *at;

	STEP("map shared", at = mmap(NULL, FILE_PAGES * PAGE, RW, MAP_SHARED, fd, 0));
	must(at != MAP_FAILED);
	STEP("write shared", touch(at, FILE_PAGES * PAGE));
	STEP("dontneed shared 64", must(madvise(at, 64 * PAGE, MADV_DONTNEED) == 0));
	STEP("remap_file_pages", must(remap_file_pages(at + 64 * PAGE, 8 * PAGE, 0, 0, 0) == 0));
	STEP("truncate 32", must(ftruncate(fd, (off_t)(32 * PAGE)) == 0));
	STEP("unmap shared", must(munmap(at, FILE_PAGES * PAGE) == 0));
	must(ftruncate(fd, (off_t)(FILE_PAGES * PAGE)) == 0);
}

static void do_populated(int fd)
{
	char *at;

	STEP("populate file", at = mmap(NULL, FILE_PAGES * PAGE, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0));
	must(at != MAP_FAILED);
	STEP("unmap populated", must(munmap(at, FILE_PAGES * PAGE) == 0));
}

static void do_shmem(void)
{
	int id = shmget(IPC_PRIVATE, 64 * PAGE, IPC_CREAT | 0600);
	char *at;

	must(id >= 0);
	STEP("shmat", at = shmat(id, NULL, 0));
	must(at != (char *)-1);
	must(shmctl(id, IPC_RMID, NULL) == 0);
	STEP("touch shm", touch(at, 64 * PAGE));
	STEP("shmdt", must(shmdt(at) == 0));
	at = mmap(NULL, 64 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(at != MAP_FAILED);
	STEP("touch shared anon", touch(at, 64 * PAGE));
	STEP("remove shared anon", must(madvise(at, 32 * PAGE, MADV_REMOVE) == 0));
	STEP("unmap shared anon", must(munmap(at, 64 * PAGE) == 0));
	int fd = memfd_create("heaptrace", MFD_CLOEXEC);
	must(fd >= 0 && ftruncate(fd, 64 * PAGE) == 0);
	at = mmap(NULL, 64 * PAGE, RW, MAP_SHARED, fd, 0);
	must(at != MAP_FAILED);
	STEP("touch memfd", touch(at, 64 * PAGE));
	STEP("punch memfd", must(fallocate(fd, 0x3 /* PUNCH_HOLE | KEEP_SIZE */, 0, 16 * PAGE) == 0));
	must(munmap(at, 64 * PAGE) == 0 && close(fd) == 0);
}

/* The kernel writes to memory that nobody has touched yet. */
static void do_reads(int fd)
{
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC), pair[2];
	char *at = map_anon(256);
	struct iovec pieces[2] = { { at + 64 * PAGE, 16 * PAGE }, { at + 96 * PAGE, 16 * PAGE } };

	must(zero >= 0);
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	STEP("read zero 32", must(read(zero, at, 32 * PAGE) == 32 * (ssize_t)PAGE));
	STEP("pread file 32", must(pread(fd, at + 32 * PAGE, 32 * PAGE, 0) == 32 * (ssize_t)PAGE));
	STEP("readv 32", must(readv(zero, pieces, 2) == 32 * (ssize_t)PAGE));
	STEP("getrandom 8", must(getrandom(at + 128 * PAGE, 8 * PAGE, 0) == 8 * (ssize_t)PAGE));
	must(write(pair[0], at, 4 * PAGE) == 4 * (ssize_t)PAGE);
	STEP("recvfrom 4", must(recv(pair[1], at + 160 * PAGE, 4 * PAGE, MSG_WAITALL) == 4 * (ssize_t)PAGE));
	must(munmap(at, 256 * PAGE) == 0);
	must(close(zero) == 0 && close(pair[0]) == 0 && close(pair[1]) == 0);
}

int main(int argc, char **argv)
{
	int fd;

	must(argc == 2);
	fd = make_file(argv[1]);
	do_private(fd);
	do_shared(fd);
	do_populated(fd);
	do_shmem();
	do_reads(fd);
	point("end");
	must(unlink(path) == 0);
	points_print();
	return 0;
}
