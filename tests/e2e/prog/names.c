/* SPDX-License-Identifier: GPL-2.0-only */
/* names: `names FOLDER`: every name that a process can give itself or its files, with all that may disturb a terminal or
 * a parser. Leaves nothing behind. */
#include "prog.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>

static const char *const hostile[] = {
	"\033[31mred\033[0m", "a\nb\tc\rd", "\"quote\\\"", "\xff\xfe\xc0\x80", "\xe2\x80\xaertl",
	"</script><b>",	      "%s%n%x",	    " ",	   "\x01\x02\x7f\x9b",
};

static void map_named(const char *folder, const char *name)
{
	char path[512];
	void *at;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	for (char *c = path + strlen(folder) + 1; *c; c++)
		if (*c == '/')
			*c = '|';
	fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	must(fd >= 0 && unlink(path) == 0 && ftruncate(fd, 4 * PAGE) == 0);
	at = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(at != MAP_FAILED && close(fd) == 0);
	touch(at, 4 * PAGE);
	must(munmap(at, 4 * PAGE) == 0);
}

static void hostile_marks(void)
{
	static char text[5000] = "heaptrace:";
	static const size_t lengths[] = { 10, 11, 265, 266, 267, 4096, 5000 };

	memset(text + 10, 'm', sizeof(text) - 10);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
		must(write(-1, text, lengths[i]) == -1);
	must(write(-1, "heaptrac", 8) == -1);
	must(write(-1, "heaptrace:zero\0byte", 19) == -1);
	must(syscall(SYS_write, -1, 8, 100) == -1);
	must(syscall(SYS_write, -1, text, -1L) == -1);
}

int main(int argc, char **argv)
{
	must(argc == 2);
	for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
		must(prctl(PR_SET_NAME, hostile[i]) == 0);
		mark(hostile[i]);
		map_named(argv[1], hostile[i]);
	}
	hostile_marks();
	must(prctl(PR_SET_NAME, "names") == 0);
	point("end");
	points_print();
	return 0;
}
