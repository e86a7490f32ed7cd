# SPDX-License-Identifier: GPL-2.0-only
"""mmap and munmap for each block, an operator new and delete over them, and the slab allocator."""

from evidence import blocks_table
from observed import kb

TITLE = "Does an operator new of mmap and delete of munmap solve it?"
QUESTION = ("Overload operator new and delete with mmap and munmap, and each block goes back when it is freed. What does it "
            "cost, and is there something between that and malloc?")
POST = "This is where it ended: with operator new and delete overloaded, every size is returned at once."
SIZES = "--sizes 2k,20k,200k,2M,20M"
RUNS = {
    "mmap": f"target --json --alloc mmap --order descending {SIZES}",
    "operator": f"target --json --alloc operator --order descending {SIZES}",
    "slab": f"HEAPTRACE_SLAB_KEEP=0 target --json --alloc slab --order descending {SIZES}",
    "many malloc": "target --json play 'alloc a 5000 100' 'free a but 5000'",
    "many operator": "target --json --alloc operator play 'alloc a 5000 100' 'free a but 5000'",
    "many slab": "target --json --alloc slab play 'alloc a 5000 100' 'free a but 5000'",
    "python on slab": "preload:slab python3 -c 'x = [str(i) * 9 for i in range(50000)]; del x'",
}


def exact(run):
    return [block.size for block in run.blocks() if block.change("before", "free", "virt") or
            block.change("before", "free", "rss")]


def many(lab, name):
    """For 5,000 blocks of 100 bytes: RSS while they live, memory calls, RSS given back when all but the last are freed."""
    run = lab.runs[f"many {name}"]
    alloc, free = "alloc a 5000 100", "free a but 5000"
    calls = len(run.calls(rows=run.step(alloc) + run.step(free)))
    return run.change(alloc, "rss"), calls, -run.change(free, "rss")


def findings(lab):
    wrong = {name: exact(lab.runs[name]) for name in ("mmap", "operator", "slab")}
    lab.finding(
        "Yes, to the byte: with mmap and munmap, with an operator new and delete over them, and with the slab allocator, VIRT "
        "and RSS after each free are what they were before the block, from 2 KiB to 20 MiB and in an order in which malloc "
        "keeps four of five.", not any(wrong.values()), wrong)
    rows = {name: many(lab, name) for name in ("malloc", "operator", "slab")}
    lab.finding(
        f"It costs a page and two system calls for each block: 5,000 blocks of 100 bytes take {kb(rows['operator'][0])} kB and "
        f"{rows['operator'][1]:,} calls, against {kb(rows['malloc'][0])} kB and {rows['malloc'][1]:,} calls with malloc.",
        rows["operator"][0] > 20 * rows["malloc"][0] and rows["operator"][1] >= 9999 and rows["malloc"][1] < 100, rows)
    lab.finding(
        f"A slab allocator that gives back whole empty pages needs {kb(rows['slab'][0])} kB and {rows['slab'][1]:,} calls for "
        f"them, and when all but the last are freed returns {kb(rows['slab'][2])} kB, where malloc, whose top is pinned by "
        f"that last block, returns {kb(rows['malloc'][2])} kB.",
        rows["slab"][0] < 2 * rows["malloc"][0] and rows["slab"][1] < 500 and rows["slab"][2] > rows["slab"][0] * 0.8
        and rows["malloc"][2] == 0, rows)
    python = lab.runs["python on slab"]
    grown = [row for row in python.books.rows if row["cause"] == "syscall" and row["name"] == "brk" and row["virt"] > 0 and
             row["comm"].startswith("python")]
    lab.finding("No program has to be changed for it: python3 runs on the slab allocator by LD_PRELOAD, and never moves brk.",
                not grown and python.status == 0, *grown[:3])
    blocks_table(lab, "operator new and delete over mmap and munmap", lab.runs["operator"].blocks(),
                 ["a mapping of its own"] * 5)
    lab.plot(lab.runs["slab"], "The slab allocator: VIRT and RSS after each free are what they were before the block")
    lab.table("5,000 blocks of 100 bytes, then all but the last freed",
              ("allocator", "RSS grew by (kB)", "memory calls", "RSS given back (kB)"),
              [(name, kb(row[0]), f"{row[1]:,}", kb(row[2])) for name, row in rows.items()])
