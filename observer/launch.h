/* SPDX-License-Identifier: GPL-2.0-only */
/* launch: the command to watch: forked and held before its exec, so that a source can be armed first. */
#ifndef HEAPTRACE_LAUNCH_H
#define HEAPTRACE_LAUNCH_H

#include "base/diag.h"

#include <stdbool.h>
#include <sys/types.h>

/* Whom a command runs as. */
struct launch_user {
	bool change; /* false: as we are */
	uid_t uid;
	gid_t gid;
	char name[256]; /* empty where the uid has no name */
	char home[1024];
};

struct launch {
	pid_t pid;	/* of the child; 0 once it has been reaped */
	int release_fd; /* written once to let it go */
	int error_fd;	/* tells errno if the exec fails, and ends when it succeeds */
	int status;	/* as wait(2), once reaped */
	bool reaped;
};

/* Finds who the command is to run as: @name, or the user who called sudo, or nobody else. 0, or -errno with @diag. */
int launch_find_user(const char *name, bool keep_root, struct launch_user *out, struct diag *diag);

/* Forks the child, which waits for launch_release. 0, or -errno with @diag. */
int launch_hold(char **cmd, const struct launch_user *user, struct launch *out, struct diag *diag);

/* Lets the child exec. @in_child, unless NULL, runs there right before the exec. 0 or -errno. */
int launch_release(struct launch *launch, int (*in_child)(void));

/* What became of the exec: 0 = it succeeded, -EAGAIN = not known yet, otherwise -errno of the failed exec. */
int launch_outcome(struct launch *launch);

/* Reaps the child if it has ended; with @wait, waits for that. True once it is reaped. */
bool launch_reap(struct launch *launch, bool wait);

/* Kills the child if it was never released, and closes the descriptors. */
void launch_abandon(struct launch *launch);

#endif
