# SPDX-License-Identifier: GPL-2.0-only
"""mallopt(3) and GLIBC_TUNABLES: each parameter judged by what the kernel saw."""

import os

from observed import KB, MB, kb
from thp import setting

TITLE = "Do mallopt and GLIBC_TUNABLES make a difference?"
QUESTION = ("Each parameter of malloc can be set by mallopt(3) in the program, or by GLIBC_TUNABLES from outside. Does the "
            "kernel see another program then? And what does a return value of 0 from mallopt mean?")
POST = ("mallopt returned 0, GLIBC_TUNABLES made no difference; so neither was taken further. (It was measured on CentOS 7, "
        "whose glibc is 2.17.)")
ORDER = "target --json --order given --sizes 4M,2M,200k"
RUNS = {
    "plain": ORDER,
    "misspelled": "GLIBC_TUNABLES=glibc.malloc.mmap_treshold=131072 " + ORDER,
    "older name": "MALLOC_MMAP_THRESHOLD_=131072 " + ORDER,
    "refused": "target --json --mallopt mxfast=1k play 'alloc a 20000 64' 'free a'",
    "taken": "target --json --mallopt mxfast=0 play 'alloc a 20000 64' 'free a'",
}
ONLY_TUNABLES = ("tcache_count", "tcache_max", "hugetlb")  # mallopt has none of that name
# The default of each: setting it changes nothing but that it is set.
FREEZING = {"mmap_threshold": 131072, "trim_threshold": 131072, "top_pad": 131072, "mmap_max": 65536}


def fate(run):
    """r or k for each block: returned or kept."""
    return "".join("r" if block.returned else "k" for block in run.blocks())


def both_ways(lab, name, value, words):
    """The same command line with a parameter set by mallopt and by the tunable; the two runs."""
    return (lab.run(f"target --json --mallopt {name}={value} {words}", shown=False),
            lab.run(f"GLIBC_TUNABLES=glibc.malloc.{name}={value} target --json {words}", shown=False))


def first_brk(run):
    return next(row["virt"] for row in run.calls("brk", rows=run.experiment()) if row["virt"] > 0)


def arenas(run):
    """How many heaps of thread arenas were reserved: each is 64 MiB in one mapping, or twice that with the rest cut off. One that
    does not lie at a multiple of 64 MiB, as two threads had the same place in mind, is given back at once."""
    return len([row for row in run.calls("mmap") if row["args"]["prot"] == 0 and
                (row["args"]["len"] == 128 * MB or (row["args"]["len"] == 64 * MB and row["ret"] % (64 * MB) == 0))])


def freed_at(run, step):
    return -run.change(step, "virt")


def by_step(step):
    return lambda run: freed_at(run, step) // KB


