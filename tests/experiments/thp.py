# SPDX-License-Identifier: GPL-2.0-only
"""Transparent huge pages: one fault is 2 MiB."""

from observed import MB, PAGE, kb

TITLE = "What do huge pages do to RSS?"
QUESTION = ("With glibc.malloc.hugetlb=1 malloc asks for transparent huge pages (madvise MADV_HUGEPAGE). What does a fault bring "
            "then, and what is resident beyond what was written to?")
POST = ""
HUGE = "GLIBC_TUNABLES=glibc.malloc.hugetlb=1 "
RUNS = {
    "base": "target --json --sizes 20M --touch 0.3",
    "huge": HUGE + "target --json --sizes 20M --touch 0.3",
    "zeroes left": HUGE + "prog:leftover 0",
    "ones left": HUGE + "prog:leftover 1",
}
SETTING = "/sys/kernel/mm/transparent_hugepage/enabled"


def setting():
    """What the machine allows; None where the kernel has no huge pages."""
    try:
        with open(SETTING, encoding="ascii") as file:
            return file.read().split("[")[1].split("]")[0]
    except OSError:
        return None


def faults(block):
    return [row for row in block.rows["touch"] if row["cause"] == "fault"]


def chance(lab):
    """The same program with other bytes left on its stack. A C library that heeds the setting either way has no story."""
    asked = {}
    for name in ("zeroes left", "ones left"):
        asked[name] = [row for row in lab.runs[name].calls("madvise") if row["args"]["advice"] == 14]  # MADV_HUGEPAGE
    if asked["ones left"]:
        lab.skip("a setting that is heeded by chance", "this glibc ends the text that it compares")
        return
    lab.finding(
        "Whether the setting is heeded is chance with this glibc: it reads what the kernel allows into a buffer and compares it as "
        "a text without having ended it, so what earlier calls have left on the stack decides. The same program asks for huge pages "
        f"with zeroes left there ({len(asked['zeroes left'])} calls of madvise) and not with ones; the target zeroes its stack before.",
        asked["zeroes left"], *asked["zeroes left"][:2])


def findings(lab):
    if setting() not in ("madvise", "always"):
        lab.skip("huge pages", f"{SETTING} is {setting()}")
        return
    base, huge = (lab.runs[name].blocks(touch=0.3)[0] for name in ("base", "huge"))
    many, few = (sum(row["count"] for row in faults(block)) for block in (base, huge))
    whole = [row for row in faults(huge) if row["anon"] >= 2 * MB]
    lab.finding(
        f"One fault brings 2 MiB: writing to 6 MiB of a block takes {many:,} faults with pages of 4 KiB and {few:,} with huge "
        "ones, and the rows that bring more than their count of pages are those.",
        many >= 6 * MB // PAGE - 1 and few < many // 2 and whole and
        sum(row["anon"] - row["count"] * PAGE for row in faults(huge)) >= 2 * MB, many, few, *faults(huge)[:5])
    more = huge.change("alloc", "touch", "rss") - base.change("alloc", "touch", "rss")
    lab.finding(
        f"So a block can be resident beyond what was written to, up to the end of the huge page: by {kb(more)} kB here, which "
        "depends on where the block lies; always less than 2 MiB.", -PAGE <= more < 2 * MB, more)
    lab.finding("The free of the whole block gives all of it back, as without.",
                huge.returned and huge.virt_back >= 20 * MB and huge.change("before", "free", "rss") <= 2 * MB, huge.rss_back)
    chance(lab)
    lab.plot(lab.runs["huge"], "Huge pages: 6 MiB of 20 MiB are written to, and RSS goes to the end of a huge page")
    lab.table("The touch of 6 MiB, row by row, with huge pages", ("a run of faults over", "faults", "RSS (kB)"),
              [(kb(row["region"]["end"] - row["region"]["start"]) + " kB" if row["region"] else "", row["count"], kb(row["rss"]))
               for row in faults(huge)[:8]])
