#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""What cannot be done: one clear line on standard error, the right exit status, nothing that passes for a whole output."""

import contextlib
import os
import subprocess

import harness
from harness import HEAPTRACE, Process, TARGET, case, folder, new_path, once, prog, root_only, run

USAGE, FAILED, CANNOT_RUN, NOT_FOUND = 2, 125, 126, 127


def refused(t, done, status, name, *words, lines=1):
    """The status, and a message of few lines that names what is wrong."""
    t.equal(done.rc, status, f"{name}: status {status}", done)
    said = [line for line in done.err.splitlines() if line.strip()]
    t.ok(1 <= len(said) <= lines, f"{name}: {'one line' if lines == 1 else f'at most {lines} lines'}", done)
    t.none([word for word in words if word not in done.err], f"{name}: names what is wrong", done)


@once
def usage_errors(t):
    for name, arguments, word in (
            ("unknown option", ["--no-such-option", "--", "/bin/true"], "no-such-option"),
            ("no command", [], ""),
            ("no command after --", ["--"], ""),
            ("unknown format", ["-f", "nonsense", "--", "/bin/true"], "nonsense"),
            ("unknown source", ["-s", "nonsense", "--", "/bin/true"], "nonsense"),
            ("duration that is no number", ["-d", "soon", "-p", "1"], "soon"),
            ("negative duration", ["-d", "-3", "-p", "1"], "-3"),
            ("pid that is no number", ["-p", "12x"], "12x"),
            ("empty list of pids", ["-p", ""], ""),
            ("pid 0", ["-p", "0"], "0"),
            ("pid out of range", ["-p", "99999999999999999999"], "99999999999999999999"),
            ("size that is no size", ["--min", "1q", "--", "/bin/true"], "1q"),
            ("sample that is no number", ["--sample", "x", "--", "/bin/true"], "x"),
            ("unknown colour", ["--color", "mauve", "--", "/bin/true"], "mauve"),
            ("both -p and a command", ["-p", "1", "--", "/bin/true"], ""),
            ("an unknown filter", ["-e", "nosuchcause", "--", "/bin/true"], "nosuchcause"),
            ("an option without its value", ["-o"], "o"),
            ("unknown stacks", ["--stacks", "all", "--", "/bin/true"], "all"),
            ("a word kept for later", ["explain", "-p", "1"], "heaptrace -- explain"),
            ("the same behind an option", ["-q", "top"], "heaptrace -- top"),
            ("report behind an option", ["-q", "report", "out.rec"], "heaptrace -- report"),
    ):
        refused(t, run([HEAPTRACE, *arguments]), USAGE, name, word)


