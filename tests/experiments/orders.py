# SPDX-License-Identifier: GPL-2.0-only
"""The post's experiment: seven sizes in three orders, and 200 shuffles."""

import harness
from evidence import GlibcStory, blocks_table
from observed import KB, MB, size_text

TITLE = "Which sizes are not given back, and after which free?"
QUESTION = ("Blocks of 2 KiB to 2 GiB are allocated, written to and freed, one after the other, in an order left to chance. "
            "Is there a size up to which memory is not returned?")
POST = "Blocks of up to about 200 kB are not returned, larger ones are. It showed one order, that of a shuffle."
RUNS = {
    "descending": "target --json --order descending",
    "ascending": "target --json --order ascending",
}
# Without the two sizes that take long to write to; 40 MiB stands for what is above 32 MiB.
SHORT = " --sizes 2k,20k,200k,2M,20M,40M"
SMALL, MIDDLE, LARGE = 200 * KB, 2 * MB, 20 * MB


def kept_sizes(blocks):
    return sorted(block.size for block in blocks if not block.returned)


def sizes_text(sizes):
    return ", ".join(size_text(size) for size in sizes)


def one_order(lab, name):
    run = lab.run(RUNS[name] + (SHORT if lab.short else ""), name)
    blocks = run.blocks()
    story = GlibcStory(run, blocks)
    return run, blocks, story


def shuffles(lab, count):
    """Each seed's blocks compared with the rule: how often each size was kept, and after which free. Only a thousandth of
    each block is written to, which is quick; what is given back, and by which call, is the same."""
    wrong, after = [], {}
    for seed in range(lab.seed, lab.seed + count):
        run = lab.run(f"target --json --seed {seed} --touch 0.001", f"seed {seed}", shown=seed == lab.seed)
        story = GlibcStory(run, run.blocks(touch=0.001))
        wrong += story.wrong
        for size, raised in story.kept_after.items():
            times = after.setdefault(size, {})
            times[raised] = times.get(raised, 0) + 1
    return wrong, after


def findings(lab):
    down, down_blocks, down_story = one_order(lab, "descending")
    _, up_blocks, up_story = one_order(lab, "ascending")
    up, falling = kept_sizes(up_blocks), kept_sizes(down_blocks)
    lab.finding(
        "There is, but it moves: between 128 KiB and 32 MiB the same block is kept in one order and returned in another, because "
        "each free of a mapped block of up to 32 MiB raises the size from which malloc maps. Ascending keeps "
        f"{sizes_text(up)}; descending keeps {sizes_text(falling)}.",
        up == [2 * KB, 20 * KB] and falling == [2 * KB, 20 * KB, SMALL, MIDDLE], up, falling)
    wrong = down_story.wrong + up_story.wrong
    lab.finding(
        f"In descending order 2 MiB and 200 KiB come from `brk` and stay, because the `munmap` of 20 MiB before them has "
        f"raised mmap_threshold to {down_story.model.mmap:,} and trim_threshold to {down_story.model.trim:,}.",
        not wrong and down_story.kept_after[MIDDLE] == down_story.kept_after[SMALL] == LARGE, *wrong)
    silent = [block for block in down_blocks if not block.returned and block.calls("free")]
    lab.finding(
        "The free of a block that is kept makes no system call at all: nothing was asked of the kernel, so nothing was "
        "refused either.", not silent, *[block.calls("free") for block in silent])
    lab.finding(
        "What is above 32 MiB is always mapped and always returned, and 2 KiB and 20 KiB never are: the first are out of "
        "the threshold's reach, the second below it from the beginning.",
        all(block.returned for block in down_blocks + up_blocks if block.size > 32 * MB)
        and not any(block.returned for block in down_blocks + up_blocks if block.size < 128 * KB))
    count = 10 if lab.short else 200
    missed, after = shuffles(lab, count)
    middle, small = after.get(MIDDLE, {}), after.get(SMALL, {})
    lab.finding(
        f"In {count} of {count} shuffles the rule tells each block's fate, and which free decided it: 2 MiB is kept "
        f"{sum(middle.values())} times, whenever 20 MiB was freed before; 200 KiB {sum(small.values())} times, whenever 2 MiB "
        "or 20 MiB was.",
        not missed and set(middle) == {LARGE} and set(small) <= {MIDDLE, LARGE} and small and set(after) <=
        {2 * KB, 20 * KB, SMALL, MIDDLE}, *missed)
    lab.table(f"{count} shuffles, seeds {lab.seed} to {lab.seed + count - 1}: how often a size was kept, and which free had "
              "raised the threshold last",
              ("block", "kept", "nothing had", "200 KiB", "2 MiB", "20 MiB"),
              [(size_text(size), f"{sum(times.values())} of {count}",
                *(times.get(raised, 0) for raised in (None, SMALL, MIDDLE, LARGE))) for size, times in sorted(after.items())])
    if not lab.short:
        lab.quote("`./target cutoff` finds the boundary to the byte, in a fresh process and after a free of 20 MiB",
                  harness.run([harness.TARGET, "cutoff"], timeout=300).out.strip().splitlines())
    blocks_table(lab, "Descending order", down_blocks, down_story.whys)
    blocks_table(lab, "Ascending order", up_blocks, up_story.whys)
    lab.note("A shuffle that begins with 200 KiB returns it; one that has freed 20 MiB before keeps it. With one shuffle "
             "alone the boundary seems to lie wherever that shuffle has put it.")
    lab.plot(down, "Descending order, from 20 MiB on: after the block of 20 MiB nothing goes back",
             f"before {LARGE}", "closing")
