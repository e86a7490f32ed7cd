# SPDX-License-Identifier: GPL-2.0-only
"""Tables that more than one experiment shows: the post's one (VIRT and RSS before, during and after each block), each line
with the calls that made it and, for glibc's malloc, the arithmetic that decided."""

from observed import KB, Glibc, kb, size_text

BLOCKS_HEAD = ("block", "VIRT before, during, after (kB)", "RSS before, during, after (kB)", "its allocation", "its free",
               "why")


def levels(block, part):
    return ", ".join(kb(block.levels[step][part]) for step in ("before", "touch", "free"))


def calls_text(block, step):
    """The calls that changed something in a step, with what each changed."""
    texts = []
    for row in block.calls(step):
        changes = [f"{what} {'+' if row[part] > 0 else '-'}{kb(abs(row[part]))} kB"
                   for what, part in (("VIRT", "virt"), ("RSS", "rss")) if row[part]]
        if changes or row["name"] in ("brk", "munmap"):
            texts.append(f"`{row['name']}` " + (", ".join(changes) or "0"))
    return "; ".join(texts) or "no call"


def gave_back(block):
    """What its free took from the two numbers."""
    return f"VIRT {kb(block.virt_back)}, RSS {kb(block.rss_back)}"


def blocks_table(lab, caption, blocks, whys):
    lab.table(caption, BLOCKS_HEAD, [
        (size_text(block.size) + (f", round {block.round}" if block.round > 1 else ""), levels(block, "virt"),
         levels(block, "rss"), calls_text(block, "alloc"), calls_text(block, "free") if block.freed else "", why)
        for block, why in zip(blocks, whys)])


class GlibcStory:
    """Follows glibc's thresholds through a run: what must come from mmap, what must be kept, and why, in words. Compared
    with the rows in @wrong, which stays empty where the rule explains everything."""

    def __init__(self, run, blocks, frozen=False):
        self.model, self.run, self.wrong, self.whys = Glibc(frozen), run, [], []
        self.kept_after = {}  # size that was kept -> the size whose free had raised the threshold
        for block in blocks:
            self.whys.append(self._one(block))

    def _one(self, block):
        chunk, mapped = Glibc.chunk(block.size), Glibc.mapped(block.size)
        must_map = chunk >= self.model.mmap
        if must_map != (block.source == "mmap") or must_map != block.returned:
            self.wrong.append(f"{self.run.name}: {block.size}: chunk {chunk}, mmap_threshold {self.model.mmap}, came from "
                              f"{block.source}, {'returned' if block.returned else 'kept'}")
        if must_map:
            return self._mapped(block, mapped)
        self.kept_after[block.size] = self.model.raised_by
        if chunk < 64 * KB:
            return f"a chunk of {chunk:,} is below 64 KiB: its free does not look at the top of the heap"
        heap = self.run.heap_bytes(block.levels["free"]["_line"])
        if heap >= self.model.trim:
            self.wrong.append(f"{self.run.name}: {block.size}: kept in a heap of {heap}, trim_threshold {self.model.trim}")
        return (f"a chunk of {chunk:,} is below mmap_threshold {self.model.mmap:,} (since the free of "
                f"{size_text(self.model.raised_by)}); the whole heap, {heap:,}, is below trim_threshold "
                f"{self.model.trim:,}, and so is its top")

    def _mapped(self, block, mapped):
        before = self.model.mmap
        if self.model.freed(mapped, block.size):
            return f"its own mapping; its free raises mmap_threshold from {before:,} to {mapped:,}"
        if mapped > Glibc.MAX:
            return "its own mapping; above 32 MiB, so the thresholds stay"
        return "its own mapping; the thresholds stay"
