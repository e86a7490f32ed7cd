#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""Numbers of processes that come again, parents that change, children that nobody has waited for yet."""

import os

import harness
from harness import case, observe, prog

PAGE = 4096

# Mode of prog/kin: how many pages each child touches in a mapping of its own, in the order of their ends or not.
MODES = {"reuse": list(range(1, 33)), "tid": [5], "subreaper": [3, 4], "zombies": list(range(1, 17))}


@case()
def kin(t, source):
    for mode, pages in MODES.items():
        done = observe(source, [prog("kin"), mode])
        if done.rc == 77 and os.geteuid():
            t.skip(mode, "to choose the number of a process takes CAP_CHECKPOINT_RESTORE")
            continue
        if not t.balanced(done, mode):
            continue
        t.agrees(done, name=f"{mode}: readings agree")
        books = done.books
        t.equal(len(books.ledgers), 1 + len(pages), f"{mode}: a ledger for each")
        t.equal(books.end["processes"], 1 + len(pages), f"{mode}: each process is counted")
        parent = done.points[0]["pid"]
        mapped = {}
        for row in books.rows:
            if row["cause"] == "syscall" and row["name"] == "mmap" and row["pid"] != parent:
                mapped.setdefault(row["mm"], []).append(row["virt"] // PAGE)
        t.equal(sorted(mapped.values()), sorted([count] for count in pages), f"{mode}: each has its own mapping on its books")
        if mode == "reuse":
            t.equal(len({row["pid"] for row in books.rows}), 2, "reuse: they had one number")


if __name__ == "__main__":
    harness.main()