@once
def words_kept_for_later(t):
    """A program of that name is not run, unless it is asked for behind --."""
    place, witness = new_path("-bin"), new_path()
    os.mkdir(place)
    for name in ("explain", "top", "diff"):
        path = os.path.join(place, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\necho {name} >>{witness}\n")
        os.chmod(path, 0o755)
        env = harness.environment(PATH=f"{place}:{os.environ['PATH']}")
        refused(t, run([HEAPTRACE, name, "-p", "1"], env=env), USAGE, name, name)
        t.ok(not os.path.exists(witness), f"{name}: nothing is run")
        done = run([HEAPTRACE, "-q", "-o", new_path(), "--", name], env=env)
        t.ok(done.rc == 0 and os.path.exists(witness), f"{name}: behind -- it is run", done)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(witness)


@case()
def commands_that_cannot_run(t, source):
    text = new_path()
    with open(text, "w", encoding="utf-8") as file:
        file.write("\1\2\3 no program\n")
    plain, broken = new_path(), new_path()
    for path, mode in ((text, 0o755), (plain, 0o644)):
        with open(path, "a", encoding="utf-8") as file:
            file.write("")
        os.chmod(path, mode)
    with open(broken, "w", encoding="utf-8") as file:
        file.write("#!/no/such/interpreter\n")
    os.chmod(broken, 0o755)
    for name, command, status in (
            ("a command that does not exist", ["no-such-command-anywhere"], NOT_FOUND),
            ("a path that does not exist", ["/no/such/path"], NOT_FOUND),
            ("a file that is no program", [text], CANNOT_RUN),
            ("a file without the right to execute", [plain], CANNOT_RUN),
            ("a folder", ["/tmp"], CANNOT_RUN),
            ("an empty name", [""], NOT_FOUND),
            ("a path through a file", ["/etc/passwd/x"], CANNOT_RUN),
    ):
        path = new_path(".jsonl")
        done = run([HEAPTRACE, "-s", source, "-f", "jsonl", "-o", path, "--", *command])
        refused(t, done, status, name, command[0])
        t.ok(not complete(path), f"{name}: no output that passes for a whole one")
    done = run([HEAPTRACE, "-s", source, "-o", new_path(), "--", broken])
    refused(t, done, NOT_FOUND, "a script whose interpreter is missing", broken)


def complete(path):
    with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
        return b'"type":"end"' in file.read()
    return False


@case()
def pids_that_cannot_be_attached_to(t, source):
    child = subprocess.Popen(["/bin/true"])
    child.wait()
    path = new_path(".jsonl")
    done = run([HEAPTRACE, "-s", source, "-f", "jsonl", "-o", path, "-p", str(child.pid)])
    refused(t, done, FAILED, "a pid that does not exist", str(child.pid))
    t.ok(not complete(path), "a pid that does not exist: no output that passes for a whole one")
    with Process([prog("hold"), "0"]) as held:
        held.until("ready")
        done = run([HEAPTRACE, "-s", source, "-o", new_path(), "-p", f"{held.pid},{child.pid}"])
        refused(t, done, FAILED, "one of two that does not exist", str(child.pid))
        t.equal(held.ask("map 3")["name"], "map 3", "the other one goes on")
    zombie = subprocess.Popen(["/bin/true"])
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    done = run([HEAPTRACE, "-s", source, "-o", new_path(), "-p", str(zombie.pid)])
    refused(t, done, FAILED, "a process that has ended", str(zombie.pid))
    zombie.wait()


@case()
def process_of_another_user(t, source):
    if not root_only(t, "become two users"):
        return
    weak = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--bounding-set", "-all", "--inh-caps", "-all"]
    with Process([prog("hold"), "0"]) as held:
        held.until("ready")
        done = run([*weak, HEAPTRACE, "-s", source, "-o", "/dev/null", "-p", str(held.pid)])
        refused(t, done, FAILED, "a process of another user, without rights")
        t.ok(any(word in done.err for word in ("ermi", "CAP_", "sudo", "root")), "it says that rights are missing", done)
        auto = run([*weak, HEAPTRACE, "-o", "/dev/null", "-p", str(held.pid)])
        refused(t, auto, FAILED, "the same with the source left to heaptrace", lines=4)
        t.equal(held.ask("map 3")["name"], "map 3", "the process goes on")


@case()
def outputs_that_cannot_be_written(t, source):
    missing = os.path.join(folder(), "no", "such", "folder", "out")
    witness = new_path()
    command = ["/bin/sh", "-c", f"echo ran >>{witness}"]
    done = run([HEAPTRACE, "-s", source, "-f", "jsonl", "-o", missing, "--", *command])
    refused(t, done, FAILED, "output into a missing folder", missing)
    t.ok(not os.path.exists(witness), "and the command was not started")
    for form in ("text", "jsonl", "summary", "recording"):
        done = run([HEAPTRACE, "-s", source, "-f", form, "-o", "/dev/full", "--", TARGET, "--sizes", "2k"])
        refused(t, done, FAILED, f"{form} onto a full device", "/dev/full")
    done = run([HEAPTRACE, "-s", source, "-o", folder(), "--", "/bin/true"])
    refused(t, done, FAILED, "output to a folder", folder())


@case()
def full_disk(t, source):
    if not root_only(t, "mount a small file system"):
        return
    place = new_path("-tmpfs")
    os.mkdir(place)
    mounted = run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", place])
    if mounted.rc:
        t.skip("all", f"no tmpfs can be mounted here: {mounted.err.strip()}")
        return
    try:
        path = os.path.join(place, "out.jsonl")
        done = run([HEAPTRACE, "-s", source, "-f", "jsonl", "-o", path, "--", prog("swarm"), "fork", "300"])
        refused(t, done, FAILED, "a disk that fills up", "out.jsonl")
        t.ok(not complete(path), "what was written has no end record")
        half = os.path.join(place, "out.recording")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        done = run([HEAPTRACE, "-s", source, "-f", "recording", "-o", half, "--", prog("swarm"), "fork", "300"])
        refused(t, done, FAILED, "a recording onto a disk that fills up", "out.recording")
        if os.path.exists(half):
            replay = run([HEAPTRACE, "report", "-f", "jsonl", "-o", new_path(), half])
            t.ok(replay.rc != 0 and replay.err.strip(), "and the half recording is told as such", replay)
    finally:
        run(["umount", place])


@case()
def output_through_links(t, source):
    """A link in a folder that others can write to would let them choose what is overwritten."""
    victim, link = new_path(), new_path(".link")
    with open(victim, "w", encoding="utf-8") as file:
        file.write("precious\n")
    os.symlink(victim, link)
    done = run([HEAPTRACE, "-s", source, "-f", "jsonl", "-o", link, "--", "/bin/true"])
    with open(victim, encoding="utf-8") as file:
        t.equal(file.read(), "precious\n", "a symlink is not followed", done)
    if not os.path.islink(link):
        t.equal(done.rc, 0, "it was replaced by a file of its own", done)
    else:
        refused(t, done, FAILED, "output to a symlink", link)


@once
def replay_of_what_is_no_recording(t):
    for name, path in (("a binary", "/bin/true"), ("a text", __file__), ("nothing", "/dev/null"), ("a folder", "/tmp"),
                       ("what does not exist", "/no/such/file")):
        done = run([HEAPTRACE, "report", path])
        t.ok(done.rc in (USAGE, FAILED), f"report of {name}: status {done.rc}", done)
        t.equal(len(done.err.strip().splitlines()), 1, f"report of {name}: one line", done)


if __name__ == "__main__":
    harness.main()
