#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""What can be done to mappings, step by step: the rows of each step are exactly those named here, with their effects."""

import os
import sys

import books
import harness
from harness import case, folder, observe, prog

PAGE = 4096

# Step: rows as (cause, name, virt, anon, file, shmem in pages), neighbours of one cause and name as one. A step that is
# not named here is still checked by its readings.
ANON_STEPS = {
    "nothing": [],
    "populate 400": [("syscall", "mmap", 400, 400, 0, 0)],
    "munmap middle 100": [("syscall", "munmap", -100, -100, 0, 0)],
    "munmap over a hole": [("syscall", "munmap", -100, -100, 0, 0)],
    "munmap of nothing": [("syscall", "munmap", 0, 0, 0, 0)],
    "munmap rest": [("syscall", "munmap", -200, -200, 0, 0)],
    "map 256": [("syscall", "mmap", 256, 0, 0, 0)],
    "touch 256": [("fault", "minor", 0, 256, 0, 0)],
    "touch again": [],
    "fixed over 64": [("syscall", "mmap", 0, -64, 0, 0)],
    "fixed none": [("syscall", "mmap", 0, -32, 0, 0)],
    "munmap 256": [("syscall", "munmap", -256, -160, 0, 0)],
    "mremap shrink": [("syscall", "mremap", -32, -32, 0, 0)],
    "mremap grow": [("syscall", "mremap", 480, 0, 0, 0)],
    "mremap fixed onto 32": [("syscall", "mremap", -32, -32, 0, 0)],
    "mremap dontunmap": [("syscall", "mremap", 16, 0, 0, 0)],
    "mremap move and shrink": [("syscall", "mremap", -16, -8, 0, 0)],
    "brk up 128": [("syscall", "brk", 128, 0, 0, 0)],
    "brk touch": [("fault", "minor", 0, 128, 0, 0)],
    "brk part": [("syscall", "brk", -127, -127, 0, 0)],
    "brk refused": [("syscall", "brk", 0, 0, 0, 0)],
    "brk down": [("syscall", "brk", -1, -1, 0, 0)],
    "mprotect none": [("syscall", "mprotect", 0, 0, 0, 0)],
    "mprotect back": [("syscall", "mprotect", 0, 0, 0, 0)],
    "pkey_mprotect": [("syscall", "pkey_mprotect", 0, 0, 0, 0)],
    "stack again": [],
    "mlock 32": [("syscall", "mlock", 0, 32, 0, 0)],
    "mlock2 onfault": [("syscall", "mlock2", 0, 0, 0, 0)],
    "touch onfault": [("fault", "minor", 0, 32, 0, 0)],
    "munlock": [("syscall", "munlock", 0, 0, 0, 0)],
    "mlockall future": [("syscall", "mlockall", 0, 0, 0, 0)],
    "mmap locked 16": [("syscall", "mmap", 16, 16, 0, 0)],
    "munlockall": [("syscall", "munlockall", 0, 0, 0, 0)],
    "populate_write 128": [("syscall", "madvise", 0, 128, 0, 0)],
    "dontneed 64": [("syscall", "madvise", 0, -64, 0, 0)],
    "touch after dontneed": [("fault", "minor", 0, 64, 0, 0)],
    "free 128": [("syscall", "madvise", 0, 0, 0, 0)],
    "touch after free": [],
    "cold": [("syscall", "madvise", 0, 0, 0, 0)],
    "unmap advised": [("syscall", "munmap", -128, -128, 0, 0)],
    "stripes": [("syscall", "mprotect", 0, 0, 0, 0)],
    "touch stripes": [("fault", "minor", 0, 200, 0, 0)],
    "unmap stripes": [("syscall", "munmap", -400, -200, 0, 0)],
}

FILE_STEPS = {
    "map private": [("syscall", "mmap", 128, 0, 0, 0)],
    "write private 32": [("fault", "minor", 0, 32, -32, 0)],
    "write unread private": [("syscall", "madvise", 0, -32, -96, 0), ("fault", "minor", 0, 16, 0, 0)],
    "unmap private": [("syscall", "munmap", -128, -16, 0, 0)],
    "map shared": [("syscall", "mmap", 128, 0, 0, 0)],
    "dontneed shared 64": [("syscall", "madvise", 0, 0, -64, 0)],
    "truncate 32": [("syscall", "ftruncate", 0, 0, -56, 0)],
    "unmap shared": [("syscall", "munmap", -128, 0, -8, 0)],
    "populate file": [("syscall", "mmap", 128, 0, 128, 0)],
    "unmap populated": [("syscall", "munmap", -128, 0, -128, 0)],
    "shmat": [("syscall", "shmat", 64, 0, 0, 0)],
    "touch shm": [("fault", "minor", 0, 0, 0, 64)],
    "shmdt": [("syscall", "shmdt", -64, 0, 0, -64)],
    "touch shared anon": [("fault", "minor", 0, 0, 0, 64)],
    "remove shared anon": [("syscall", "madvise", 0, 0, 0, -32)],
    "unmap shared anon": [("syscall", "munmap", -64, 0, 0, -32)],
    "touch memfd": [("fault", "minor", 0, 0, 0, 64)],
    "punch memfd": [("syscall", "fallocate", 0, 0, 0, -16)],
}

