/* SPDX-License-Identifier: GPL-2.0-only */
/* floor: `floor OBJECT CMD [ARG...]` runs CMD while the empty programs of OBJECT are attached; its exit status is that
 * of CMD. */
#include <bpf/libbpf.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int attach_all(struct bpf_object *object)
{
	struct bpf_program *program;

	bpf_object__for_each_program(program, object)
	{
		if (!bpf_program__attach(program)) {
			fprintf(stderr, "floor: cannot attach %s: %s\n", bpf_program__name(program), strerror(errno));
			return -errno;
		}
	}
	return 0;
}

static int command_run(char **command)
{
	pid_t child = fork();
	int status;

	if (child < 0)
		return 125;
	if (!child) {
		execvp(command[0], command);
		_exit(127);
	}
	if (waitpid(child, &status, 0) < 0)
		return 125;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
	struct bpf_object *object;

	if (argc < 3) {
		fputs("usage: floor OBJECT CMD [ARG...]\n", stderr);
		return 2;
	}
	object = bpf_object__open_file(argv[1], NULL);
	if (!object || bpf_object__load(object)) {
		fprintf(stderr, "floor: cannot load %s: %s\n", argv[1], strerror(errno));
		return 125;
	}
	/* The links go with the process. */
	if (attach_all(object))
		return 125;
	return command_run(argv + 2);
}
