#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""Call chains: those of programs that are known are shown whole and in order; those of others reach the outermost frame."""

import bisect
import os
import re
import subprocess

import harness
from chains import CHAINS, DEPTH, PLUGIN, build, plugin
from harness import PYTHON, case, folder, new_path, observe

CXX = {
    221: "chain_gamma chain_beta Square::area main",
    222: "chain_gamma Guard::~Guard chain_throw chain_catch main",
    223: "chain_gamma chain_beta chain_alpha chain_catch main",
}
TURNS = {
    221: "chain_gamma chain_left main",
    222: "chain_gamma chain_right main",
    223: "chain_gamma chain_room chain_left main",
    224: "chain_gamma chain_room chain_right main",
    225: "chain_gamma chain_aligned chain_left main",
    226: "chain_gamma chain_aligned chain_right main",
}
TURNS_OF_TWO = 8
TOO_DEEP = 212
FILLED = 213


class Symbols:
    """The functions of a program, by the addresses that it had when it ran: it has said where main was."""

    def __init__(self, path, said):
        listing = subprocess.run(["nm", "-C", "--defined-only", path], stdout=subprocess.PIPE, text=True, check=True).stdout
        found = [line.split(" ", 2) for line in listing.splitlines()]
        found = sorted((int(addr, 16), name) for addr, kind, name in found if kind in "tTwWi")
        bias = int(re.search(r"main (0x[0-9a-f]+)", said).group(1), 16) - dict((name, addr) for addr, name in found)["main"]
        self.starts = [addr + bias for addr, _ in found]
        self.names = [name for _, name in found]

    def name(self, addr):
        at = bisect.bisect_right(self.starts, addr)
        return self.names[at - 1] if at else None

    def chain(self, stack):
        """The functions of the program itself on a stack; a return address is behind its call."""
        names = [self.name(frame["addr"] - (1 if level else 0)) for level, frame in enumerate(stack)]
        # gcc moves what is seldom run to a part of its own.
        names = [name and re.sub(r" \[clone \.cold\]|\.cold$|\.part\.\d+$|\(.*\)", "", name) for name in names]
        return [name for name in names if name and re.match(r"chain_|main$|Square|Guard", name)]


def frames_of(row):
    """The frames that are on the stack: those of inlined functions are there besides."""
    return [frame for frame in row["stack"] if not frame.get("inlined")]


def rows_of(done, pages):
    return [row for row in done.books.rows if row["name"] == "mmap" and row["args"] and row["args"]["len"] == pages * 4096]


def check_chains(t, done, symbols, chains, what):
    for pages, wanted in chains.items():
        rows = rows_of(done, pages)
        if not t.equal(len(rows), 1, f"{what}: one row of {pages} pages", done):
            continue
        got = symbols.chain(frames_of(rows[0]))
        t.equal(got, wanted.split(), f"{what}: {wanted if len(wanted) < 80 else wanted[:40] + '...'}",
                [hex(frame["addr"]) for frame in rows[0]["stack"]], rows[0].get("stack_lost"), done.books.end)
        t.ok(rows[0]["stack_complete"], f"{what}: it is complete")


VARIANTS = {
    "-O0": ("-O0 -fno-omit-frame-pointer", ""),
    "-O2 without frame pointers": ("-O2 -fomit-frame-pointer -fno-optimize-sibling-calls", ""),
    "static": ("-O2 -fomit-frame-pointer -DSTATIC", "-static"),
    "static and position-independent": ("-O2 -fPIE -DSTATIC", "-static-pie"),
}


def check_variants(t, source, *options):
    for what, (flags, link) in VARIANTS.items():
        path = build(flags, link)
        command = [path] if "STATIC" in flags else [path, plugin("-O2")]
        done = observe(source, command, *options)
        if not t.balanced(done, f"{what}: books balance"):
            continue
        chains = CHAINS if "STATIC" in flags else {**CHAINS, **PLUGIN}
        symbols = Symbols(path, done.out)
        check_chains(t, done, symbols, chains, what)
        # So many frames at most, the innermost ones, and said not to be all.
        deep = rows_of(done, TOO_DEEP)
        t.ok(len(deep) == 1 and len(frames_of(deep[0])) == DEPTH and not deep[0]["stack_complete"], f"{what}: too deep a stack", deep)
        t.ok(deep and set(symbols.chain(frames_of(deep[0]))) == {"chain_gamma", "chain_deep"}, f"{what}: its innermost frames")


@case("stacks")
def known_chains(t, source):
    check_variants(t, source)


def whole_causes(source):
    """Of which rows the stack is to reach the outermost frame."""
    return ("syscall", "fault", "kernel-fault") if source == "bpf" else ("syscall",)