# The kernel faults for the process: the row is named after the call that it is in.
READ_STEPS = {
    "read zero 32": ("read", 32),
    "pread file 32": ("pread64", 32),
    "readv 32": ("readv", 32),
    "getrandom 8": ("getrandom", 8),
    "recvfrom 4": ("recvfrom", 4),
}


def rows_of_step(done, name):
    return [(cause, what, *(parts[part] // PAGE for part in ("virt", "anon", "file", "shmem")))
            for cause, what, _, parts in books.merge(done.books.step(name))]


def without_khugepaged(done, name):
    """khugepaged may meddle with huge pages at any time; what it does has rows of its own."""
    return [(cause, what, *(parts[part] // PAGE for part in ("virt", "anon", "file", "shmem")))
            for cause, what, _, parts in books.merge(row for row in done.books.step(name) if row["name"] != "khugepaged")]


def check_steps(t, done, steps):
    """Where status lags the ptrace source has the sum of files and shared memory alone, from smaps_rollup."""
    one_sum = done.books.header["source"] == "ptrace" and os.environ["STATUS_LAGS"]
    for name, want in steps.items():
        if one_sum and any(shmem for *_, shmem in want):
            gained = sum(row["file"] + row["shmem"] for row in done.books.step(name)) // PAGE
            t.ok(gained >= sum(file + shmem for *_, file, shmem in want), f"rows of the step {name!r}, in sum", gained,
                 *done.books.step(name)[:8])
        else:
            t.equal(rows_of_step(done, name), want, f"rows of the step {name!r}", *done.books.step(name)[:8])


def effect(done, name):
    """What the program's own readings say that a step did, in bytes."""
    points = {point["name"]: point for point in done.points}
    return {part: points[name + " }"][part] - points[name + " {"][part] for part in books.PARTS
            if points[name + " {"][part] is not None}


def check_zero_page(t, done):
    """A read fault brings the zero page, which is not resident, and a write a page of one's own; kernels that have no zero page
    for processes bring that at once. Which of the two this one is, the program's readings say."""
    touched, nothing = [("fault", "minor", 0, 64, 0, 0)], []
    resident = effect(done, "read zero pages")["anon"] // PAGE
    zero = [row for row in done.books.step("read zero pages") if row["cause"] == "fault"]
    check_steps(t, done, {"read zero pages": touched if resident else nothing,
                          "write after zero pages": nothing if resident else touched})
    t.equal(sum(row["count"] for row in zero if bool(row["rss"]) == bool(resident)), 64,
            "read faults are counted, whether they bring a page or not", *zero)


@case("syscalls", "faults")
def anonymous(t, source):
    done = observe(source, [prog("maps")])
    if not t.balanced(done):
        return
    t.agrees(done)
    check_steps(t, done, ANON_STEPS)
    check_zero_page(t, done)
    stripes = [row for row in done.books.step("stripes") if row["name"] == "mprotect"]
    t.equal(sum(row["count"] for row in stripes), 200, "each of 200 mprotects is there")


@case("syscalls", "faults")
def stack_growth(t, source):
    done = observe(source, [prog("maps")])
    for name in ("stack 1 MiB", "growsdown 8"):
        grown = effect(done, name)
        rows = [row for row in done.books.step(name) if row["cause"] == "fault" and row["name"] == "stack"]
        t.ok(grown["virt"] > 0, f"{name}: VIRT grew", grown)
        t.equal(sum(row["virt"] for row in rows), grown["virt"], f"{name}: all of it by rows named stack", *rows)
        t.none([row for row in done.books.step(name) if row["virt"] and row["name"] != "stack"],
               f"{name}: nothing else changed VIRT")
    kinds = {row["region"]["kind"] for row in done.books.step("stack 1 MiB") if row["name"] == "stack" and row["region"]}
    t.equal(kinds, {"stack"}, "its region is the stack")


@case("syscalls", "faults")
def files_and_shared_memory(t, source):
    done = observe(source, [prog("files"), folder()])
    if not t.balanced(done):
        return
    t.agrees(done)
    check_steps(t, done, FILE_STEPS)
    for step in ("read private", "write shared"):
        rows = [row for row in done.books.step(step) if row["cause"] == "fault"]
        t.equal(sum(row["file"] for row in rows) // PAGE, 128, f"{step!r}: 128 pages of the file by faults", *rows)
    paths = {row["region"]["path"] for row in done.books.step("map private") if row["name"] == "mmap"}
    t.ok(len(paths) == 1 and os.path.basename(str(paths.pop())).startswith("heaptrace-files-"),
         "the row of a file mapping names the file", paths)


@case("syscalls", "kernel")
def kernel_faults(t, source):
    done = observe(source, [prog("files"), folder()])
    for name, (call, pages) in READ_STEPS.items():
        rows = [row for row in done.books.step(name) if row["anon"]]
        t.equal({(row["cause"], row["name"]) for row in rows}, {("kernel-fault", call)},
                f"{name!r}: a kernel fault named {call}", *rows)
        t.equal(sum(row["anon"] for row in rows) // PAGE, pages, f"{name!r}: {pages} pages", *rows)


@case("syscalls", "faults")
def huge_pages(t, source):
    done = observe(source, [prog("thp")])
    if not t.balanced(done):
        return
    t.agrees(done)
    if effect(done, "touch one byte")["anon"] < 2 << 20:
        t.skip("rows of huge pages", "the machine gave no huge page")
        return
    steps = {
        "touch one byte": [("fault", "minor", 0, 512, 0, 0)],
        "split by dontneed": [("syscall", "madvise", 0, -4, 0, 0)],
        "split by munmap": [("syscall", "munmap", -16, -16, 0, 0)],
        "split by mprotect": [("syscall", "mprotect", 0, 0, 0, 0)],
        "dontneed whole": [("syscall", "madvise", 0, -512, 0, 0)],
    }
    for name, want in steps.items():
        t.equal(without_khugepaged(done, name), want, f"rows of the step {name!r}", *done.books.step(name)[:8])
    rows = [row for row in done.books.step("collapse") if row["anon"]]
    t.equal(sum(row["anon"] for row in rows), effect(done, "collapse")["anon"], "MADV_COLLAPSE: its rows make its effect", *rows)
    t.none([row for row in rows if (row["cause"], row["name"]) not in (("syscall", "madvise"), ("kernel", "khugepaged"))],
           "MADV_COLLAPSE: named so")
    more = [row for row in done.books.step("touch three more") if row["cause"] == "fault" and row["anon"]]
    t.equal(sum(row["anon"] for row in more) // PAGE, 3 * 512, "three huge pages by three touches", *more)
    t.ok(sum(row["count"] for row in more) <= 8, "and by as many faults, not one for each small page", *more)


@case("syscalls")
def regions(t, source):
    done = observe(source, [prog("maps")])
    seen = "faults" in done.books.header["caps"]  # else what is touched has no address
    for step, kind in (("populate 400", "anon"), *([("brk touch", "heap")] if seen else []), ("brk up 128", "heap")):
        found = {row["region"]["kind"] for row in done.books.step(step) if row["region"] and (row["virt"] or row["anon"])}
        t.equal(found, {kind}, f"{step!r}: the region is {kind}", *done.books.step(step)[:4])
    shm = observe(source, [prog("files"), folder()])
    found = {row["region"]["kind"] for row in shm.books.step("shmat") if row["region"] and row["virt"]}
    t.equal(found, {"shm"}, "'shmat': the region is shm")


@case("syscalls")
def arguments_of_calls(t, source):
    done = observe(source, [prog("maps")])
    row = [row for row in done.books.step("populate 400") if row["name"] == "mmap"][0]
    want = {"addr": 0, "len": 400 * PAGE, "prot": 3, "flags": 0x8022, "fd": -1, "off": 0}
    t.equal(row["args"], want, "all six arguments of mmap")
    t.ok(row["ret"] and row["ret"] % PAGE == 0, "and the address that it returned", row)
    cut = [row for row in done.books.step("munmap middle 100") if row["name"] == "munmap"][0]
    t.equal(cut["args"], {"addr": row["ret"] + 100 * PAGE, "len": 100 * PAGE}, "both arguments of munmap")


@case("syscalls", "faults")
def addresses_of_faults(t, source):
    done = observe(source, [prog("maps")])
    touched = done.books.step("touch 256")
    mapped = [row for row in done.books.step("map 256") if row["name"] == "mmap"][0]["ret"]
    runs = [row for row in touched if row["cause"] == "fault" and row["anon"]]
    t.equal((min(row["args"]["addr"] for row in runs), sum(row["args"]["len"] for row in runs)), (mapped, 256 * PAGE),
            "the runs of faults cover the range that was touched", *runs)


@case("syscalls", "faults", sources=("bpf",))
def pages_around_a_fault(t, source):
    """A fault on a file brings pages around it too: the range of a run is where they are, in the mapping that faulted."""
    done = observe(source, [sys.executable, "-c", "import json"])
    runs = [row for row in done.books.rows if row["cause"] == "fault" and row["file"] > PAGE]
    t.ok(len(runs) > 10, "faults bring more than a page", len(runs))
    t.none([row for row in runs if row["region"]["kind"] != "file"], "what they bring is of files")
    t.none([row for row in runs if (row["args"]["addr"], row["args"]["addr"] + row["args"]["len"]) !=
            (row["region"]["start"], row["region"]["end"])], "a run lies in one mapping")
    t.none([row for row in runs if row["args"]["len"] < row["file"]], "and has room for what it brought")


if __name__ == "__main__":
    harness.main()
