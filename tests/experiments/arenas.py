# SPDX-License-Identifier: GPL-2.0-only
"""The heaps of threads: reserved by mmap, grown by mprotect, shrunk by madvise."""

from observed import MB, kb

TITLE = "Why does one thread add 64 MiB to VIRT, and keep it?"
QUESTION = ("A second thread allocates 20 MB in small blocks and frees them. VIRT jumps by far more, and does not come back; RSS "
            "does. What is going on?")
POST = ""
RUNS = {
    "thread": "target --json play thread 'alloc a 20000 1000' 'free a' trim",
    "one arena": "target --json --mallopt arena_max=1 play thread 'alloc a 20000 1000' 'free a' trim",
}


def findings(lab):
    run = lab.runs["thread"]
    alloc, free = "alloc a 20000 1000", "free a"
    reserved = [row for row in run.calls("mmap", rows=run.step(alloc)) if row["args"]["prot"] == 0]
    cut = run.calls("munmap", rows=run.step(alloc))
    grown = [row for row in run.calls("mprotect", rows=run.step(alloc)) if row["args"]["prot"] == 3]
    lab.finding(
        f"glibc reserves {kb(64 * MB)} kB of addresses for the thread's first malloc (it maps {kb(sum(row['virt'] for row in reserved))} "
        f"kB without access and unmaps {kb(-sum(row['virt'] for row in cut))} kB of it to be aligned); that is all VIRT of "
        f"a thread's heap until it is full, however little is allocated.",
        run.change(alloc, "virt") == 64 * MB and len(reserved) >= 1, run.change(alloc, "virt"), *reserved[:3])
    lab.finding(
        f"The heap grows inside that by {len(grown):,} calls of mprotect, a page or two at a time, as top_pad is not for threads; "
        "none of them changes VIRT.",
        len(grown) > 4000 and not any(row["virt"] for row in grown), len(grown))
    dropped = [row for row in run.calls(rows=run.step(free)) if row["rss"] < 0]
    lab.finding(
        f"The free gives RSS back by madvise(MADV_DONTNEED), calls: {len(dropped):,}, "
        f"{kb(-sum(row['rss'] for row in dropped))} kB in all, and VIRT stays to the byte.",
        dropped and -sum(row["rss"] for row in dropped) > 19 * MB and run.change(free, "virt") == 0
        and {row["name"] for row in dropped} == {"madvise"}, *dropped[:3])
    kinds = {row["region"]["kind"] for row in dropped}
    lab.finding("heaptrace names that region: each of those rows is of kind arena.", kinds == {"arena"}, kinds)
    one = lab.runs["one arena"]
    moved = [row for row in one.calls("brk", rows=one.step(alloc)) if row["virt"] > 0]
    lab.finding(
        f"With arena_max=1 the thread shares the main heap: VIRT grows by {kb(one.change(alloc, 'virt'))} kB, by {len(moved)} "
        f"calls of brk, and comes back by {kb(-one.change(free, 'virt'))} kB.",
        moved and one.change(alloc, "virt") < 24 * MB and -one.change(free, "virt") > 19 * MB
        and not [row for row in one.calls("mprotect", rows=one.step(alloc))], one.change(alloc, "virt"))
    lab.plot(run, "A thread's 20 MB: VIRT is the reservation, RSS comes and goes")
