#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""Memory that is changed from outside: another process, a kernel thread, a fault that another thread serves."""

import contextlib
import os

import harness
from harness import Observer, Process, case, folder, observe, prog, status_of, wait_until

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


@contextlib.contextmanager
def setting(path, value):
    """Writes a value to a file of the kernel and puts the old one back."""
    with open(path, encoding="ascii") as file:
        old = file.read().strip()
    with open(path, "w", encoding="ascii") as file:
        file.write(str(value))
    try:
        yield
    finally:
        with open(path, "w", encoding="ascii") as file:
            file.write(old)


@case("kernel")
def khugepaged(t, source):
    """RSS grows while the process sleeps: the rows are the kernel thread's, on the process's books."""
    folder_of_settings = "/sys/kernel/mm/transparent_hugepage"
    path = f"{folder_of_settings}/khugepaged/scan_sleep_millisecs"
    try:
        with open(f"{folder_of_settings}/enabled", encoding="ascii") as file:
            off = "[never]" in file.read()
    except FileNotFoundError:
        off = True
    if off or not os.access(path, os.W_OK):
        t.skip("all", "no huge pages here, or no right to hurry khugepaged")
        return
    with Process([prog("hold"), "0"]) as held:
        held.until("ready")
        with Observer(source, "-p", str(held.pid)) as observer:
            observer.attached(held.pid)
            before = held.ask("sparse 4")
            with setting(path, 10):
                wait_until(lambda: status_of(held.pid)["anon"] >= before["anon"] + 4 * 448 * 4096, "khugepaged", 60)
            after = held.ask("mark after")
            done = observer.end()
    if not t.balanced(done):
        return
    t.agrees(done, [before, after])
    rows = [row for row in done.books.rows if row["name"] == "khugepaged"]
    t.ok(sum(row["anon"] for row in rows) >= 4 * 448 * 4096, "4 x 448 pages by khugepaged", len(rows), *rows[:4])
    t.equal({row["cause"] for row in rows}, {"kernel"}, "the cause is a kernel actor")
    t.equal({row["mm"] for row in rows}, {list(done.books.ledgers)[0]}, "on the books of the process that sleeps")
    t.ok(len(rows) <= 64, "in a few rows, not one for each page", len(rows))


class MemoryGroup:
    """A memory cgroup, of either version; reclaim() makes the kernel take back what it can."""

    def __init__(self):
        unified = "/sys/fs/cgroup/cgroup.controllers"
        self.second = os.path.exists(unified) and "memory" in open(unified, encoding="ascii").read()
        self.path = f"/sys/fs/cgroup/{'' if self.second else 'memory/'}heaptrace-test-{os.getpid()}"
        os.mkdir(self.path)

    def write(self, name, value):
        with contextlib.suppress(OSError), open(os.path.join(self.path, name), "w", encoding="ascii") as file:
            file.write(str(value))

    def limit(self, size):
        self.write("memory.max" if self.second else "memory.limit_in_bytes", size)

    def reclaim(self):
        if self.second:
            self.write("memory.reclaim", "64M")
        else:
            self.limit("1M")
            self.limit("-1")

    def remove(self):
        os.rmdir(self.path)


@case("kernel")
def reclaim(t, source):
    """Pages that the process has given to the kernel by MADV_FREE go when memory is short, without an act of its own."""
    try:
        group = MemoryGroup()
    except OSError as err:
        t.skip("all", f"no memory cgroup can be made here: {err}")
        return
    try:
        with Process([prog("hold"), "0"]) as held:
            held.until("ready")
            group.write("cgroup.procs", held.pid)
            with Observer(source, "-p", str(held.pid)) as observer:
                observer.attached(held.pid)
                before = held.ask("lazy 4096")
                group.reclaim()
                after = held.ask("mark after")
                done = observer.end()
        if after["anon"] >= before["anon"]:
            t.skip("all", "the kernel took nothing back")
            return
        if t.balanced(done):
            t.agrees(done, [before, after])
            mine = [row for row in done.books.rows if row["anon"] < 0 and row["pid"] == held.pid and row["cause"] != "kernel"]
            rows = [row for row in done.books.rows if row["cause"] == "kernel" and row["anon"] < 0]
            t.ok(sum(row["anon"] for row in rows) <= after["anon"] - before["anon"] + 4096 * 16,
                 "what was taken is in rows of a kernel actor", *rows[:4], "rows of its own:", *mine[:4])
            t.ok(len(rows) <= 64, "in a few rows, not one for each page", len(rows))
    finally:
        wait_until(lambda: _removed(group), "the cgroup to go")


@case()
def out_of_memory(t, source):
    """Killed by the kernel in the middle of a fault: the books are closed all the same."""
    try:
        group = MemoryGroup()
    except OSError as err:
        t.skip("all", f"no memory cgroup can be made here: {err}")
        return
    try:
        group.limit("32M")
        script = f"echo $$ >{group.path}/cgroup.procs; echo map 20000 | {prog('hold')} 0"
        done = observe(source, ["/bin/sh", "-c", script])
        t.balanced(done, rc=137)
        killed = [ledger for ledger in done.books.ledgers.values() if str(ledger["image"]).endswith("/hold")]
        t.ok(killed and killed[0]["closing"]["rss"] > 16 << 20, "what it held when it was killed is its closing", killed)
    finally:
        wait_until(lambda: _removed(group), "the cgroup to go")


def _removed(group):
    try:
        group.remove()
        return True
    except OSError:
        return False


if __name__ == "__main__":
    harness.main()
