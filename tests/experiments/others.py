# SPDX-License-Identifier: GPL-2.0-only
"""tcmalloc, mimalloc and musl's malloc."""

import os

from cutoffs import Cutoffs
from evidence import gave_back
from observed import KB, MB, kb, size_text

TITLE = "And with tcmalloc, mimalloc or musl?"
QUESTION = "The same blocks on three other allocators: which of them gives what back, and by which call?"
POST = ""
SIZES = (2 * KB, 20 * KB, 200 * KB, 2 * MB, 20 * MB)
WORDS = "--json --order given --sizes 2k,20k,200k,2M,20M"
RUNS = {
    "tcmalloc": "preload:tcmalloc target " + WORDS,
    "tcmalloc, releasing": "TCMALLOC_AGGRESSIVE_DECOMMIT=t preload:tcmalloc target " + WORDS,
    "mimalloc": "MIMALLOC_DECOMMIT_DELAY=1000000 preload:mimalloc target " + WORDS,
    "mimalloc, at once": "MIMALLOC_DECOMMIT_DELAY=0 preload:mimalloc target " + WORDS,
    "musl": "target-musl " + WORDS,
    "musl, many": "target-musl --json play 'alloc a 20000 100' 'free a but 36' 'free a'",
}
# Name in the table: the command.
CUTOFFS = {
    "glibc": "target cutoff",
    "jemalloc": "preload:jemalloc target cutoff",
    "tcmalloc": "preload:tcmalloc target cutoff",
    "mimalloc": "MIMALLOC_DECOMMIT_DELAY=1000000 preload:mimalloc target cutoff",  # or what was freed before comes back late
    "musl": "target-musl cutoff",
    **{name: f"target cutoff --alloc {name}" for name in ("mmap", "operator", "slab")},
}
SIZE_WORDS = {None: "no size", 1: "every size"}


def has_musl(lab):
    return os.path.exists(lab.arguments("target-musl")[0])


def names(block, step):
    return sorted({row["name"] for row in block.calls(step) if row["virt"] or row["rss"]})


def tcmalloc(lab):
    run = lab.runs["tcmalloc"]
    blocks = run.blocks()
    given = [block for block in blocks if block.rss_back or block.virt_back]
    lab.finding(
        f"tcmalloc takes all from brk, 20 MiB too, and gives nothing back at any of the five frees; the process ends "
        f"{kb(run.level('closing', 'rss') - run.level('opening', 'rss'))} kB larger than it began.",
        not given and blocks[4].source == "brk" and run.level("closing", "rss") - run.level("opening", "rss") >= 18 * MB,
        *[(block.size, block.rss_back) for block in given])
    releasing = lab.runs["tcmalloc, releasing"].blocks()
    lab.finding(
        f"TCMALLOC_AGGRESSIVE_DECOMMIT=t makes it release pages as it frees: the free of 20 MiB drops "
        f"{kb(releasing[4].rss_back)} kB by {', '.join(names(releasing[4], 'free')) or 'nothing'}; VIRT stays.",
        releasing[4].rss_back >= 18 * MB and releasing[4].virt_back == 0 and names(releasing[4], "free") == ["madvise"],
        releasing[4].rss_back, names(releasing[4], "free"))
    return blocks


def mimalloc(lab):
    run = lab.runs["mimalloc"]
    blocks = run.blocks()
    lab.finding(
        f"mimalloc unmaps blocks too large for its segments of 32 MiB at once (20 MiB: VIRT {kb(blocks[4].virt_back)}, "
        f"RSS {kb(blocks[4].rss_back)} kB, by {', '.join(names(blocks[4], 'free'))}) and keeps smaller ones in their segment "
        "until a delay has passed.",
        names(blocks[4], "free") == ["munmap"] and blocks[4].virt_back >= 20 * MB
        and not any(block.rss_back for block in blocks[:4]), [(block.size, block.rss_back) for block in blocks])
    once = lab.runs["mimalloc, at once"].blocks()
    lab.finding(
        f"With a delay of 0 its free of 2 MiB drops {kb(once[3].rss_back)} kB by {', '.join(names(once[3], 'free'))} and keeps "
        "the addresses.", once[3].rss_back >= MB and once[3].virt_back == 0 and names(once[3], "free") == ["madvise"],
        [(block.size, block.rss_back, names(block, "free")) for block in once])
    return blocks


def musl(lab):
    if not has_musl(lab):
        lab.skip("musl", "musl-gcc is not installed, so the target was not built with it")
        return None
    blocks = lab.runs["musl"].blocks()
    lab.finding(
        "musl returns every one of them, 2 KiB too, by munmap: a size class's first block has a mapping to itself.",
        all(block.virt_back > 0 and block.rss_back > 0 and names(block, "free") == ["munmap"] for block in blocks),
        [(block.size, block.rss_back, names(block, "free")) for block in blocks])
    many = lab.runs["musl, many"]
    lab.finding(
        f"In musl many small blocks share a group, and a group goes only as a whole: with one block in 36 alive "
        f"{kb(-many.change('free a but 36', 'rss'))} kB of {kb(many.change('alloc a 20000 100', 'rss'))} come back; when all are "
        f"freed, {kb(-many.change('free a', 'rss'))} kB.",
        -many.change("free a but 36", "rss") < 64 * KB and -many.change("free a", "rss") > MB)
    return blocks


def cutoffs(lab):
    """What `target cutoff` finds for each allocator: the size from which free gives memory back, fresh and after a large free."""
    large, most = (8 * MB, "32M") if lab.short else (20 * MB, "64M")
    found = {name: Cutoffs(lab.run(f"{command} --large {large // MB}M --max {most} --json", name))
             for name, command in CUTOFFS.items() if name != "musl" or has_musl(lab)}
    glibc = found["glibc"]
    lab.finding(
        f"Only with glibc's malloc does a large free decide over later ones: its cut-off moves from {glibc.fresh.cutoff:,} to "
        f"{glibc.after.cutoff:,} bytes when {large // MB} MiB were freed before; that of each other allocator stays where it is.",
        glibc.fresh.cutoff < 140000 < large < glibc.after.cutoff
        and all(one.fresh.cutoff == one.after.cutoff for name, one in found.items() if name != "glibc"),
        *[(name, one.fresh.cutoff, one.after.cutoff) for name, one in found.items()])
    problems = [problem for one in found.values() for problem in one.problems]
    lab.finding(
        f"Each cut-off is exact: of {sum(one.count for one in found.values())} processes that freed one block, the rows between "
        "its marks show RSS fall from that size on, and not with one byte less; `target cutoff`, by what it reads from /proc, "
        "says the same.", not problems, *problems)
    lab.table("From which size on free gives memory back at once (`target cutoff`)",
              ("allocator", "fresh", f"after a free of {large // MB} MiB", "how"),
              [(name, *(SIZE_WORDS.get(size) or f"{size:,} bytes" for size in (one.fresh.cutoff, one.after.cutoff)), one.fresh.way)
               for name, one in found.items()])
    lab.note("What fits into a page stays with slab, as the one empty page that it keeps for the next block (HEAPTRACE_SLAB_KEEP).")


def findings(lab):
    columns = {"tcmalloc": tcmalloc(lab), "mimalloc": mimalloc(lab), "musl": musl(lab)}
    cutoffs(lab)
    columns = {name: blocks for name, blocks in columns.items() if blocks}
    lab.table("What each free gave back (kB)", ("block", *columns), [
        (size_text(size), *(gave_back(blocks[i]) for blocks in columns.values())) for i, size in enumerate(SIZES)])
