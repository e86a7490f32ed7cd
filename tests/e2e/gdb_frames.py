# SPDX-License-Identifier: GPL-2.0-only
"""Runs inside gdb: at the first calls of the program, its frames as gdb sees them, as JSON lines to the file $FRAMES.

gdb --batch -nx -x gdb_frames.py --args PROGRAM...      environment: FRAMES, CALLS (names), LIMIT"""

import json
import os

import gdb

ENOSYS = -38  # what a call returns that is not made yet

LIMIT = int(os.environ["LIMIT"])


def is_code(addr):
    with open(f"/proc/{gdb.selected_inferior().pid}/maps", encoding="utf-8") as maps:
        ranges = [line.split()[0].split("-") for line in maps if line.split()[1][2] == "x"]
    return any(int(start, 16) <= addr < int(end, 16) for start, end in ranges)


def is_whole(frame):
    """Whether what is inlined there is a part that the compiler has made of this same function: called where it is declared."""
    return frame.function() is not None and frame.find_sal().line == frame.function().line


def frames():
    found, frame = [], gdb.newest_frame()
    while frame is not None and frame.is_valid():
        addr, name = frame.pc(), frame.name()
        # Beyond the last frame gdb may go on among data.
        if name is None and not is_code(addr):
            break
        # One that has ended with a jump is on the stack no more.
        if frame.type() != gdb.TAILCALL_FRAME:
            if found and found[-1] == [addr, name, True] and is_whole(frame):
                found.pop()
            found.append([addr, name, frame.type() == gdb.INLINE_FRAME])
        frame = frame.older()
    return found


def register(name):
    return int(gdb.parse_and_eval(f"(long)${name}"))


def main():
    for setting in ("disable-randomization on", "pagination off", "debuginfod enabled off",
                    "backtrace past-main on", "backtrace past-entry on", "print finish off", "auto-load off"):
        gdb.execute(f"set {setting}", to_string=True)
    for variable in ("LINES", "COLUMNS", "FRAMES", "CALLS", "LIMIT"):
        gdb.execute(f"unset environment {variable}", to_string=True)
    gdb.execute("catch syscall " + os.environ["CALLS"], to_string=True)
    gdb.execute("run", to_string=True)
    count = 0
    with open(os.environ["FRAMES"], "w", encoding="utf-8") as file:
        while count < LIMIT and gdb.selected_inferior().pid:
            if register("rax") == ENOSYS:
                count += 1
                file.write(json.dumps({"nr": register("orig_rax"), "frames": frames()}) + "\n")
            gdb.execute("continue", to_string=True)
    if gdb.selected_inferior().pid:
        gdb.execute("kill", to_string=True)


main()
