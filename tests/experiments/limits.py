# SPDX-License-Identifier: GPL-2.0-only
"""RLIMIT_AS and memory cgroups: which of VIRT and RSS is limited."""

import harness
from observed import MB, kb

TITLE = "What do memory limits limit?"
QUESTION = ("RLIMIT_AS (ulimit -v) and the memory limit of a control group (as of a container): which of the two numbers does "
            "each of them limit, and what does a program see?")
POST = ""
JEMALLOC = "preload:jemalloc prlimit --as=500000000 target --json --order given --sizes 150M,300M --touch 0.01"
RUNS = {
    "address": "prlimit --as=1000000000 target --json --order given --sizes 2G,2M",
    "retained": JEMALLOC,
    "not retained": "MALLOC_CONF=retain:false " + JEMALLOC,
    "thread": "prlimit --as=70000000 target --json play thread 'alloc a 10 10k'",
}


def group_of(limit):
    """A memory control group with a limit, or None and why not."""
    try:
        from test_foreign import MemoryGroup  # pylint: disable=import-outside-toplevel
        group = MemoryGroup()
    except OSError as err:
        return None, f"no memory cgroup can be made here: {err}"
    group.limit(limit)
    return group, None


def killed(lab):
    group, why = group_of("32M")
    if not group:
        lab.skip("memory cgroup", why)
        return
    with group:
        command = "target --json play 'alloc a 1 64M'"
        run = lab.run(f"sh -c \"echo 0 >{group.path}/cgroup.procs; exec {harness.TARGET} {command.partition(' ')[2]}\"",
                      status=137, shown=False)
        lab.shown.append(f"(in a memory cgroup of 32 MiB) {command}")
        grown = [row for row in run.rows if row["name"] == "mmap" and row["virt"] >= 64 * MB]
        closing = run.books.ledgers[run.mm]["closing"]
        lab.finding(
            f"A memory cgroup limits RSS (and page cache), not VIRT: with 32 MiB, malloc of 64 MiB succeeds (mmap, VIRT "
            f"+{kb(grown[0]['virt']) if grown else '?'} kB), and the process is killed while it writes to it, at an RSS of "
            f"{kb(closing['rss'])} kB.", grown and 24 * MB < closing["rss"] < 40 * MB, closing)


def findings(lab):
    address = lab.run(RUNS["address"], status=1)
    block = address.blocks()[0]
    failed = [row for row in block.rows["alloc"] if row["cause"] == "syscall" and row["error"] == "ENOMEM"]
    asked = [row for row in block.rows["alloc"] if row["cause"] == "syscall" and row["name"] == "brk" and row["virt"] == 0]
    lab.finding(
        f"RLIMIT_AS limits VIRT, before anything is touched: malloc(2 GiB) under 1 GB tries mmap {len(failed)} times "
        f"({', '.join(kb(row['args']['len']) + ' kB' for row in failed)}), each ENOMEM, and brk between them; then it returns NULL "
        "at an RSS of some MB.", len(failed) == 2 and {row["name"] for row in failed} == {"mmap"} and asked
        and block.levels["alloc"]["rss"] < 16 * MB, *failed)
    retained = lab.run(RUNS["retained"], status=1)
    blocks = retained.blocks()
    free = [block for block in lab.runs["not retained"].blocks() if block.freed]
    lab.finding(
        f"So addresses that an allocator retains count: under 500 MB jemalloc fails to allocate 300 MiB after 150 MiB were freed, "
        f"at an RSS of {kb(blocks[1].levels['alloc']['rss'])} kB; with retain:false it succeeds.",
        not blocks[1].freed and blocks[1].levels["alloc"]["rss"] < 64 * MB and len(free) == 2,
        [block.levels.keys() for block in blocks], len(free))
    thread = lab.runs["thread"]
    tried = [row for row in thread.calls("mmap", rows=thread.step("alloc a 10 10k"), error="ENOMEM")]
    mapped = [row for row in thread.calls("mmap", rows=thread.step("alloc a 10 10k")) if row["virt"] < MB]
    lab.finding(
        f"Where the 64 MiB of a thread's heap do not fit, each malloc tries again: 10 blocks of 10 KiB make {len(tried)} failed "
        f"calls of mmap, and each becomes a mapping of its own ({len(mapped)}).",
        len(tried) >= 10 and len(mapped) >= 10 and {row["args"]["len"] for row in tried} <= {64 * MB, 128 * MB}, *tried[:2])
    killed(lab)
    lab.table("malloc(2 GiB) under RLIMIT_AS of 1 GB", ("call", "size (kB)", "result"),
              [(row["name"], kb(row["args"]["len"]) if row["name"] == "mmap" else "", row["error"] or "no more, 0 kB")
               for row in block.rows["alloc"] if row["cause"] == "syscall" and row["virt"] == 0 and row["name"] in ("mmap", "brk")])
