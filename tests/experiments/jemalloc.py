# SPDX-License-Identifier: GPL-2.0-only
"""jemalloc: retained addresses, decay, and what of its options is taken."""

from evidence import blocks_table, gave_back
from observed import MB, PAGE, kb

TITLE = "Why does VIRT stay with jemalloc, whatever is set?"
QUESTION = ("With jemalloc preloaded, RSS comes back for large blocks and VIRT never does. Neither oversize_threshold nor other "
            "settings in MALLOC_CONF change that. Which one does?")
POST = "jemalloc with oversize_threshold set in MALLOC_CONF was tried, and VIRT stayed."
SIZES = "target --json --order given --sizes 2M,20M"
ROUND = "target --json play 'alloc a 100 100k' 'free a' 'sleep 300' 'alloc b 1 100k'"
RUNS = {
    "default": "preload:jemalloc " + SIZES,
    "oversize": "MALLOC_CONF=oversize_threshold:1048576 preload:jemalloc " + SIZES,
    "no retain": "MALLOC_CONF=retain:false preload:jemalloc " + SIZES,
    "at once": "MALLOC_CONF=dirty_decay_ms:0,muzzy_decay_ms:0 preload:jemalloc " + SIZES,
    "at once, no retain": "MALLOC_CONF=retain:false,dirty_decay_ms:0,muzzy_decay_ms:0 preload:jemalloc " + SIZES,
    "wrong": "MALLOC_CONF=oversize_treshold:1048576 preload:jemalloc " + SIZES,
    "idle": "MALLOC_CONF=dirty_decay_ms:50,muzzy_decay_ms:0 preload:jemalloc target --json play 'alloc a 100 100k' 'free a' "
            "'sleep 500'",
    "background": "MALLOC_CONF=background_thread:true,dirty_decay_ms:50,muzzy_decay_ms:0 preload:jemalloc target --json play "
                  "'alloc a 100 100k' 'free a' 'await 5M 60'",
}


def back(run):
    """What each block's free gave back: (VIRT, RSS)."""
    return [(block.virt_back, block.rss_back) for block in run.blocks()]


def alike(run, other):
    """Whether each free gave back the same, but for a page: jemalloc lets chance decide where in a page a block begins."""
    return all(abs(one - another) <= PAGE for ours, theirs in zip(back(run), back(other)) for one, another in zip(ours, theirs))


def what(run):
    return "; ".join(gave_back(block) for block in run.blocks())


def findings(lab):
    default = lab.runs["default"]
    two, twenty = default.blocks()
    drop = twenty.calls("free", "madvise")
    lab.finding(
        "retain:false does. By default jemalloc never unmaps: it drops the pages of a block of more than 7 MiB (rounded up to the 8 "
        f"MiB of oversize_threshold) by madvise(MADV_DONTNEED), so RSS falls by {kb(twenty.rss_back)} kB at the free of 20 MiB, and retains the addresses, so "
        f"VIRT falls by {kb(twenty.virt_back)} kB. With retain:false the same free is a munmap of "
        f"{kb(back(lab.runs['no retain'])[1][0])} kB.",
        drop and twenty.rss_back >= 20 * MB and twenty.virt_back == 0 and back(lab.runs["no retain"])[1][0] >= 20 * MB
        and lab.runs["no retain"].blocks()[1].calls("free", "munmap"), what(default), what(lab.runs["no retain"]))
    lab.finding(
        f"Below that nothing comes back at the free: the pages of 2 MiB stay as dirty ones for up to 10 s (VIRT "
        f"{kb(two.virt_back)}, RSS {kb(two.rss_back)} kB, no call).",
        two.virt_back == 0 and two.rss_back == 0 and not two.calls("free"), two.calls("free"))
    oversize = back(lab.runs["oversize"])
    lab.finding(
        "oversize_threshold does work, on RSS: set to 1 MiB, the free of 2 MiB drops its pages at once "
        f"({kb(oversize[0][1])} kB). VIRT it cannot lower, since it decides when pages are dropped, not whether addresses are kept.",
        oversize[0][1] >= 2 * MB and oversize[0][0] == 0 and oversize[1][0] == 0, oversize)
    once, gone = back(lab.runs["at once"]), back(lab.runs["at once, no retain"])
    lab.finding(
        "dirty_decay_ms:0 with muzzy_decay_ms:0 gives the pages of every size back at once, still without their addresses; with "
        "retain:false beside it VIRT and RSS both return for each size.",
        all(rss >= size and virt == 0 for (virt, rss), size in zip(once, (2 * MB, 20 * MB)))
        and all(rss >= size and virt >= size for (virt, rss), size in zip(gone, (2 * MB, 20 * MB))), once, gone)
    wrong = lab.runs["wrong"]
    lab.finding(
        "An option that it does not know is refused with a line on standard error, and the rest runs as by default: a setting "
        "without effect may be one that this version never had.",
        "Invalid conf pair" in wrong.err and alike(wrong, default), wrong.err, what(wrong), what(default))
    idle, background = lab.runs["idle"], lab.runs["background"]
    asleep = [row for row in idle.step("sleep 500") if row["rss"]]
    lab.finding(
        f"Decay needs somebody to tick it: a process that has freed 10 MB and then does nothing for ten times the decay time gets "
        f"{kb(-idle.change('sleep 500', 'rss'))} kB back, in {len(asleep)} rows.", not asleep, *asleep[:3])
    rows = [row for row in background.step("await 5M 60") if row["rss"] < 0]
    lab.finding(
        "With background_thread:true it comes back by itself, and the rows name who gave it: another thread of the process, by "
        "madvise.", -background.change("await 5M 60", "rss") >= 5 * MB and all(row["tid"] != row["pid"] for row in rows)
        and {row["name"] for row in rows} == {"madvise"}, *rows[:3])
    lab.table("What the free of 2 MiB and of 20 MiB gave back (kB)", ("MALLOC_CONF", "2 MiB", "20 MiB"),
              [(run.command.partition(" preload")[0].replace("MALLOC_CONF=", "") if "CONF" in run.command else "(default)",
                *map(gave_back, run.blocks())) for run in (default, lab.runs["oversize"], lab.runs["at once"], lab.runs["no retain"],
                                                    lab.runs["at once, no retain"])])
    lab.quote("MALLOC_CONF=oversize_treshold:1048576 prints", wrong.err.strip().splitlines()[:2])
    blocks_table(lab, "jemalloc's defaults", default.blocks(), ["kept as dirty pages", "pages dropped, addresses retained"])
    lab.plot(default, "jemalloc's defaults: RSS of the 20 MiB comes back, VIRT does not")
