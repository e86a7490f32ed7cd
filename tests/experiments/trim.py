# SPDX-License-Identifier: GPL-2.0-only
"""What free leaves behind, and what malloc_trim(3) gives back of it: the top, and whole pages inside."""

from observed import KB, MB, kb

TITLE = "Does malloc_trim give back only the top of the heap?"
QUESTION = ("free gives back nothing but the end of the heap, and not always that. malloc_trim(0) is said to do the same "
            "and no more. Does it?")
POST = ""
RUNS = {
    "pinned": "target --json play 'alloc a 2000 10k' 'free a but 2000' trim",
    "inner": "target --json play 'alloc a 2000 10k' 'free a but 100' trim",
    "every page": "target --json play 'alloc a 200000 100' 'free a but 36' trim",
    "small": "target --json play 'alloc a 200000 64' 'free a' trim",
    "top": "target --json --order given --sizes 20M,2M --trim",
}


def step_text(run, step):
    calls = run.calls("brk", "madvise", "munmap", rows=run.step(step))
    brk = sum(row["rss"] for row in calls if row["name"] == "brk")
    dropped = [row for row in calls if row["name"] == "madvise"]
    return -brk, -sum(row["rss"] for row in dropped), len(dropped)


def findings(lab):
    inner = lab.runs["inner"]
    freed, kept = inner.step("free a but 100"), inner.change("free a but 100", "rss")
    top, inside, ranges = step_text(inner, "trim")
    lab.finding(
        f"No: besides the top it drops every whole free page inside the heap, in every arena. With one block in a hundred kept, "
        f"free returns {kb(-kept)} kB and malloc_trim {kb(top + inside)} kB, of which {kb(inside)} kB by {ranges} calls of "
        "madvise(MADV_DONTNEED); VIRT keeps those addresses.",
        kept == 0 and not inner.calls(rows=freed) and inside > 15 * MB and ranges >= 20
        and inner.change("trim", "virt") > -256 * KB, kept, top, inside, ranges)
    pinned = lab.runs["pinned"]
    _, inside, _ = step_text(pinned, "trim")
    lab.finding(
        f"One living block at the end pins everything below it: of 2,000 blocks of 10 KiB all but the last are freed, and free "
        f"returns {kb(-pinned.change('free a but 2000', 'rss'))} kB. malloc_trim returns {kb(inside)} kB past that block.",
        pinned.change("free a but 2000", "rss") == 0 and inside > 19 * MB, inside)
    pages = lab.runs["every page"]
    lab.finding(
        f"One living block in every page is beyond its help: 35 of 36 blocks of 100 bytes are freed, "
        f"{kb(-pages.change('free a but 36', 'rss'))} kB come back by free and {kb(-pages.change('trim', 'rss'))} kB by "
        f"malloc_trim, of {kb(pages.change('alloc a 200000 100', 'rss'))} kB.",
        pages.change("free a but 36", "rss") == 0 and -pages.change("trim", "rss") < MB
        and pages.change("alloc a 200000 100", "rss") > 20 * MB)
    small = lab.runs["small"]
    lab.finding(
        f"Small blocks stay even where all are freed and nothing is pinned: 200,000 blocks of 64 bytes lie in fast bins, which "
        f"free does not merge, so it returns {kb(-small.change('free a', 'rss'))} kB; malloc_trim merges them and returns "
        f"{kb(-small.change('trim', 'rss'))} kB.",
        small.change("free a", "rss") == 0 and small.change("trim", "rss") < -14 * MB)
    block = lab.runs["top"].blocks()[1]
    lab.finding(
        f"The 2 MiB that are kept after a free of 20 MiB are the top of the heap: malloc_trim lowers brk and returns "
        f"{kb(-block.change('free', 'trim', 'rss'))} kB.",
        block.rss_back == 0 and -block.change("free", "trim", "rss") >= 2 * MB - 8 * KB
        and any(row["name"] == "brk" and row["virt"] < 0 for row in block.rows["trim"]), block.rows.get("trim"))
    lab.table("What came back (kB)", ("blocks", "RSS grew by", "by free", "by malloc_trim: brk", "madvise", "ranges dropped"),
              [(run.command.partition("play ")[2], kb(run.change(steps[1], "rss")), kb(-run.change(steps[2], "rss")),
                kb(step_text(run, "trim")[0]), kb(step_text(run, "trim")[1]), step_text(run, "trim")[2])
               for run in (pinned, inner, pages, small) for steps in [[mark["name"] for mark in run.marks]]])
    lab.plot(inner, "One block in a hundred kept: free returns nothing, malloc_trim the pages between")
