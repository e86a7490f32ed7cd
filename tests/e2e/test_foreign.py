#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""Memory that is changed from outside: another process, a kernel thread, a fault that another thread serves."""

import harness
from harness import case, folder, observe, prog

PAGES = 64 * 4096

# Mode of prog/foreign: the name of the row, and the part of RSS that it changes.
MODES = {
    "process_vm_writev": ("process_vm_writev", "anon", PAGES),
    "procmem": ("pwrite64", "anon", PAGES),
    "process_madvise": ("process_madvise", "file", -PAGES),
    "ptrace": ("ptrace", "anon", PAGES),
}


@case("kernel")
def another_process(t, source):
    for mode, (name, part, change) in MODES.items():
        if mode == "ptrace" and source == "ptrace":
            continue  # a process has one tracer
        done = observe(source, [prog("foreign"), mode, folder()])
        if done.rc == 77:
            t.skip(mode, "this kernel does not do it")
            continue
        if not t.balanced(done, mode):
            continue
        t.agrees(done, name=f"{mode}: readings agree")
        child = done.points[0]["pid"]
        rows = [row for row in done.books.step("acted on", child) if row[part]]
        t.equal(sum(row[part] for row in rows), change, f"{mode}: the change has its rows", *rows)
        t.ok(rows and all(name in row["name"] for row in rows), f"{mode}: named {name}", *rows)
        t.equal({row["cause"] for row in rows}, {"kernel"}, f"{mode}: the cause is a foreign actor")


@case("kernel")
def userfaultfd(t, source):
    done = observe(source, [prog("foreign"), "userfaultfd", folder()])
    if done.rc == 77:
        t.skip("userfaultfd", "this kernel has none")
    elif t.balanced(done):
        t.agrees(done)
        rows = [row for row in done.books.step("acted on") if row["anon"]]
        ours = [row for row in rows if row["name"] == "ioctl"]
        t.equal(sum(row["anon"] for row in ours), PAGES, "the pages are the ioctl's of the thread that served them", *rows)


@case("kernel")
def io_uring(t, source):
    done = observe(source, [prog("uring")])
    if done.rc == 77:
        t.skip("io_uring", "this kernel has none, or does not allow it")
    elif t.balanced(done):
        t.agrees(done)
        rows = [row for row in done.books.step("inline read") if row["anon"]]
        t.equal({row["name"] for row in rows}, {"io_uring_enter"}, "a read within the call is named io_uring_enter", *rows)
        rows = [row for row in done.books.step("worker read") if row["anon"]]
        t.equal(sum(row["anon"] for row in rows), PAGES, "a read by a worker of the kernel has its rows", *rows)
        t.none([row for row in rows if "iou-wrk" not in row["name"] and "io_uring" not in row["name"]],
               "named after the worker or io_uring")


if __name__ == "__main__":
    harness.main()