@case("stacks")
def every_stack_of_a_small_program(t, source):
    done = observe(source, ["/bin/true"])
    rows = [row for row in done.books.rows if row["cause"] in whole_causes(source) and row["name"] != "execve"]
    t.ok(len(rows) > 10, "rows of a small program", len(rows))
    t.none([row for row in rows if not row["stack_complete"]], "and all their stacks are whole")


@case("stacks")
def callers_that_take_turns(t, source):
    """Equal registers and an equal depth do not make equal stacks."""
    for flags in ("-O0 -fno-omit-frame-pointer", "-O2 -fomit-frame-pointer -fno-optimize-sibling-calls"):
        path = build(flags, main="turns.c")
        done = observe(source, [path])
        if not t.balanced(done, f"{flags}: books balance"):
            continue
        symbols = Symbols(path, done.out)
        for pages, wanted in TURNS.items():
            rows = rows_of(done, pages)
            t.equal(len(rows), 40 if pages % 2 == 0 else 54, f"{flags}: each call of {pages} pages")
            t.none([row["stack"] for row in rows if symbols.chain(frames_of(row)) != wanted.split() or not row["stack_complete"]],
                   f"{flags}: {wanted}")


@case("stacks")
def libraries_that_take_turns(t, source):
    """What is known of an address ends with the mapping that it is in: another library's code is there now."""
    path, small, large = build("-O2 -fomit-frame-pointer"), plugin("-O2"), plugin("-O2 -DROOM=80")
    done = observe(source, [path, *(small, large) * TURNS_OF_TWO])
    if not t.balanced(done):
        return
    calls = {230 + i: "chain_gamma chain_beta chain_plugin main" for i in range(1, 2 * TURNS_OF_TWO + 1)}
    check_chains(t, done, Symbols(path, done.out), calls, "libraries")
    stacks = [frames_of(row) for pages in calls for row in rows_of(done, pages)]
    inside = [frame["addr"] for stack in stacks for frame in stack if frame["obj"] in (small, large)]
    t.ok(len(inside) == 2 * TURNS_OF_TWO and len(set(inside)) == 1, "they were at one place", *map(hex, inside))


@case("stacks")
def stripped(t, source):
    """Without symbols and section headers the tables of frames are found all the same."""
    path = build("-O2 -fomit-frame-pointer")
    bare = new_path()
    subprocess.run(["strip", "-o", bare, path], check=True)
    with open(bare, "r+b") as file:  # e_shoff, e_shnum and e_shstrndx
        for offset, size in ((40, 8), (60, 2), (62, 2)):
            file.seek(offset)
            file.write(b"\0" * size)
    done = observe(source, [bare])
    if t.balanced(done):
        check_chains(t, done, Symbols(path, done.out), CHAINS, "no section headers")


@case("stacks")
def frames_for_debuggers(t, source):
    """Where compilers leave no .eh_frame there may be a .debug_frame, which is no part of what is mapped, and may be packed."""
    flags = "-O2 -fomit-frame-pointer -fno-optimize-sibling-calls -fno-asynchronous-unwind-tables"
    for what, link, wanted in (("plain", "-gz=none", ""), ("packed", "-gz=zlib", "C")):
        path = build(flags, link)
        found = subprocess.run(["readelf", "-SW", path], stdout=subprocess.PIPE, text=True, check=True).stdout
        line = re.search(r"\.debug_frame +PROGBITS +\w+ \w+ (\w+) \w+ +(C?)", found)
        t.ok(line and int(line.group(1), 16) > 100 and line.group(2) == wanted, f"{what}: there is such a section", found)
        done = observe(source, [path])
        if t.balanced(done, f"{what}: books balance"):
            check_chains(t, done, Symbols(path, done.out), CHAINS, what)


@case("stacks")
def without_rules(t, source):
    """A program that says nothing of its frames: its frame pointers lead on, but it may be that a function keeps none."""
    path, bare = build("-O0 -fno-omit-frame-pointer"), new_path()
    subprocess.run(["objcopy", "-R", ".eh_frame", "-R", ".eh_frame_hdr", path, bare], check=True)
    done = observe(source, [bare])
    if not t.balanced(done):
        return
    symbols = Symbols(path, done.out)
    for pages in (201, 202, 204):
        rows = rows_of(done, pages)
        t.equal([symbols.chain(frames_of(row)) for row in rows], [CHAINS[pages].split()], f"{CHAINS[pages][:40]}", rows)
        t.ok(rows and not rows[0]["stack_complete"], "it is not said to be complete")


@case("stacks")
def cxx(t, source):
    for flags in ("-O0", "-O2 -fomit-frame-pointer -fno-optimize-sibling-calls"):
        path = build(flags, main="chains_cxx.cc")
        done = observe(source, [path])
        if t.balanced(done, f"{flags}: books balance"):
            check_chains(t, done, Symbols(path, done.out), CXX, flags)


