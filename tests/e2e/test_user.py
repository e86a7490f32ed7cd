#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""As whom the command runs: under sudo as the invoking user, unless told otherwise; outputs belong to that user."""

import os
import pwd

import harness
from harness import HEAPTRACE, case, environment, new_path, root_only, run

NOBODY = pwd.getpwnam("nobody")
WHO = ["/bin/sh", "-c", "id -u; id -g; id -G; grep CapEff /proc/self/status; echo $HOME $USER"]


def under_sudo(*arguments, **changes):
    """What sudo leaves in the environment of a command that nobody has started as root."""
    env = environment(SUDO_UID=NOBODY.pw_uid, SUDO_GID=NOBODY.pw_gid, SUDO_USER="nobody", **changes)
    return run([HEAPTRACE, *arguments], env=env)


@case()
def invoking_user(t, source):
    if not root_only(t, "change the user"):
        return
    place = new_path("-user")
    os.mkdir(place)
    os.chown(place, NOBODY.pw_uid, NOBODY.pw_gid)
    path = os.path.join(place, "out.jsonl")
    done = under_sudo("-s", source, "-f", "jsonl", "-o", path, "--", *WHO)
    done.path = path
    lines = done.out.splitlines()
    t.equal(lines[:3], [str(NOBODY.pw_uid), str(NOBODY.pw_gid), str(NOBODY.pw_gid)], "the command runs as SUDO_UID", done)
    t.equal(lines[3].split()[1].strip("0"), "", "without capabilities", done)
    t.equal((os.stat(path).st_uid, os.stat(path).st_gid), (NOBODY.pw_uid, NOBODY.pw_gid), "the output belongs to that user")
    t.balanced(done)


@case()
def root_option(t, source):
    if not root_only(t, "change the user"):
        return
    path = new_path(".jsonl")
    done = under_sudo("-s", source, "--root", "-f", "jsonl", "-o", path, "--", *WHO)
    done.path = path
    t.equal(done.out.splitlines()[:2], ["0", "0"], "--root keeps root", done)
    t.balanced(done)


@case()
def user_option(t, source):
    if not root_only(t, "change the user"):
        return
    for name in ("nobody", str(NOBODY.pw_uid)):
        path = new_path(".jsonl")
        done = run([HEAPTRACE, "-s", source, "-u", name, "-f", "jsonl", "-o", path, "--", *WHO])
        done.path = path
        t.equal(done.out.splitlines()[:2], [str(NOBODY.pw_uid), str(NOBODY.pw_gid)], f"-u {name}", done)
        t.balanced(done, f"-u {name}: books balance")
    done = run([HEAPTRACE, "-s", source, "-u", "no-such-user", "-o", "/dev/null", "--", "/bin/true"])
    t.ok(done.rc in (2, 125) and "no-such-user" in done.err, "a user that does not exist is told", done)
    t.equal(len(done.err.strip().splitlines()), 1, "in one line", done)


@case()
def broken_sudo_variables(t, source):
    """Never root by mistake: a SUDO_UID that is no number is refused, not read as 0."""
    if not root_only(t, "change the user"):
        return
    for value in ("x", "-1", "", "99999999999", "1000x"):
        done = run([HEAPTRACE, "-s", source, "-o", "/dev/null", "--", "id", "-u"], env=environment(SUDO_UID=value))
        t.ok(done.rc == 125 or value == "" and done.rc == 0, f"SUDO_UID={value!r} is not guessed at", done)


@case()
def without_rights(t, source):
    """An ordinary user: what works says so, and what does not says why."""
    if not root_only(t, "change the user"):
        return
    weak = ["setpriv", "--reuid", str(NOBODY.pw_uid), "--regid", str(NOBODY.pw_gid), "--clear-groups"]
    place = new_path("-weak")
    os.mkdir(place)
    os.chown(place, NOBODY.pw_uid, NOBODY.pw_gid)
    path = os.path.join(place, "out.jsonl")
    done = run([*weak, HEAPTRACE, "-s", source, "-f", "jsonl", "-o", path, "--", "/bin/true"])
    done.path = path
    if source == "ptrace":
        t.balanced(done)
    else:
        t.equal(done.rc, 125, "bpf without capabilities: status 125", done)
        t.equal(len(done.err.strip().splitlines()), 1, "one line", done)
        t.ok("CAP_BPF" in done.err or "sudo" in done.err or "root" in done.err, "that says what is missing", done)
    denied = run([*weak, HEAPTRACE, "-s", source, "-o", "/root/heaptrace-denied", "--", "/bin/true"])
    t.ok(denied.rc == 125 and not os.path.exists("/root/heaptrace-denied"), "nor is a file written where they have no right",
         denied)


@case()
def files_of_others_under_sudo(t, source):
    """A file that was there before does not change hands: sudo heaptrace -o is no way to make it one's own."""
    if not root_only(t, "change the user"):
        return
    path = new_path(".precious")
    with open(path, "w", encoding="utf-8") as file:
        file.write("precious\n")
    os.chmod(path, 0o600)
    done = under_sudo("-s", source, "-f", "jsonl", "-o", path, "--", "/bin/true")
    found = os.stat(path)
    t.equal((found.st_uid, found.st_mode & 0o777), (0, 0o600), "owner and mode of a file of root stay", done)


if __name__ == "__main__":
    harness.main()
