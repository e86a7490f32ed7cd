/* SPDX-License-Identifier: GPL-2.0-only */
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void user_fill(const struct passwd *entry, struct launch_user *out)
{
	out->change = entry->pw_uid != geteuid() || entry->pw_gid != getegid();
	out->uid = entry->pw_uid;
	out->gid = entry->pw_gid;
	snprintf(out->name, sizeof(out->name), "%s", entry->pw_name);
	snprintf(out->home, sizeof(out->home), "%s", entry->pw_dir);
}

/* A whole number of a user or group, -1 where @text is none. */
static long id_parse(const char *text)
{
	char *end;
	long value;

	if (!text || *text < '0' || *text > '9')
		return -1;
	errno = 0;
	value = strtol(text, &end, 10);
	return errno || *end || value > UINT32_MAX - 1l ? -1 : value;
}

/* A user by number, who need not have an entry: then the group has the same number unless @gid says another. */
static void user_by_number(long uid, long gid, struct launch_user *out)
{
	const struct passwd *entry = getpwuid((uid_t)uid);

	if (entry) {
		user_fill(entry, out);
		return;
	}
	out->change = (uid_t)uid != geteuid();
	out->uid = (uid_t)uid;
	out->gid = gid < 0 ? (gid_t)uid : (gid_t)gid;
}

int launch_find_user(const char *name, bool keep_root, struct launch_user *out, struct diag *diag)
{
	const char *sudo_uid = getenv("SUDO_UID");
	const struct passwd *entry = name ? getpwnam(name) : NULL;
	long uid = id_parse(name ? name : sudo_uid);

	memset(out, 0, sizeof(*out));
	if (!name && (keep_root || geteuid() || !sudo_uid || uid == 0))
		return 0;
	if (!entry && uid < 0)
		return name ? diag_set(diag, -ENOENT, "-u: no user is called '%s'", name)
			    : diag_set(
				      diag, -EINVAL,
				      "SUDO_UID is '%s', which is no user: say whom to run the command as with -u, or --root",
				      sudo_uid);
	if (entry)
		user_fill(entry, out);
	else
		user_by_number(uid, name ? -1 : id_parse(getenv("SUDO_GID")), out);
	if (out->change && geteuid())
		return diag_set(diag, -EPERM, "-u: only root may run a command as another user");
	return 0;
}

static int user_become(const struct launch_user *user)
{
	if (!user->change)
		return 0;
	if (user->name[0] ? initgroups(user->name, user->gid) : setgroups(0, NULL))
		return -errno;
	if (setresgid(user->gid, user->gid, user->gid) || setresuid(user->uid, user->uid, user->uid))
		return -errno;
	if (user->name[0] && (setenv("USER", user->name, 1) || setenv("LOGNAME", user->name, 1)))
		return -ENOMEM;
	if (user->home[0] && setenv("HOME", user->home, 1))
		return -ENOMEM;
	return 0;
}

/* execvp without its fallback to a shell: what is no program is said to be none. Returns -errno. */
static int exec_search(char **cmd)
{
	const char *path = getenv("PATH");
	int err = -ENOENT;

	if (!*cmd[0])
		return -ENOENT;
	if (strchr(cmd[0], '/')) {
		execv(cmd[0], cmd);
		return -errno;
	}
	if (!path)
		path = "/usr/local/bin:/usr/bin:/bin";
	for (;;) {
		size_t len = strcspn(path, ":");
		char file[PATH_MAX];
		int used = snprintf(file, sizeof(file), "%.*s%s%s", (int)len, path, len ? "/" : "", cmd[0]);

		if (used > 0 && (size_t)used < sizeof(file) && !access(file, F_OK)) {
			execv(file, cmd);
			if (errno != ENOENT && errno != ENOTDIR)
				err = -errno;
			if (errno != EACCES && errno != ENOENT && errno != ENOTDIR)
				return err;
		}
		if (!path[len])
			return err;
		path += len + 1;
	}
}

static void signals_reset(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE };
	sigset_t none;

	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		signal(signals[i], SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void child_run(char **cmd, const struct launch_user *user, int release_fd, int error_fd)
{
	int (*in_child)(void) = NULL;
	int err;

	signals_reset();
	/* The pointer is as good here as there: this is a copy of the parent. */
	if (read(release_fd, &in_child, sizeof(in_child)) != (ssize_t)sizeof(in_child))
		_exit(EXIT_FAILURE);
	err = user_become(user);
	if (!err && in_child)
		err = in_child();
	if (!err)
		err = exec_search(cmd);
	while (write(error_fd, &err, sizeof(err)) < 0 && errno == EINTR)
		;
	_exit(127);
}

int launch_hold(char **cmd, const struct launch_user *user, struct launch *out, struct diag *diag)
{
	int release[2] = { -1, -1 }, error[2] = { -1, -1 };
	pid_t pid;

	if (pipe2(release, O_CLOEXEC) || pipe2(error, O_CLOEXEC))
		goto fail;
	pid = fork();
	if (pid < 0)
		goto fail;
	if (!pid) {
		close(release[1]);
		close(error[0]);
		child_run(cmd, user, release[0], error[1]);
	}
	close(release[0]);
	close(error[1]);
	fcntl(error[0], F_SETFL, O_NONBLOCK);
	*out = (struct launch){ .pid = pid, .release_fd = release[1], .error_fd = error[0] };
	return 0;
fail:
	diag_set(diag, -errno, "cannot start a process: %s", strerror(errno));
	for (int i = 0; i < 2; i++) {
		if (release[i] >= 0)
			close(release[i]);
		if (error[i] >= 0)
			close(error[i]);
	}
	return -EAGAIN;
}

int launch_release(struct launch *launch, int (*in_child)(void))
{
	ssize_t written = write(launch->release_fd, &in_child, sizeof(in_child));

	close(launch->release_fd);
	launch->release_fd = -1;
	return written == (ssize_t)sizeof(in_child) ? 0 : -EPIPE;
}

int launch_outcome(struct launch *launch)
{
	int err = 0;
	ssize_t got = read(launch->error_fd, &err, sizeof(err));

	if (got == (ssize_t)sizeof(err))
		return err;
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return -EAGAIN;
	return 0;
}

bool launch_reap(struct launch *launch, bool wait)
{
	pid_t got;

	if (launch->reaped || launch->pid <= 0)
		return true;
	do
		got = waitpid(launch->pid, &launch->status, wait ? 0 : WNOHANG);
	while (got < 0 && errno == EINTR);
	if (got == launch->pid || got < 0)
		launch->reaped = true;
	return launch->reaped;
}

void launch_abandon(struct launch *launch)
{
	if (launch->pid <= 0)
		return;
	if (launch->release_fd >= 0) {
		/* It ends by itself when it reads the end of the pipe. */
		close(launch->release_fd);
		launch->release_fd = -1;
		launch_reap(launch, true);
	}
	close(launch->error_fd);
	launch->pid = 0;
}
