#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""Calls that fail are rows with the name of the error and no effect; and names, errors and counts of the memory
syscalls are those that strace sees on the same command."""

import collections
import json
import re

import harness
from harness import PYTHON, TARGET, case, environment, folder, new_path, observe, prog, run

MEMORY = ("brk mmap munmap mremap mprotect pkey_mprotect madvise process_madvise mlock mlock2 munlock mlockall munlockall "
          "shmat shmdt remap_file_pages").split()
FAILED_ONLY = ("execve", "execveat")
LINE = re.compile(r"^(\d+) +(?:<\.\.\. )?(\w+)(?:\(| resumed>).* = (-?\w+|\?)(?: (E[A-Z0-9]+))?")


def asked_for(done):
    return next(json.loads(line)["calls"] for line in done.out.splitlines() if line.startswith('{"calls"'))


@case("syscalls")
def failing_calls(t, source):
    done = observe(source, [prog("errors")])
    if not t.balanced(done):
        return
    t.agrees(done)
    first, last = (next(mark["_line"] for mark in done.books.marks if mark["name"] == name) for name in ("calls", "after"))
    failed = [row for row in done.books.rows if first < row["_line"] < last and row["error"]]
    t.equal([[row["name"], row["error"]] for row in failed], asked_for(done), "each failing call is a row with its error")
    t.none([row for row in failed if any(row[part] for part in ("virt", "rss", "anon", "file", "shmem", "swap"))],
           "each has effect 0")
    t.none([row for row in failed if row["ret"] != -1], "each returned -1")
    t.equal({row["cause"] for row in failed}, {"syscall"}, "the cause is the syscall")
    paths = {row["args"].get("pathname", row["args"].get("filename")) for row in failed if row["name"] == "execve"}
    t.ok("no/such/program" in paths, "a failed execve names its path", paths)


@case("syscalls", sources=("bpf",))
def refused_by_a_filter(t, source):
    done = observe(source, [prog("errors"), "filter"])
    if t.balanced(done):
        t.equal([row["error"] for row in done.books.rows if row["name"] == "mlock"], [None, "ENOTTY"],
                "a call that ends before it has begun is a row")


def count_strace(text):
    """(name, error) of each finished memory syscall; calls that never return print no value."""
    found = collections.Counter()
    for line in text.splitlines():
        match = LINE.match(line)
        if not match or match[3] == "?" or "<unfinished" in line:
            continue
        if match[2] in MEMORY or (match[2] in FAILED_ONLY and match[4]):
            found[match[2], match[4]] += 1
    return found


def count_rows(books):
    found = collections.Counter()
    for row in books.rows:
        if row["cause"] == "syscall" and (row["name"] in MEMORY or (row["name"] in FAILED_ONLY and row["error"])):
            found[row["name"], row["error"]] += row["count"]
    return found


def commands():
    source = new_path(".c")
    with open(source, "w", encoding="utf-8") as file:
        file.write("#include <stdio.h>\nint main(void) { return puts(\"x\") < 0; }\n")
    yield "target", [TARGET, "--order", "descending", "--sizes", "2k,200k,2M,20M"]
    yield "failing calls", [prog("errors")]
    yield "maps", [prog("maps")]
    yield "a family", [prog("family"), "fork"]
    yield "a chain of execs", [prog("family"), "chain", "3"]
    yield "a shell with children", ["/bin/sh", "-c", "ls -R /usr/include >/dev/null; true; (true; true); no-such-command"]
    yield "python3", [PYTHON, "-S", "-E", "-B", "-c", "x=[bytearray(300000) for _ in range(200)]; del x"]
    yield "gcc -c", ["gcc", "-c", "-o", new_path(".o"), source]


@case("syscalls")
def same_as_strace(t, source):
    """The addresses that the kernel chooses (ASLR) decide how often some allocators call: it is switched off for both."""
    env = environment(PYTHONHASHSEED=0, TMPDIR=folder())
    for name, command in commands():
        command = ["setarch", "-R", *command]
        log = new_path(".strace")
        traced = run(["strace", "-f", "-qq", "-o", log, "-e", "trace=" + ",".join((*MEMORY, *FAILED_ONLY)), *command], env=env)
        done = observe(source, command, env=env)
        with open(log, encoding="utf-8", errors="replace") as file:
            want = count_strace(file.read())
        got = count_rows(done.books)
        t.equal(done.rc, traced.rc, f"{name}: the same status", done)
        t.ok(sum(want.values()) > 10, f"{name}: strace saw calls", want)
        t.none([f"{key}: strace {want[key]}, heaptrace {got[key]}" for key in sorted(set(want) | set(got), key=str)
                if want[key] != got[key]], f"{name}: names, errors and counts of the memory syscalls are strace's")


if __name__ == "__main__":
    harness.main()
