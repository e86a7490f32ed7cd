#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""The original experiment under observation: the target tells the truth about itself, and the ledger agrees with it."""

import json

import harness
from harness import TARGET, case, observe, run

ORDERS = ("ascending", "descending", "shuffled", "given")
ALLOCATORS = ("malloc", "mmap", "operator")
MB = 1 << 20


def readings(text):
    """The target's own readings as points: the pid is the document's."""
    document = json.loads(text)
    return [{"pid": document["pid"], **mark} for mark in document["marks"]]


def experiment(t, source, *arguments):
    done = observe(source, [TARGET, "--json", *arguments])
    name = " ".join(arguments)
    if t.balanced(done, name):
        points = readings(done.out)
        t.ok(len(points) >= 4, f"{name}: it left marks", len(points))
        t.agrees(done, points, f"{name}: its readings are the ledger's levels at each mark")
    return done


@case()
def orders_and_allocators(t, source):
    for allocator in ALLOCATORS:
        for order in ORDERS:
            # All seven sizes, up to 2 GiB, once. 40M is as the largest ones are: above what malloc's threshold rises to.
            whole = order == "descending" and allocator == "malloc"
            sizes = [] if whole else ["--sizes", "20M,2k,40M,2M,200k,20k"]
            seed = ["--seed", "7"] if order == "shuffled" else []
            experiment(t, source, "--alloc", allocator, "--order", order, *seed, *sizes)


@case()
def rounds_threads_and_settings(t, source):
    small = ["--sizes", "2k,20k,200k,2M", "--order", "shuffled", "--seed", "3"]
    for arguments in (["--rounds", "5"], ["--rounds", "3", "--keep", "2"], ["--touch", "none"], ["--touch", "0.5"],
                      ["--threads", "4"], ["--trim"], ["--mallopt", "mmap_threshold=64k", "--mallopt", "trim_threshold=64k"],
                      ["--threads", "3", "--alloc", "operator", "--rounds", "3"], ["--threads", "4", "--alloc", "slab", "--rounds", "3"]):
        experiment(t, source, *arguments, *small)


def between(done, first, last):
    """The rows from mark to mark."""
    marks = {mark["name"]: mark["_line"] for mark in done.books.marks}
    return [row for row in done.books.rows if marks[first] < row["_line"] < marks[last]]


@case("syscalls")
def why_2_mib_is_kept(t, source):
    """In descending order the free of 20 MiB raises malloc's threshold: 2 MiB then comes from brk, and its free makes no
    call at all. In ascending order the same block comes from mmap and is given back."""
    size, big = 2 * MB, 20 * MB
    sizes = ["--sizes", "2M,20M,200k,2k"]
    down = experiment(t, source, "--order", "descending", *sizes)
    freed = [row for row in between(down, f"touch {big}", f"free {big}") if row["name"] == "munmap"]
    t.ok(any(row["virt"] <= -big for row in freed), "descending: the munmap of 20 MiB comes before", *freed)
    got = [row for row in between(down, f"before {size}", f"alloc {size}") if row["virt"] > 0]
    t.equal({row["name"] for row in got}, {"brk"}, "descending: 2 MiB comes from brk", *got)
    t.equal({row["region"]["kind"] for row in got}, {"heap"}, "descending: the region is the heap", *got)
    after = between(down, f"touch {size}", f"free {size}")
    t.none([row for row in after if row["cause"] == "syscall" or row["virt"]], "descending: no call at its free")
    up = experiment(t, source, "--order", "ascending", *sizes)
    got = [row for row in between(up, f"before {size}", f"alloc {size}") if row["virt"] > 0]
    t.equal({row["name"] for row in got}, {"mmap"}, "ascending: 2 MiB comes from mmap", *got)
    back = [row for row in between(up, f"touch {size}", f"free {size}") if row["name"] == "munmap"]
    t.ok(any(row["virt"] <= -size and row["rss"] <= -size for row in back), "ascending: its free gives it back", *back)


@case("syscalls", "faults")
def touching_is_a_few_rows(t, source):
    """A run of faults is one row, not one for each page."""
    done = experiment(t, source, "--alloc", "mmap", "--order", "ascending", "--sizes", "200M")
    rows = [row for row in between(done, f"alloc {200 * MB}", f"touch {200 * MB}") if row["cause"] == "fault"]
    t.equal(sum(row["anon"] for row in rows), 200 * MB, "the faults make 200 MiB")
    t.ok(len(rows) < 100, "in fewer than 100 rows", len(rows))
    at = {mark["name"]: mark["ts_ns"] for mark in done.books.marks}
    t.none([row for row in rows if not at[f"alloc {200 * MB}"] <= row["ts_ns"] <= at[f"touch {200 * MB}"]],
           "each begins between the marks that it lies between")


@case(sources=("bpf",))
def the_answer_is_not_changed(t, source):
    """Same VIRT and RSS at every mark with and without the observer. Addresses decide how many page tables and pages a
    program takes, so ASLR is off for both; a first run, thrown away, brings all files into the page cache. Only where it
    is not the same is asked whether it would have been without the observer."""
    for arguments in (["--order", "descending"], ["--alloc", "mmap", "--sizes", "2k,200M,20M"], ["--alloc", "operator",
                      "--sizes", "20k,2M,20M,200k"],
                      ["--threads", "4", "--sizes", "2k,200k,2M", "--rounds", "2", "--order", "given"]):
        command = ["setarch", "-R", TARGET, "--json", "--seed", "11", *arguments]
        name = " ".join(arguments)
        run([*command, "--sizes", "2k"])
        parts = ("name", "virt", "rss", "anon", "file", "shmem", "swap")

        def levels(text):
            return [tuple(point[part] for part in parts) for point in readings(text)]
        alone, observed = levels(run(command).out), levels(observe(source, command).out)
        if alone != observed and alone != levels(run(command).out):
            print(f"# {name}: two unobserved runs differ between themselves")
            alone = [one[:2] for one in alone]
            observed = [one[:2] for one in observed]
        t.none([f"alone {a}, observed {b}" for a, b in zip(alone, observed) if a != b],
               f"{name}: the same at each of {len(alone)} marks")
        t.equal(len(alone), len(observed), f"{name}: the same marks")


if __name__ == "__main__":
    harness.main()
