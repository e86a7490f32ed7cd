#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""gdb at the same system calls of the same programs sees the same frames, and the same functions inlined in them."""

import ctypes
import json
import os

import chains
import harness
from harness import PYTHON, case, environment, new_path, observe

ADDR_NO_RANDOMIZE = 0x0040000
NAMES = {9: "mmap", 10: "mprotect", 11: "munmap", 12: "brk", 25: "mremap", 28: "madvise"}
SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "gdb_frames.py")

_seen = {}


def fixed_addresses():
    """For a child: nothing is mapped at random, as gdb has it too."""
    ctypes.CDLL(None).personality(ADDR_NO_RANDOMIZE)


def seen_by_gdb(command, limit):
    """The first calls of a program, with their frames; asked for once."""
    key = tuple(command)
    if key not in _seen:
        path = new_path(".frames")
        env = environment(FRAMES=path, CALLS=" ".join(NAMES.values()), LIMIT=limit, SHELL="/bin/sh", PYTHONHASHSEED=0)
        done = harness.run(["gdb", "--batch", "-nx", "-x", SCRIPT, "--args", *command], env=env)
        if done.rc:
            raise RuntimeError(f"gdb: {done}")
        with open(path, encoding="utf-8") as file:
            _seen[key] = [json.loads(line) for line in file]
    return _seen[key]


def calls_of(rows):
    """The calls of the program itself, in the order in which they were made."""
    pid = next(row["pid"] for row in rows if row["cause"] == "exec")
    return [row for row in rows if row["pid"] == pid and row["cause"] == "syscall" and row["name"] in NAMES.values()]


def same(call, row, shifts):
    """Whether the frames are the same: their addresses, and which of them are of inlined functions. An object may lie some pages
    elsewhere in the other run, as a file that was mapped before it has grown (ld.so.cache), but all of it."""
    theirs = call["frames"]
    # One that is too deep is shown in part, and said to be.
    if not row["stack_complete"] and len(row["stack"]) >= chains.DEPTH:
        theirs = theirs[:len(row["stack"])]
    if NAMES[call["nr"]] != row["name"] or len(theirs) != len(row["stack"]):
        return False
    for (addr, _, inlined), frame in zip(theirs, row["stack"]):
        shift = frame["addr"] - addr
        if shift % 4096 or shifts.setdefault(frame["obj"], shift) != shift or inlined != bool(frame.get("inlined")):
            return False
    return True


def differences(gdb, rows):
    """The calls whose frames are not the same."""
    found, shifts = [], {}
    for number, (call, row) in enumerate(zip(gdb, rows)):
        if not same(call, row, shifts):
            found.append(f"call {number}, {NAMES[call['nr']]} and {row['name']}:\n"
                         f"  gdb  {[(hex(addr), name, inlined) for addr, name, inlined in call['frames']]}\n"
                         f"  ours {[(hex(frame['addr']), frame['sym'], frame.get('inlined')) for frame in row['stack']]}")
    return found


@case()
def same_frames(t, source):
    sqlite = ["/usr/bin/sqlite3", ":memory:", "create table t(a); with recursive n(i) as (select 1 union all select i + 1 from n "
              "limit 9000) insert into t select randomblob(100) from n; select count(*) from t order by a;"]
    known = [chains.build("-O2 -fomit-frame-pointer"), chains.plugin("-O2")]
    for command in (known, sqlite, [PYTHON, "-I", "-S", "-c", "b'0' * (1 << 20)"]):
        name = os.path.basename(command[0]) if command is not known else "known chains"
        gdb = seen_by_gdb(command, 120)
        done = observe(source, command, "--stacks", "dwarf", preexec_fn=fixed_addresses, env=environment(PYTHONHASHSEED=0))
        if not t.balanced(done, f"{name}: books balance"):
            continue
        rows = calls_of(done.books.rows)
        t.ok(len(gdb) > 30 and len(rows) >= len(gdb), f"{name}: {len(gdb)} calls are compared", len(rows))
        t.none(differences(gdb, rows), f"{name}: frame by frame")


if __name__ == "__main__":
    harness.main()
