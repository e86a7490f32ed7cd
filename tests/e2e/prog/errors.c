/* SPDX-License-Identifier: GPL-2.0-only */
/* errors: each memory syscall fails in a known way, once or more, and changes nothing. Prints what it asked for and
 * which error it got, in order: {"calls":[["mmap","EINVAL"],...]}. `errors filter`: one that a filter of the program's own
 * refuses before it begins. */
#include "prog.h"

#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>

struct failure {
	const char *name;
	long nr;
	int error; /* expected */
	long args[6];
};

/* Addresses and descriptors that the table refers to by number. */
enum { HOLE = 1, LOCKED, READONLY, FILEMAP, NOFD = -1, FD_READ = -100, FD_DIR = -101 };
enum { PATH_NONE = 10, PATH_DIR, PATH_TEXT, ARGV };

static const struct failure failures[] = {
	{ "mmap", SYS_mmap, EINVAL, { 0, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, NOFD, 0 } },
	{ "mmap", SYS_mmap, EINVAL, { 123, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NOFD, 0 } },
	{ "mmap", SYS_mmap, ENOMEM, { 0, 1L << 47, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, NOFD, 0 } },
	{ "mmap", SYS_mmap, EBADF, { 0, PAGE, PROT_READ, MAP_PRIVATE, NOFD, 0 } },
	{ "mmap", SYS_mmap, EACCES, { 0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, FD_READ, 0 } },
	{ "mmap", SYS_mmap, ENODEV, { 0, PAGE, PROT_READ, MAP_PRIVATE, FD_DIR, 0 } },
	{ "mmap",
	  SYS_mmap,
	  EEXIST,
	  { LOCKED, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, NOFD, 0 } },
	{ "munmap", SYS_munmap, EINVAL, { HOLE, 0 } },
	{ "munmap", SYS_munmap, EINVAL, { 123, PAGE } },
	{ "mremap", SYS_mremap, EFAULT, { HOLE, PAGE, 2 * PAGE, MREMAP_MAYMOVE, 0 } },
	{ "mremap", SYS_mremap, EINVAL, { LOCKED, PAGE, 2 * PAGE, 64, 0 } },
	{ "mprotect", SYS_mprotect, ENOMEM, { HOLE, PAGE, PROT_READ } },
	{ "mprotect", SYS_mprotect, EINVAL, { 123, PAGE, PROT_READ } },
	{ "mprotect", SYS_mprotect, EACCES, { FILEMAP, PAGE, PROT_READ | PROT_WRITE } },
	{ "pkey_mprotect", SYS_pkey_mprotect, EINVAL, { LOCKED, PAGE, PROT_READ, 99 } },
	{ "madvise", SYS_madvise, EINVAL, { LOCKED, PAGE, 12345 } },
	{ "madvise", SYS_madvise, ENOMEM, { HOLE, PAGE, MADV_DONTNEED } },
	{ "madvise", SYS_madvise, EINVAL, { LOCKED, PAGE, MADV_DONTNEED } },
	{ "madvise", SYS_madvise, EINVAL, { FILEMAP, PAGE, MADV_FREE } },
	{ "process_madvise", SYS_process_madvise, EBADF, { NOFD, 0, 0, MADV_COLD, 0 } },
	{ "mlock", SYS_mlock, ENOMEM, { HOLE, PAGE } },
	{ "mlock2", SYS_mlock2, EINVAL, { LOCKED, PAGE, 64 } },
	{ "munlock", SYS_munlock, ENOMEM, { HOLE, PAGE } },
	{ "mlockall", SYS_mlockall, EINVAL, { 0 } },
	{ "shmat", SYS_shmat, EINVAL, { -1, 0, 0 } },
	{ "shmdt", SYS_shmdt, EINVAL, { LOCKED } },
	{ "remap_file_pages", SYS_remap_file_pages, EINVAL, { HOLE, PAGE, 0, 0, 0 } },
	{ "process_mrelease", SYS_process_mrelease, EBADF, { NOFD, 0 } },
	{ "mseal", 462, EINVAL, { 123, PAGE, 0 } }, /* Linux 6.10; ENOSYS before it */
	{ "execve", SYS_execve, ENOENT, { PATH_NONE, ARGV, ARGV } },
	{ "execve", SYS_execve, EACCES, { PATH_DIR, ARGV, ARGV } },
	{ "execve", SYS_execve, ENOEXEC, { PATH_TEXT, ARGV, ARGV } },
	{ "execveat", SYS_execveat, ENOTDIR, { FD_READ, PATH_NONE, ARGV, ARGV, 0 } },
	{ "clone", SYS_clone, EINVAL, { CLONE_SIGHAND, 0, 0, 0, 0 } },
	{ "clone3", SYS_clone3, EINVAL, { 0, 1 } },
};