@case("stacks", "faults")
def faults(t, source):
    """Rows of page faults have the stack of the code that touched the memory."""
    path = build("-O2 -fomit-frame-pointer -fno-optimize-sibling-calls")
    done = observe(source, [path])
    if not t.balanced(done):
        return
    calls = rows_of(done, FILLED)
    if not t.equal(len(calls), 1, "one row of the mmap", done):
        return
    start, size = calls[0]["ret"], FILLED * 4096
    rows = [row for row in done.books.rows if row["cause"] == "fault" and row["args"] and start <= row["args"]["addr"] < start + size]
    t.equal(sum(row["count"] for row in rows), FILLED, "each page is touched once", rows)
    t.ok(len(rows) <= 3, "in a few rows", rows)
    symbols = Symbols(path, done.out)
    t.ok(rows and all(row["stack"] and symbols.chain(frames_of(row)[:1]) == ["chain_fill"] for row in rows),
         "the code is said for each", rows)
    t.equal(rows and symbols.chain(frames_of(rows[0])), ["chain_fill", "main"], "and the whole stack at its beginning")
    t.ok(rows and rows[0]["stack_complete"], "which is complete")


@case("stacks")
def deleted_program(t, source):
    """The program's file is gone before it makes its first call: what it has mapped is still there, as long as it lives."""
    path = build("-O2 -fomit-frame-pointer")
    copy = new_path()
    subprocess.run(["cp", path, copy], check=True)
    command = ["/bin/sh", "-c", f"exec 9<{copy}; rm {copy}; CHAINS_WAIT=1 exec /proc/self/fd/9"]
    with harness.Observer(source, "--", *command) as observer:
        said = observer.line()

        def seen():
            with open(observer.path, encoding="utf-8", errors="replace") as file:
                return any('"name":"brk"' in line and '"obj":"' + copy in line for line in file)
        harness.wait_until(seen, "the observer to know the program")
        observer.say("")
        rc, _, err = observer.finish()
    done = harness.Run(rc, said, err, observer.path)
    if t.balanced(done):
        # What is not compiled yet is copied from the stack pointer on: a handler with a stack of its own hides its caller.
        chains = {pages: chain for pages, chain in CHAINS.items() if pages != 206 or source != "bpf"}
        check_chains(t, done, Symbols(path, done.out), chains, "deleted")


@case("stacks")
def programs(t, source):
    """Programs of others: the issue asks for 99 of 100 stacks."""
    unit = os.path.join(folder(), "unit.c")
    with open(unit, "w", encoding="utf-8") as file:
        file.write("#include <stdio.h>\nint main(void) { return printf(\"hello\\n\"); }\n")
    python = [PYTHON, "-c", "import json, decimal, threading; t = threading.Thread(target=bytearray, args=(1 << 20,)); t.start(); t.join()"]
    sqlite = ["sqlite3", ":memory:", "create table t(a); with recursive n(i) as (select 1 union all select i + 1 from n "
              "limit 20000) insert into t select randomblob(100) from n; select count(*) from t order by a;"]
    for command in (python, sqlite, ["gcc", "-O2", "-c", "-o", os.devnull, unit]):
        done = observe(source, command)
        name = os.path.basename(command[0])
        if not t.balanced(done, f"{name}: books balance"):
            continue
        rows = [row for row in done.books.rows if row["cause"] in whole_causes(source) and row["name"] != "execve"]
        broken = [row for row in rows if not row["stack_complete"]]
        t.ok(len(rows) > 20 and len(broken) * 100 <= len(rows), f"{name}: 99 of 100 stacks are complete",
             f"{len(broken)} of {len(rows)} are not, {done.books.end['lost_stacks']} of them lost",
             *[(row["comm"], row["cause"], row["name"], [hex(frame["addr"]) for frame in row["stack"]]) for row in broken[:9]])


@case("stacks")
def frame_pointers(t, source):
    """Along frame pointers alone: the caller of a library function that has none is left out."""
    path = build("-O0 -fno-omit-frame-pointer")
    done = observe(source, [path], "--stacks", "fp")
    if not t.balanced(done):
        return
    t.ok("stacks" in done.books.header["caps"], "caps say that stacks are taken", done.books.header)
    rows = rows_of(done, 201)
    chain = Symbols(path, done.out).chain(frames_of(rows[0])) if rows else []
    t.equal(chain[-3:], ["chain_beta", "chain_alpha", "main"], "frames follow each other", rows)


@case()
def none_when_not_wanted(t, source):
    done = observe(source, ["/bin/true"], "--stacks", "none")
    if t.balanced(done):
        t.ok("stacks" not in done.books.header["caps"], "caps say that no stacks are taken", done.books.header)
        t.none([row for row in done.books.rows if row["stack"]], "and none are")


if __name__ == "__main__":
    harness.main()
