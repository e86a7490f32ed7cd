# SPDX-License-Identifier: GPL-2.0-only
"""--keep: a few blocks that live on, among many that do not."""

from observed import KB, MB, kb

TITLE = "A few small blocks live on. What do they hold?"
QUESTION = ("Blocks of 20 MiB and of 100 KiB are allocated in turns, and freed, but for every second one, which lives on. How "
            "much more than what lives does the process hold, and where?")
POST = ""
WORDS = "target --json --order given --sizes 20M,100k --rounds 4 --keep 2"
RUNS = {
    "kept": WORDS,
    "trimmed": WORDS + " --trim",
    "pinned pair": WORDS + " --mallopt mmap_threshold=128k --mallopt trim_threshold=128k",
    "holes": "target --json play 'alloc a 50 100k' 'free a but 2' 'alloc b 25 100k' 'free b' 'alloc c 20 120k'",
}
LIVE = 4 * 100 * KB


def overhead(run):
    return run.level("closing", "rss") - run.level("opening", "rss") - LIVE


def findings(lab):
    kept = lab.runs["kept"]
    blocks = kept.blocks()
    large = [block for block in blocks if block.size == 20 * MB]
    lab.finding(
        f"{kb(LIVE)} kB live at the end, and {kb(overhead(kept))} kB more are held: the 20 MiB block comes from the heap from its "
        f"second time on ({', '.join(block.source or 'no call' for block in large)}), and when it is freed its memory is the top, "
        "below a trim_threshold of 40 MiB.",
        overhead(kept) >= 20 * MB - LIVE and large[0].returned and not any(block.returned for block in large[1:])
        and large[1].source == "brk", overhead(kept), [block.source for block in large])
    trimmed = lab.runs["trimmed"]
    lab.finding(f"malloc_trim after each free leaves {kb(overhead(trimmed))} kB beside what lives.",
                overhead(trimmed) < 256 * KB, overhead(trimmed))
    pair = lab.runs["pinned pair"]
    lab.finding(f"So does the pair of thresholds, set once and for all: {kb(overhead(pair))} kB.",
                overhead(pair) < 256 * KB, overhead(pair))
    holes = lab.runs["holes"]
    again = holes.calls("brk", rows=holes.step("alloc b 25 100k"))
    larger = [row for row in holes.calls("brk", "mmap", rows=holes.step("alloc c 20 120k")) if row["virt"] > 0]
    lab.finding(
        f"Holes between living blocks are not lost to the program: 25 new blocks of 100 KiB take the places of 25 freed ones with "
        f"{len(again)} calls of brk. They are lost to larger ones: 20 blocks of 120 KiB, no more bytes than are free, need "
        f"{kb(sum(row['virt'] for row in larger))} kB of new addresses.",
        not again and sum(row["virt"] for row in larger) >= 20 * 120 * KB - 512 * KB, again[:2], larger[:2])
    lab.table("Held beside what lives (kB)", ("run", "living", "held beside it"),
              [(name, kb(LIVE), kb(overhead(lab.runs[name]))) for name in ("kept", "trimmed", "pinned pair")])
    lab.plot(kept, "Every second block lives on: the steps of 100 KiB are small, the freed 20 MiB stay")