static struct {
	char *hole, *locked, *filemap;
	int fd_read, fd_dir;
	char text[64];
} state;

static long resolve(long value)
{
	static char *const no_arguments[] = { NULL };
	static char none[] = "no/such/program", directory[] = "/";

	switch (value) {
	case HOLE:
		return (long)state.hole;
	case LOCKED:
		return (long)state.locked;
	case FILEMAP:
		return (long)state.filemap;
	case FD_READ:
		return state.fd_read;
	case FD_DIR:
		return state.fd_dir;
	case PATH_NONE:
		return (long)none;
	case PATH_DIR:
		return (long)directory;
	case PATH_TEXT:
		return (long)state.text;
	case ARGV:
		return (long)no_arguments;
	default:
		return value;
	}
}

/* Which arguments are symbols: those of the address, descriptor and path positions; a plain number never is. */
static bool is_symbol(const struct failure *failure, int index)
{
	if (failure->nr == SYS_mmap)
		return index == 0 || index == 4;
	if (failure->nr == SYS_execve || failure->nr == SYS_execveat)
		return true;
	return index == 0 && failure->nr != SYS_clone && failure->nr != SYS_clone3 && failure->nr != SYS_mlockall;
}

static void prepare(void)
{
	char *base = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(base != MAP_FAILED);
	must(munmap(base, 4 * PAGE) == 0);
	state.hole = base;
	state.locked = base + 4 * PAGE;
	must(mlock(state.locked, PAGE) == 0);
	snprintf(state.text, sizeof(state.text), "/tmp/heaptrace-errors-%d", (int)getpid());
	int fd = open(state.text, O_CREAT | O_EXCL | O_WRONLY, 0700);
	must(fd >= 0 && write(fd, "\1\2no program\n", 13) == 13 && close(fd) == 0);
	state.fd_read = open(state.text, O_RDONLY | O_CLOEXEC);
	state.fd_dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(state.fd_read >= 0 && state.fd_dir >= 0);
	state.filemap = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, state.fd_read, 0);
	must(state.filemap != MAP_FAILED);
}

static void refuse_mlock(void)
{
	struct sock_filter instructions[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mlock, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOTTY),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { sizeof(instructions) / sizeof(*instructions), instructions };

	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
	must(mlock(state.locked, PAGE) == -1 && errno == ENOTTY);
}

int main(int argc, char **argv)
{
	size_t count = sizeof(failures) / sizeof(failures[0]);
	int seen[sizeof(failures) / sizeof(failures[0])];

	prepare();
	if (argc > 1 && !strcmp(argv[1], "filter")) {
		refuse_mlock();
		unlink(state.text);
		return 0;
	}
	point("before");
	point("calls");
	for (size_t i = 0; i < count; i++) {
		const struct failure *f = &failures[i];
		long a[6];

		for (int k = 0; k < 6; k++)
			a[k] = is_symbol(f, k) ? resolve(f->args[k]) : f->args[k];
		seen[i] = syscall(f->nr, a[0], a[1], a[2], a[3], a[4], a[5]) == -1 ? errno : 0;
	}
	point("after");
	unlink(state.text);
	printf("{\"calls\":[");
	for (size_t i = 0; i < count; i++) {
		const char *name = seen[i] ? strerrorname_np(seen[i]) : "no error";

		if (seen[i] != failures[i].error)
			fprintf(stderr, "%s %zu: wanted %s, got %s\n", failures[i].name, i,
				strerrorname_np(failures[i].error), name);
		printf("%s[\"%s\",\"%s\"]", i ? "," : "", failures[i].name, name);
	}
	printf("]}\n");
	must(fflush(stdout) == 0);
	points_print();
	return 0;
}
