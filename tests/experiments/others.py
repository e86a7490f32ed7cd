# SPDX-License-Identifier: GPL-2.0-only
"""tcmalloc, mimalloc and musl's malloc."""

import os

from observed import KB, MB, kb, size_text

TITLE = "And with tcmalloc, mimalloc or musl?"
QUESTION = "The same blocks on three other allocators: which of them gives what back, and by which call?"
POST = ""
SIZES = "target --json --order given --sizes 2k,20k,200k,2M,20M"
RUNS = {
    "tcmalloc": "preload:tcmalloc " + SIZES,
    "tcmalloc, releasing": "TCMALLOC_AGGRESSIVE_DECOMMIT=t preload:tcmalloc " + SIZES,
    "mimalloc": "MIMALLOC_DECOMMIT_DELAY=1000000 preload:mimalloc " + SIZES,
    "mimalloc, at once": "MIMALLOC_DECOMMIT_DELAY=0 preload:mimalloc " + SIZES,
    "musl": "target-musl --json --order given --sizes 2k,20k,200k,2M,20M",
    "musl, many": "target-musl --json play 'alloc a 20000 100' 'free a but 36' 'free a'",
}


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
        f"With a delay of 0 the free of 2 MiB drops {kb(once[3].rss_back)} kB by {', '.join(names(once[3], 'free'))} and keeps "
        "the addresses.", once[3].rss_back >= MB and once[3].virt_back == 0 and names(once[3], "free") == ["madvise"],
        [(block.size, block.rss_back, names(block, "free")) for block in once])
    return blocks


def musl(lab):
    if not os.path.exists(lab.arguments("target-musl")[0]):
        lab.skip("musl", "musl-gcc is not installed, so the target was not built with it")
        return None
    blocks = lab.runs["musl"].blocks()
    lab.finding(
        "musl returns every one of them, 2 KiB too, by munmap: a size class's first block has a mapping to itself.",
        all(block.virt_back > 0 and block.rss_back > 0 and names(block, "free") == ["munmap"] for block in blocks),
        [(block.size, block.rss_back, names(block, "free")) for block in blocks])
    many = lab.runs["musl, many"]
    lab.finding(
        f"Many small blocks share groups, and a group goes only as a whole: with one block in 36 alive "
        f"{kb(-many.change('free a but 36', 'rss'))} kB of {kb(many.change('alloc a 20000 100', 'rss'))} come back; when all are "
        f"freed, {kb(-many.change('free a', 'rss'))} kB.",
        -many.change("free a but 36", "rss") < 64 * KB and -many.change("free a", "rss") > MB)
    return blocks


def findings(lab):
    columns = {"tcmalloc": tcmalloc(lab), "mimalloc": mimalloc(lab), "musl": musl(lab)}
    columns = {name: blocks for name, blocks in columns.items() if blocks}
    lab.table("What each free gave back (kB)", ("block", *columns), [
        (size_text(size), *(f"VIRT {kb(blocks[i].virt_back)}, RSS {kb(blocks[i].rss_back)}" for blocks in columns.values()))
        for i, size in enumerate((2 * KB, 20 * KB, 200 * KB, 2 * MB, 20 * MB))])
