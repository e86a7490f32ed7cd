# SPDX-License-Identifier: GPL-2.0-only
"""The same block again and again."""

from evidence import GlibcStory, blocks_table
from observed import MB, kb

TITLE = "The same 20 MiB, three times: why is it returned once and then kept?"
QUESTION = ("A program allocates 20 MiB, writes to it and frees it, three times over. The first time the memory goes back. "
            "Why not the second time?")
POST = ""
RUNS = {
    "three": "target --json --sizes 20M --rounds 3",
    "pinned": "target --json --sizes 20M --rounds 3 --touch 0.1 --mallopt mmap_threshold=128k --mallopt trim_threshold=128k",
    "above": "target --json --sizes 33M --rounds 3 --touch 0.1",
}


def findings(lab):
    run = lab.runs["three"]
    blocks = run.blocks()
    story = GlibcStory(run, blocks)
    first, second, third = blocks
    lab.finding(
        "The first free is what keeps the second block: the first 20 MiB come from `mmap` and go back by `munmap`, which "
        f"raises mmap_threshold to {story.model.mmap:,}; the second 20 MiB, a chunk of 20,971,536, are below it, come from "
        "`brk` and stay.",
        not story.wrong and first.source == "mmap" and first.returned and second.source == "brk" and not second.returned,
        *story.wrong)
    lab.finding(
        f"From then on the process keeps {kb(run.level('closing', 'rss') - run.level('opening', 'rss'))} kB more than at its "
        "beginning, with no system call at any later free; the third block uses what the second has left, with no call at all.",
        not second.calls("free") and not third.calls("free") and third.source is None
        and run.level("closing", "rss") - run.level("opening", "rss") >= 20 * MB, second.calls("free"), third.calls("free"))
    pinned = lab.runs["pinned"].blocks(touch=0.1)
    lab.finding(
        "With mmap_threshold and trim_threshold set, to their own defaults, all three blocks are mapped and returned.",
        all(block.source == "mmap" and block.returned for block in pinned), [block.source for block in pinned])
    above = lab.runs["above"].blocks(touch=0.1)
    lab.finding("Blocks of 33 MiB are returned every time, since a chunk above 32 MiB does not move the threshold.",
                all(block.source == "mmap" and block.returned for block in above), [block.source for block in above])
    blocks_table(lab, "Three times 20 MiB", blocks, story.whys)
    lab.plot(run, "Three times 20 MiB: only the first goes back")