def parameters(cpus):
    """name, value, command line, what is looked at in words, and the function that reads it from the rows. The value has
    to change what the function reads."""
    small, thousand = "play 'alloc a 40000 64' 'free a'", "play 'alloc a 1000 1000' 'free a'"
    threads = f"--threads {8 * cpus + 6} --sizes 1k --touch none"
    return (
        ("mmap_threshold", 1048576, "--sizes 500k", "calls of mmap for a block of 500 KiB",
         lambda run: len([row for row in run.calls("mmap", rows=run.experiment()) if row["virt"] >= 500 * KB])),
        ("trim_threshold", 16777216, "play 'alloc a 40 100k' 'free a'", "kB given back at the free of 40 blocks of 100 KiB",
         by_step("free a")),
        ("top_pad", 1048576, "--sizes 20k", "kB of the first brk", lambda run: first_brk(run) // KB),
        ("mmap_max", 0, "--sizes 2M", "calls of mmap for a block of 2 MiB",
         lambda run: len([row for row in run.calls("mmap", rows=run.experiment()) if row["virt"] >= 2 * MB])),
        ("mxfast", 0, small, "kB given back at the free of 40,000 blocks of 64 bytes", by_step("free a")),
        ("tcache_count", 2000, thousand, "kB given back at the free of 1,000 blocks of 1,000 bytes", by_step("free a")),
        ("tcache_max", 100, thousand, "kB given back at the free of 1,000 blocks of 1,000 bytes", by_step("free a")),
        ("perturb", 1, "--sizes 2M --touch none", "kB resident after malloc(2 MiB), before anything is written",
         lambda run: run.blocks()[0].change("before", "alloc", "rss") // KB),
        ("arena_max", 1, "play thread 'alloc a 10 1k'", "heaps reserved for a second thread", arenas),
        ("hugetlb", 1, "--sizes 20M --touch none", "calls of madvise(MADV_HUGEPAGE) for a block of 20 MiB",
         lambda run: len([row for row in run.calls("madvise", rows=run.experiment()) if row["args"]["advice"] == 14])),
        ("arena_test", 1000, threads, f"heaps reserved for {8 * cpus + 5} further threads on {cpus} CPUs", arenas),
    )


def each_parameter(lab):
    """The table of what each did, and the names of those that did nothing."""
    rows, silent = [], []
    cpus = len(os.sched_getaffinity(0))
    for name, value, words, what, read in parameters(cpus):
        if name == "arena_test" and cpus > 16:
            lab.skip("arena_test", f"{8 * cpus} threads are too many for a test")
            continue
        if name == "hugetlb" and setting() != "madvise":
            lab.skip("hugetlb", f"transparent huge pages are {setting()} here, and glibc asks for none then")
            continue
        default = read(lab.run(f"target --json {words}", shown=False))
        ways = [lab.run(f"GLIBC_TUNABLES=glibc.malloc.{name}={value} target --json {words}", shown=False)]
        if name not in ONLY_TUNABLES:
            ways.insert(0, lab.run(f"target --json --mallopt {name}={value} {words}", shown=False))
        seen = [read(run) for run in ways]
        rows.append((f"{name}={value}", what, f"{default:,}", f"{seen[0]:,}" if len(seen) == 2 else "(no such parameter)", f"{seen[-1]:,}"))
        if default in seen or len(set(seen)) != 1:
            silent.append(f"{name}: {default} without, {seen} with")
    return rows, silent


def findings(lab):
    plain = fate(lab.runs["plain"])
    rows, silent = each_parameter(lab)
    lab.finding(
        f"Both work: of {len(rows)} parameters each one changes what the kernel sees, and mallopt and the tunable of the same "
        "name change it alike.", not silent and len(rows) >= 8, *silent)
    froze, wrong = [], []
    for name, value in FREEZING.items():
        for run in both_ways(lab, name, value, ORDER.partition("--json ")[2]):
            (froze if fate(run) == "rrr" else wrong).append(run.command)
    lab.finding(
        "Setting any one of mmap_threshold, trim_threshold, top_pad and mmap_max, even to the value that it has, freezes all "
        "thresholds: the free of 4 MiB then raises nothing, and the 2 MiB and 200 KiB after it, which are kept otherwise, are "
        "returned.", plain == "rkk" and not wrong and len(froze) == 8, plain, *wrong)
    misspelled = lab.runs["misspelled"]
    lab.finding(
        "A tunable that glibc does not know is ignored without a word, and \"no difference\" is what that looks like: a "
        "misspelled name leaves 2 MiB kept as before. glibc before 2.26 knows none at all.",
        fate(misspelled) == plain and misspelled.err.count("unable") == 0, fate(misspelled), misspelled.err)
    lab.finding(
        "The older environment variable MALLOC_MMAP_THRESHOLD_, which such a glibc does know, works still: 2 MiB is returned.",
        fate(lab.runs["older name"]) == "rrr", fate(lab.runs["older name"]))
    refused, taken = lab.runs["refused"], lab.runs["taken"]
    returned = [run.marks[0]["name"] for run in (refused, taken)]
    lab.finding(
        f"mallopt returns 1 for success and 0 where it refuses a value, which then changes nothing: mxfast of 1 KiB, above the "
        f"160 bytes that are allowed, is refused, and {kb(freed_at(refused, 'free a'))} kB come back as without; mxfast of 0 is "
        f"taken, and {kb(freed_at(taken, 'free a'))} kB do.",
        returned == ["mallopt(mxfast, 1024) = 0", "mallopt(mxfast, 0) = 1"] and freed_at(refused, "free a") == 0
        and freed_at(taken, "free a") > MB, *returned)
    lab.table("What the kernel saw, without the parameter, with mallopt, and with the tunable",
              ("parameter", "looked at", "without", "mallopt", "GLIBC_TUNABLES"), rows)
    lab.note("To be safe, set mmap_threshold and trim_threshold as a pair: one alone freezes the other where it happens to be. "
             "check_action, the last of mallopt's names, has had no effect since glibc 2.26; of the tunables check needs another "
             "library, and tcache_unsorted_limit shortens searches without changing what is asked of the kernel. The mallopt of older versions, 2.17 "
             "among them, also refuses an mmap_threshold above 32 MiB (half of HEAP_MAX_SIZE, says its source); this one does not.")
