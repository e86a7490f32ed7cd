#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""Memory that is changed from outside: another process, a kernel thread, a fault that another thread serves."""

import contextlib
import os
import time

import harness
import machine
from books import points_of
from harness import Observer, Process, case, folder, observe, prog, status_of, wait_until

PAGES = 64 * 4096

# Mode of prog/foreign: the name of the row, and the part of RSS that it changes.
MODES = {
    "process_vm_writev": ("process_vm_writev", "anon", PAGES),
    "procmem": ("pwrite64", "anon", PAGES),
    "process_madvise": ("process_madvise", "file", -PAGES),
    "ptrace": ("ptrace", "anon", PAGES),
    "userfaultfd-outside": ("ioctl", "anon", PAGES),
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
        t.equal({(row["cause"], row["name"]) for row in rows}, {("kernel", name)}, f"{mode}: of a foreign actor, named {name}", *rows)
        actor, = {ledger["pid"] for ledger in done.books.ledgers.values()} - {child}
        t.equal({(row["pid"], row["comm"]) for row in rows}, {(actor, "actor")}, f"{mode}: and say which process that is", *rows)


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


THP = "/sys/kernel/mm/transparent_hugepage"
HURRY = {"scan_sleep_millisecs": 10, "alloc_sleep_millisecs": 10, "pages_to_scan": 1 << 20, "defrag": 1,
         "max_ptes_none": 511, "max_ptes_swap": 511, "max_ptes_shared": 511}


def hurried():
    """The settings by which khugepaged looks at everything there is, again and again. Its default is to take 16 MiB of
    addresses every 10 s, and to sleep for a minute after a huge page that it could not have."""
    changes = {f"{THP}/khugepaged/{name}": value for name, value in HURRY.items()}
    if machine.chosen(machine.read(f"{THP}/enabled")) == "never":
        changes[f"{THP}/enabled"] = "madvise"
    if machine.chosen(machine.read(f"{THP}/hugepages-2048kB/enabled")) in ("never", "always", "madvise"):
        changes[f"{THP}/hugepages-2048kB/enabled"] = "inherit"
    return {path: value for path, value in changes.items() if os.path.exists(path)}


def state_of_khugepaged(pid):
    return machine.counters(("thp_", "compact_"), "/proc/buddyinfo", f"{THP}/enabled", f"{THP}/khugepaged/full_scans",
                            f"{THP}/khugepaged/pages_collapsed", f"{THP}/khugepaged/scan_sleep_millisecs",
                            f"/proc/{pid}/smaps_rollup", f"/proc/{pid}/status", "/proc/meminfo")


def wait_for_khugepaged(t, pid, anon):
    """Until the process has grown to that. Writing a setting of khugepaged wakes it, whatever it sleeps for; memory that
    is in pieces is put together."""
    beginning = time.monotonic()

    def filled():
        passed = time.monotonic() - beginning
        if status_of(pid)["anon"] >= anon:
            return True
        if passed > filled.next:
            filled.next = 2 * passed
            machine.write(f"{THP}/khugepaged/scan_sleep_millisecs", HURRY["scan_sleep_millisecs"])
            with contextlib.suppress(OSError):
                machine.write("/proc/sys/vm/compact_memory", 1)
        return False
    filled.next = 2
    try:
        wait_until(filled, "khugepaged", 300)
    except TimeoutError as err:
        t.ok(False, str(err), *state_of_khugepaged(pid))
        raise


@case("kernel")
def khugepaged(t, source):
    """RSS grows while the process sleeps: the rows are the kernel thread's, on the process's books."""
    if not os.access(f"{THP}/khugepaged/scan_sleep_millisecs", os.W_OK):
        t.skip("all", "no huge pages here, or no right to hurry khugepaged")
        return
    with machine.settings(hurried()), Process([prog("hold"), "0"]) as held:
        held.until("ready")
        with Observer(source, "-p", str(held.pid)) as observer:
            observer.attached()
            before = held.ask("mark before")
            held.ask("sparse 4")  # entering its list wakes khugepaged: this reading may find the areas filled, or half so
            wait_for_khugepaged(t, held.pid, before["anon"] + 4 * 512 * 4096)
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

    @contextlib.contextmanager
    def observed(self, source):
        """A program that waits for lines, in this group, and who observes it."""
        with Process([prog("hold"), "0"]) as held:
            held.until("ready")
            self.write("cgroup.procs", held.pid)
            with Observer(source, "-p", str(held.pid)) as observer:
                observer.attached()
                yield held, observer

    def _removed(self):
        with contextlib.suppress(OSError):
            os.rmdir(self.path)
            return True
        return False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        wait_until(self._removed, "the cgroup to go")


def memory_group(t):
    """A new group; None, with the reason said, where none can be made."""
    try:
        return MemoryGroup()
    except OSError as err:
        t.skip("all", f"no memory cgroup can be made here: {err}")
        return None


@case("kernel")
def reclaim(t, source):
    """Pages that the process has given to the kernel by MADV_FREE go when memory is short, without an act of its own."""
    group = memory_group(t)
    if not group:
        return
    with group, group.observed(source) as (held, observer):
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
        t.none([row for row in rows if row["name"] != "reclaim" and not row["name"].startswith("kswapd")],
               "which say that it was reclaim")
        t.ok(len(rows) <= 64, "in a few rows, not one for each page", len(rows))


@case("kernel")
def swap(t, source):
    """Pages go to swap without an act of the process, and come back by its own major faults."""
    group = memory_group(t)
    if not group:
        return
    try:
        with group, machine.settings({}, (os.path.join(folder(), "swap"), 64 << 20)), group.observed(source) as (held, observer):
            before = held.ask("map 2048")
            group.reclaim()
            out = held.ask("mark out")
            back = held.ask("again")
            done = observer.end()
    except OSError as err:
        t.skip("all", f"this machine cannot swap to a file: {err}")
        return
    if not t.ok(out["swap"] >= 4 << 20, "half of it at least went to swap", before, out):
        return
    if t.balanced(done):
        t.agrees(done, [before, out, back])
        rows = [row for row in done.books.rows if row["swap"] > 0]
        t.equal({row["cause"] for row in rows}, {"kernel"}, "what went is in rows of a kernel actor", *rows[:4])
        gone = [row for row in done.books.rows if row["cause"] == "kernel"]
        t.equal(sum(row["swap"] for row in gone), -sum(row["anon"] for row in gone), "a page in swap is one less in memory",
                *gone[:4])
        rows = [row for row in done.books.rows if row["swap"] < 0 and row["cause"] == "fault"]
        t.ok(sum(row["swap"] for row in rows) <= -(2 << 20) and all(row["swap"] == -row["anon"] for row in rows),
             "what came back is in its own faults", *rows[:4])


KSM = "/sys/kernel/mm/ksm"


@case("kernel")
def same_page_merging(t, source):
    """KSM shares equal pages. The kernel goes on to count them for each process that maps them: no row, and balanced."""
    if not os.access(f"{KSM}/run", os.W_OK):
        t.skip("all", "no KSM here, or no right to start it")
        return
    changes = {f"{KSM}/pages_to_scan": 100000, f"{KSM}/sleep_millisecs": 10, f"{KSM}/run": 1}
    with machine.settings(changes), Process([prog("hold"), "0"]) as held:
        held.until("ready")
        with Observer(source, "-p", str(held.pid)) as observer:
            observer.attached()
            before = held.ask("merge 256")
            wait_until(lambda: int(machine.read(f"/proc/{held.pid}/ksm_merging_pages") or 0) >= 200, "KSM to merge", 300)
            after = held.ask("mark after")
            done = observer.end()
    if t.balanced(done):
        t.agrees(done, [before, after])
        t.none([row for row in done.books.rows if row["cause"] == "kernel" and row["rss"]], "merging changes no counter")


@case("syscalls")
def set_apart_huge_pages(t, source):
    """Pages of hugetlb count in VmSize, not in VmRSS: the rows say the same."""
    path = "/proc/sys/vm/nr_hugepages"
    if not os.access(path, os.W_OK):
        t.skip("all", "no hugetlb here, or no right to set pages apart")
        return
    with machine.settings({path: 4}), Process([prog("hold"), "0"]) as held:
        wait_until(lambda: _set_apart(path, 2), "huge pages to be set apart", 300)
        held.until("ready")
        with Observer(source, "-p", str(held.pid)) as observer:
            observer.attached()
            held.say("huge 2")
            points = points_of(held.line())
            done = observer.end()
    if t.balanced(done):
        t.agrees(done, points)
        rows = [row for row in done.books.rows if row["virt"] and row["cause"] == "syscall"]
        t.equal([(row["name"], row["virt"], row["rss"]) for row in rows], [("mmap", 4 << 20, 0), ("munmap", -(4 << 20), 0)],
                "VIRT comes and goes, RSS does not", *rows)


def _set_apart(path, least):
    if int(machine.read(path)) >= least:
        return True
    machine.write(path, 4)
    return False


@case("faults")
def a_profiler_beside(t, source):
    """Another tool reads the stack at each fault, where nothing is mapped: that changes nothing, and is no cause."""
    done = observe(source, [prog("sampled")])
    if done.rc == 77:
        t.skip("sampled", "no perf events here")
    elif t.balanced(done):
        t.agrees(done)
        rows = [row for row in done.books.step("sampled") if row["anon"]]
        t.equal(sum(row["anon"] for row in rows), PAGES, "the pages are there", *rows)
        t.equal({row["cause"] for row in rows}, {"fault"}, "they are of the faults", *rows)


@case()
def out_of_memory(t, source):
    """Killed by the kernel in the middle of a fault: the books are closed all the same."""
    group = memory_group(t)
    if not group:
        return
    with group:
        group.limit("32M")
        script = f"echo $$ >{group.path}/cgroup.procs; echo map 20000 | {prog('hold')} 0"
        done = observe(source, ["/bin/sh", "-c", script])
    t.balanced(done, rc=137)
    killed = [ledger for ledger in done.books.ledgers.values() if str(ledger["image"]).endswith("/hold")]
    t.ok(killed and killed[0]["closing"]["rss"] > 16 << 20, "what it held when it was killed is its closing", killed)


if __name__ == "__main__":
    harness.main()
